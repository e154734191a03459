"""Check that an environment is there whole or not at all, wherever its wheels come from."""

import shutil

import pytest

from converter.errors import ConversionCancelled
from engine.errors import EngineError
from engine.training_environment import install as module
from engine.training_environment.install import install
from tests.helpers.wheels import make_wheel, served


def go_on():
    return False


def run(packages, offline=None, address="http://127.0.0.1:9", stopped=go_on):
    events = []
    result = install(packages.environment, packages.selection(address), offline, events.append, stopped)
    return result, events


def test_it_is_downloaded_checked_and_put_in_place(packages):
    environment = packages.environment
    assert environment.state(packages.lock) == "absent"
    with served(packages.wheels) as shop:
        result, events = run(packages, address=shop.address)
    assert environment.state(packages.lock) == "ready"
    assert (environment.packages / "tinypeft" / "__init__.py").is_file()
    assert (environment.packages / "tinytorch_more.py").is_file()
    assert not list(environment.packages.rglob("scripts"))
    assert not environment.wheels.exists() and not environment.partial.exists()
    assert result["packages"] == 2
    assert list(dict.fromkeys(event.stage for event in events)) == ["download", "unpack", "check"]
    assert {event.item for event in events if event.stage == "unpack"} == {"tinytorch", "tinypeft"}
    last = [event for event in events if event.stage == "download"][-1]
    assert last.done == last.total == sum(file.stat().st_size for file in packages.files)


def test_a_folder_of_wheels_is_enough(packages):
    run(packages, packages.wheels)
    assert packages.environment.state(packages.lock) == "ready"
    assert len(packages.files) == 2


def test_a_folder_that_lacks_wheels_names_them(packages, tmp_path):
    selection = packages.selection()
    shutil.copytree(packages.wheels, tmp_path / "some")
    (tmp_path / "some" / "tinypeft-1.0-py3-none-any.whl").write_bytes(b"another")
    with pytest.raises(EngineError, match=r"some lacks 1 of 2 files.*tinypeft-1\.0") as failure:
        install(packages.environment, selection, tmp_path / "some", lambda _: None, go_on)
    assert failure.value.code == "input_invalid"
    assert packages.environment.state(packages.lock) == "absent"


def test_cancelling_keeps_downloads_and_the_next_time_goes_on(packages):
    seen = []

    def after_the_first():
        seen.append(1)
        return len(list(packages.environment.wheels.glob("*.whl"))) == 1

    with served(packages.wheels) as shop:
        with pytest.raises(ConversionCancelled):
            run(packages, address=shop.address, stopped=after_the_first)
        assert packages.environment.state(packages.lock) == "partial"
        assert packages.environment.downloaded_bytes(packages.selection(shop.address)) > 0
        shop.asked.clear()
        run(packages, address=shop.address)
    assert len(shop.asked) == 1
    assert packages.environment.state(packages.lock) == "ready"


def test_what_a_kill_left_is_not_taken_for_ready(packages):
    environment = packages.environment
    environment.partial.mkdir(parents=True)
    (environment.partial / "environment.json").write_text("{}")
    assert environment.state(packages.lock) == "partial"
    run(packages, packages.wheels)
    assert environment.state(packages.lock) == "ready"


def test_a_wrong_version_is_found_after_unpacking(packages):
    make_wheel(packages.wheels, "tinypeft", says="0.9")
    with pytest.raises(EngineError, match=r"not what was asked for \(tinypeft\)") as failure:
        run(packages, packages.wheels)
    assert failure.value.code == "check_failed"
    assert packages.environment.state(packages.lock) == "partial"


def test_packages_that_cannot_be_loaded_are_not_used(packages):
    make_wheel(packages.wheels, "tinypeft", source="raise OSError('libgomp.so.1 is missing')\n")
    with pytest.raises(EngineError, match="cannot be loaded") as failure:
        run(packages, packages.wheels)
    assert "libgomp.so.1 is missing" in failure.value.details
    assert packages.environment.state(packages.lock) != "ready"


def test_former_packages_stay_until_new_ones_are_complete(packages):
    run(packages, packages.wheels)
    make_wheel(packages.wheels, "tinypeft", source="raise OSError\n")
    with pytest.raises(EngineError):
        run(packages, packages.wheels)
    assert packages.environment.state(packages.lock) == "outdated"
    assert (packages.environment.packages / "tinytorch" / "__init__.py").is_file()
    make_wheel(packages.wheels, "tinypeft", source="VALUE = 3\n")
    run(packages, packages.wheels)
    assert packages.environment.state(packages.lock) == "ready"
    assert "3" in (packages.environment.packages / "tinypeft" / "__init__.py").read_text()


def test_a_full_disk_is_told_before_anything_is_downloaded(packages, monkeypatch):
    monkeypatch.setattr(module, "free_bytes", lambda _: 1_000_000)
    with served(packages.wheels) as shop, pytest.raises(EngineError, match="too little space") as failure:
        run(packages, address=shop.address)
    assert failure.value.code == "disk_full"
    assert shop.asked == []


def test_removal_leaves_nothing(packages, tmp_path):
    run(packages, packages.wheels)
    packages.environment.remove()
    assert packages.environment.state(packages.lock) == "absent"
    assert not packages.environment.folder.exists()
    assert not list(tmp_path.glob("environment*"))
    packages.environment.remove()
