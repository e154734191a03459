"""Check how the lock file of training is made of what uv resolves and of PyTorch's own builds."""

import tomllib
import urllib.error

from packaging.pylock import Pylock

from release import training_lock as module
from release.folder import sha256
from release.training_lock import as_toml, main, own_build, trimmed

HOST = "https://wheels.example/packages"


def wheel(name):
    return {"url": f"{HOST}/{name}", "size": 10, "hashes": {"sha256": "0" * 64}, "upload-time": "then"}


def package(name, *wheels, **more):
    return {"name": name, "version": "2.0", "wheels": [wheel(each) for each in wheels], "sdist": {}, **more}


def unreachable(*_arguments, **_options):
    raise urllib.error.URLError("no network")


def test_wheels_for_other_systems_are_left_out():
    names = [
        f"some-2.0-{tags}.whl"
        for tags in (
            "cp312-cp312-manylinux_2_28_x86_64",
            "cp312-cp312-musllinux_1_2_x86_64",
            "cp314-cp314t-win_amd64",
            "cp39-abi3-win_amd64",
            "cp310-cp310-win_amd64",
            "py3-none-any",
            "cp311-cp311-macosx_11_0_arm64",
            "cp311-cp311-macosx_10_9_x86_64",
        )
    ]
    kept = [each["path"].rpartition("/")[2] for each in trimmed(package("some", *names))["wheels"]]
    assert kept == [names[0], names[3], names[5], names[6]]


def test_libraries_for_nvidia_need_the_group():
    file = "nvidia_some-2.0-py3-none-any.whl"
    assert trimmed(package("nvidia-some", file))["marker"] == "'cuda' in dependency_groups"
    marker = trimmed(package("nvidia-some", file, marker="sys_platform == 'linux'"))["marker"]
    assert marker == "(sys_platform == 'linux') and 'cuda' in dependency_groups"
    assert "marker" not in trimmed(package("some", "some-2.0-py3-none-any.whl"))


def test_a_build_at_hand_stands_for_the_index_that_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.setattr(module.urllib.request, "urlopen", unreachable)
    file = tmp_path / "torch-2.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
    file.write_bytes(b"torch")
    (found,) = own_build("cpu", "2.0", [file, tmp_path / "other.whl"])
    assert found["url"] == f"{module.PYTORCH}cpu/torch-2.0%2Bcpu-cp311-cp311-manylinux_2_28_x86_64.whl"
    assert (found["size"], found["sha256"]) == (5, sha256(file))


def test_the_file_can_be_read_and_has_one_pytorch_for_each_build(tmp_path, monkeypatch):
    monkeypatch.setattr(module.urllib.request, "urlopen", unreachable)
    monkeypatch.setattr(module, "LOCK", tmp_path / "pylock.train.toml")
    monkeypatch.setattr(module, "resolved", lambda: [package("torch", "torch-2.0-py3-none-any.whl")])
    assert main([]) == 1
    assert not module.LOCK.exists()
    file = tmp_path / "torch-2.0+cpu-py3-none-any.whl"
    file.write_bytes(b"torch")
    assert main(["--wheel", str(file)]) == 0
    pins = Pylock.from_dict(tomllib.loads(module.LOCK.read_text("utf-8")))
    linux = {**dict.fromkeys(("python_full_version", "python_version"), "3.11.0"), "sys_platform": "linux"}
    for groups, version in (([], "2.0+cpu"), (["cuda"], "2.0")):
        ((chosen, _),) = pins.select(environment=linux, dependency_groups=groups)
        assert str(chosen.version) == version
    ((chosen, _),) = pins.select(environment={**linux, "sys_platform": "win32"})
    assert str(chosen.version) == "2.0"


def test_texts_are_quoted():
    lock = tomllib.loads(as_toml([{"name": "a", "version": "1", "marker": 'x == "y\\z"', "wheels": []}]))
    assert lock["packages"][0]["marker"] == 'x == "y\\z"'
