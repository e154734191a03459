"""Sign the application for macOS, put it into a disk image, and have Apple look at it.

PHIDELITY_SIGNING_IDENTITY names the certificate in the keychain ("Developer ID Application: ..."), and
PHIDELITY_NOTARY_PROFILE what `xcrun notarytool store-credentials` has stored. Without the first the application is
signed for no one, which runs on the computer that built it; without the second Apple has not seen it. macOS then
refuses a downloaded copy until the user allows it in the system settings.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from engine.version import VERSION
from release.components import ROOT
from release.folder import platform_name
from release.macos.application import ENTITLEMENTS, NAME, complete_application

IDENTITY, PROFILE = "PHIDELITY_SIGNING_IDENTITY", "PHIDELITY_NOTARY_PROFILE"
NO_ONE = "-"


def write_packages(program: Path, out_folder: Path, date: int) -> list[Path]:
    """Complete and sign the application beside the program's folder, and write the disk image."""
    application = program.with_name(NAME)
    complete_application(application, program)
    image = out_folder / f"phidelity-{VERSION}-{platform_name()}.dmg"
    for command in signing_commands(application, identity()):
        subprocess.run(command, check=True)
    subprocess.run(image_command(lay_out(application, date), image), check=True)
    for command in image_signing_commands(image, identity(), os.environ.get(PROFILE, "")):
        subprocess.run(command, check=True)
    return [image]


def programs_folder(program: Path) -> Path:
    """Give the folder of the application that has the programs, beside the program's own folder."""
    return program.with_name(NAME) / "Contents" / "MacOS"


def identity() -> str:
    """Give whom the application is signed for."""
    return os.environ.get(IDENTITY, "") or NO_ONE


def codesign_identity() -> str | None:
    """Give the same in the words of PyInstaller, for which nobody is nothing."""
    return os.environ.get(IDENTITY) or None


def lay_out(application: Path, date: int) -> Path:
    """Make the folder that the disk image shows: the application, and where it is to be dropped."""
    folder = ROOT / "build" / "dmg"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(application, folder / NAME, symlinks=True)
    (folder / "Applications").symlink_to("/Applications")
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            os.utime(path, (date, date))
    return folder


def signing_commands(application: Path, name: str) -> list[list[str]]:
    """Give the commands that seal the application again after files were added, and check the seal.

    PyInstaller has signed all code in it with the same identity and entitlements.
    """
    hardened = [] if name == NO_ONE else ["--options", "runtime", "--timestamp"]
    seal = ["codesign", "--force", *hardened, "--entitlements", str(ENTITLEMENTS), "--sign", name, str(application)]
    return [seal, ["codesign", "--verify", "--deep", "--strict", "--verbose=2", str(application)]]


def image_command(folder: Path, image: Path) -> list[str]:
    """Give the command that makes the compressed disk image of a folder."""
    return [
        "hdiutil", "create", "-volname", f"Phidelity {VERSION}", "-srcfolder", str(folder),
        "-fs", "HFS+", "-format", "UDZO", "-ov", str(image),
    ]  # fmt: skip


def image_signing_commands(image: Path, name: str, profile: str) -> list[list[str]]:
    """Give the commands that sign the image, send it to Apple, and attach the answer for computers that are offline."""
    if name == NO_ONE:
        return []
    commands = [["codesign", "--timestamp", "--sign", name, str(image)]]
    if profile:
        commands += [
            ["xcrun", "notarytool", "submit", str(image), "--keychain-profile", profile, "--wait"],
            ["xcrun", "stapler", "staple", str(image)],
            ["xcrun", "stapler", "validate", str(image)],
        ]
    return commands
