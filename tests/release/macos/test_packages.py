"""Check the order and the words of what signs and packs the application."""

import sys
from pathlib import Path

import pytest

from engine.version import VERSION
from release.macos.application import ENTITLEMENTS
from release.macos.packages import (
    IDENTITY,
    NO_ONE,
    codesign_identity,
    identity,
    image_command,
    image_signing_commands,
    lay_out,
    signing_commands,
)

APPLICATION, IMAGE = Path("dist/Phidelity.app"), Path("dist/phidelity.dmg")


def test_the_seal_is_checked_after_it_is_made() -> None:
    seal, check = signing_commands(APPLICATION, "Developer ID Application: Somebody")
    assert seal[:5] == ["codesign", "--force", "--options", "runtime", "--timestamp"]
    assert seal[5:] == [
        "--entitlements", str(ENTITLEMENTS), "--sign", "Developer ID Application: Somebody", str(APPLICATION),
    ]  # fmt: skip
    assert check[:2] == ["codesign", "--verify"]


def test_for_no_one_nothing_is_hardened_stamped_or_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(IDENTITY, raising=False)
    assert identity() == NO_ONE
    assert codesign_identity() is None
    seal, _ = signing_commands(APPLICATION, NO_ONE)
    assert "--timestamp" not in seal
    assert "runtime" not in seal
    assert image_signing_commands(IMAGE, NO_ONE, "profile") == []


def test_the_image_is_signed_sent_and_stapled_in_this_order() -> None:
    commands = image_signing_commands(IMAGE, "Somebody", "profile")
    assert [command[:3] for command in commands] == [
        ["codesign", "--timestamp", "--sign"],
        ["xcrun", "notarytool", "submit"],
        ["xcrun", "stapler", "staple"],
        ["xcrun", "stapler", "validate"],
    ]
    assert commands[1][-1] == "--wait"
    assert image_signing_commands(IMAGE, "Somebody", "") == commands[:1]


def test_the_image_is_named_after_the_version() -> None:
    command = image_command(Path("build/dmg"), IMAGE)
    assert command[:2] == ["hdiutil", "create"]
    assert command[command.index("-volname") + 1] == f"Phidelity {VERSION}"
    assert command[-1] == str(IMAGE)


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
def test_the_image_shows_where_the_application_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("release.macos.packages.ROOT", tmp_path)
    application = tmp_path / "dist" / "Phidelity.app"
    (application / "Contents").mkdir(parents=True)
    (application / "Contents" / "Info.plist").write_text("plist")
    (application / "Contents" / "link").symlink_to("Info.plist")
    folder = lay_out(application, 1_700_000_000)
    assert sorted(path.name for path in folder.iterdir()) == ["Applications", "Phidelity.app"]
    assert (folder / "Applications").readlink() == Path("/Applications")
    assert (folder / "Phidelity.app" / "Contents" / "link").is_symlink()
    assert (folder / "Phidelity.app" / "Contents" / "Info.plist").stat().st_mtime == 1_700_000_000
