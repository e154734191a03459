"""Check that the program's lock file has what training needs, and what is said where it has not."""

import re
import sys
import tomllib
from pathlib import Path

import pip._internal.models.index
import pytest
from packaging.requirements import Requirement

from engine.errors import EngineError
from engine.training_environment import lock as module
from engine.training_environment.lock import HOST_NAME, lock_key, program_lock, select, suitable_build
from tests.helpers.wheels import make_lock, make_wheel

ROOT = Path(__file__).parents[3]


def test_the_lock_has_everything_of_the_extra_in_the_versions_of_the_tests():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    locked = {package["name"]: package for package in tomllib.loads(program_lock().read_text("utf-8"))["packages"]}
    for wanted in map(Requirement, project["optional-dependencies"]["train"]):
        assert wanted.specifier.contains(locked[wanted.name]["version"])
    tested = re.findall(r"^([\w-]+)==(\S+)( ;.*)?$", (ROOT / "requirements" / "dev.lock").read_text("utf-8"), re.M)
    plain = {name: version for name, version, condition in tested if not condition and name in locked}
    versions = {name: locked[name]["version"].split("+")[0] for name in plain}
    assert versions == plain


def test_what_the_program_has_itself_comes_in_the_same_version():
    locked = tomllib.loads(program_lock().read_text("utf-8"))["packages"]
    own = re.findall(r"^([\w-]+)==(\S+?)( ;.*)?$", (ROOT / "requirements" / "app.lock").read_text("utf-8"), re.M)
    versions = {name: {version for other, version, _ in own if other == name} for name, _, _ in own}
    shared = [package for package in locked if package["name"] in versions]
    assert {"numpy", "jinja2", "safetensors"} <= {package["name"] for package in shared}
    assert all(package["version"] in versions[package["name"]] for package in shared)


def test_every_wheel_has_a_place_a_size_and_a_hash():
    for package in tomllib.loads(program_lock().read_text("utf-8"))["packages"]:
        for wheel in package["wheels"]:
            assert wheel.get("url", "").startswith("https://") or wheel["path"].startswith("packages/")
            assert wheel["size"] > 0 and re.fullmatch("[0-9a-f]{64}", wheel["hashes"]["sha256"])


def test_wheels_without_an_address_are_on_the_host_of_pip(tmp_path, monkeypatch):
    wheel = make_wheel(tmp_path, "tiny", "1.0")
    path = make_lock(tmp_path / "lock.toml", [wheel], [])
    path.write_text(re.sub(r'url = "[^"]*/', 'path = "packages/', path.read_text()))
    host = pip._internal.models.index.PyPI.file_storage_domain
    assert select(path, "cpu").wheels[0].address == f"https://{host}/packages/{wheel.name}"
    (tmp_path / HOST_NAME).write_text("wheels.example\n")
    monkeypatch.setattr(module, "program_lock", lambda: path)
    assert select(path, "cpu").wheels[0].address == f"https://wheels.example/packages/{wheel.name}"


def test_libraries_of_nvidia_come_with_their_build_alone():
    packages = tomllib.loads(program_lock().read_text("utf-8"))["packages"]
    nvidia = [package for package in packages if package["name"].startswith("nvidia-")]
    assert nvidia and all("'cuda' in dependency_groups" in package["marker"] for package in nvidia)


def test_the_build_goes_by_the_driver(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "exists", lambda path: path.name == "version")
    assert suitable_build() == "cuda"
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert suitable_build() == "cpu"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(Path, "exists", lambda path: True)
    assert suitable_build() == "cpu"


def test_sizes_are_those_of_the_wheels(tmp_path):
    wheel = make_wheel(tmp_path, "tiny", "1.0")
    selection = select(make_lock(tmp_path / "lock.toml", [wheel], ["tiny"]), "cpu")
    assert selection.download_bytes == wheel.stat().st_size
    assert selection.unpacked_bytes > selection.download_bytes
    assert selection.imports == ("tiny",)
    assert [each.file_name for each in selection.wheels] == [wheel.name]


def test_the_key_changes_with_the_lock(tmp_path):
    wheel = make_wheel(tmp_path, "tiny", "1.0")
    before = lock_key(make_lock(tmp_path / "lock.toml", [wheel], ["tiny"]))
    assert lock_key(make_lock(tmp_path / "lock.toml", [wheel], [])) != before


def test_a_computer_without_wheels_is_told_so(tmp_path):
    wheel = make_wheel(tmp_path, "tiny", "1.0")
    other = wheel.rename(tmp_path / "tiny-1.0-cp27-cp27m-win32.whl")
    with pytest.raises(EngineError, match="not made for this computer") as failure:
        select(make_lock(tmp_path / "lock.toml", [other], []), "cpu")
    assert failure.value.code == "model_unsupported"


@pytest.mark.parametrize("text", ["", "[[[", 'lock-version = "1.0"\npackages = 3\n'])
def test_a_damaged_lock_is_told_in_a_sentence(tmp_path, text):
    lock = tmp_path / "lock.toml"
    lock.write_text(text)
    with pytest.raises(EngineError, match="cannot be read"):
        select(lock, "cpu")
