"""Install, upgrade and remove the Debian package in a fresh Debian: `python -m release.install_test PACKAGE.deb`.

Needs root, debootstrap and the system's package mirror. The fresh Debian is kept in the cache folder; each test works
on a copy, with processes of its own. The first fault ends the test with one line and the status 1.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from bootstrap import cache_folder
from engine.version import VERSION
from release.components import ROOT

USER, HOME = 1000, "/home/user"
PROFILES = ROOT / "tests" / "data" / "profiles"
OLDER = "0.0.1"
ONLY_IN_OLDER = f"usr/lib/phidelity/only-in-{OLDER}"
SECONDS = 600
# With these the desktop's tables are written, as on every Debian with a desktop.
DESKTOP_PACKAGES = ("desktop-file-utils", "shared-mime-info")


class InstallFailure(Exception):
    """Say in a line what went wrong."""


class Debian:
    """Be a Debian in a folder."""

    def __init__(self, root: Path) -> None:
        """Take the folder."""
        self.root = root

    def run(self, *command: str, user: int = 0) -> str:
        """Run a command in it and give what it printed; what it leaves running is ended. Raises InstallFailure."""
        inside = ["chroot", f"--userspec={user}:{user}", str(self.root), "env", "-i"]
        inside += [f"HOME={HOME if user else '/root'}", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
        inside += ["DEBIAN_FRONTEND=noninteractive", *command]
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={self.root / 'proc'}"]
        done = subprocess.run([*apart, *inside], capture_output=True, encoding="utf-8", timeout=SECONDS, check=False)
        if done.returncode:
            said = f"{done.stdout[-800:]}\n{done.stderr[-800:]}".strip()
            raise InstallFailure(f"{' '.join(command)} ended with {done.returncode}: {said}")
        if user and done.stderr.strip():
            raise InstallFailure(f"{' '.join(command)} said {done.stderr.strip()[-800:]!r}.")
        return done.stdout

    def install(self, package: Path) -> None:
        """Install a package file with what it depends on and nothing else."""
        shutil.copyfile(package, self.root / "tmp" / package.name)
        self.run("apt-get", "install", "-y", "--no-install-recommends", "--allow-downgrades", f"/tmp/{package.name}")
        (self.root / "tmp" / package.name).unlink()

    def path(self, place: str) -> Path:
        """Give the path of an absolute place, seen from outside."""
        return self.root / place.lstrip("/")


def main(arguments: list[str]) -> int:
    """Run every step and return the exit status."""
    if not can_run():
        print("install test: root and debootstrap are needed.", file=sys.stderr)
        return 2
    package = Path(arguments[0]).absolute()
    with tempfile.TemporaryDirectory(prefix="phidelity-install-") as temporary:
        try:
            debian = fresh_debian(Path(temporary) / "debian")
            older = older_package(package, Path(temporary))
            check_life_of_a_package(debian, older, package)
        except (InstallFailure, subprocess.SubprocessError) as failure:
            print(f"install test: {failure}", file=sys.stderr)
            return 1
    return 0


def can_run() -> bool:
    """Tell whether this process may and can make a Debian."""
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("debootstrap") is not None


def fresh_debian(folder: Path) -> Debian:
    """Give a copy of a minimal Debian of this system's release."""
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    kept = cache_folder() / f"debian-{suite}"
    if not kept.exists():
        print(f"making a fresh Debian ({suite}), once", flush=True)
        partial = kept.with_name(kept.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        mirror = subprocess.check_output(
            ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"], text=True
        ).split()[0]
        packages = ",".join(DESKTOP_PACKAGES)
        command = ["debootstrap", "--variant=minbase", f"--include={packages}", suite, str(partial), mirror]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        partial.rename(kept)
    subprocess.run(["cp", "-a", "--reflink=auto", str(kept), str(folder)], check=True)
    debian = Debian(folder)
    debian.run("useradd", "--create-home", "--uid", str(USER), "user")
    return debian


def older_package(package: Path, folder: Path) -> Path:
    """Make a package of an earlier version, which has one file more."""
    tree, out = folder / "older", folder / f"phidelity_{OLDER}.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(tree)], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text("utf-8").replace(f"Version: {VERSION}\n", f"Version: {OLDER}\n"), "utf-8")
    (tree / ONLY_IN_OLDER).write_text("This file is gone after the upgrade.\n", "utf-8")
    subprocess.run(["dpkg-deb", "--build", "-Zgzip", "-z1", str(tree), str(out)], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return out


def check_life_of_a_package(debian: Debian, older: Path, newer: Path) -> None:
    """Install the older version, use it, upgrade, use it again, and remove it; raises InstallFailure."""
    debian.install(older)
    say("installed", version(debian))
    check_libraries(debian)
    check_file_type(debian)
    profile = f"{HOME}/.local/share/Phidelity"
    chat(debian, profile)
    profiles = [profile, *old_profiles(debian)]
    messages = {place: kept_messages(debian, place) for place in profiles}

    debian.install(newer)
    if version(debian) != VERSION or debian.path(ONLY_IN_OLDER).exists():
        raise InstallFailure("The upgrade left files of the older version.")
    for place in profiles:
        chat(debian, place)
        after = kept_messages(debian, place)
        if not messages[place] or not messages[place] < after:
            raise InstallFailure(f"Messages of the profile {place} are gone after the upgrade.")
    say("upgraded", f"{VERSION}, with {len(profiles)} profiles of earlier versions")

    installed, data = package_files(debian), digest_of(debian.path(HOME))
    debian.run("apt-get", "purge", "-y", "phidelity")
    left = [place for place in installed if os.path.lexists(debian.path(place))]
    if left:
        raise InstallFailure(f"Removing left {len(left)} files, as {left[0]}.")
    if digest_of(debian.path(HOME)) != data:
        raise InstallFailure("Removing changed the user's data.")
    say("removed", f"{len(installed)} files; the user's data are as they were")


def chat(debian: Debian, profile: str) -> None:
    """Let the user chat in the window, with a profile that stays."""
    answer = debian.run("phidelity", "--smoke", "--profile", profile, user=USER)
    if len(answer.strip()) < 10:
        raise InstallFailure(f"The window answered {answer!r}.")
    models = json.loads(debian.run("phidelity-engine", "models", "--json", user=USER))
    if not models:
        raise InstallFailure("The command line knows no model.")
    debian.run("phidelity-engine", "doctor", user=USER)


def check_libraries(debian: Debian) -> None:
    """Find every library that the program loads, with the packages it depends on alone; GPU drivers may be absent."""
    files = "find /usr/lib/phidelity -type f -name '*.so*' ! -name '*vulkan*'"
    # As the program's loader sets it; what a file finds in no other way is not there for the program either.
    command = f"LD_LIBRARY_PATH=/usr/lib/phidelity/_internal {files} -exec ldd {{}} + 2>/dev/null"
    missing = {line.strip() for line in debian.run("sh", "-c", command).splitlines() if "not found" in line}
    if missing:
        raise InstallFailure(f"The package depends on too little: {sorted(missing)}.")


def check_file_type(debian: Debian) -> None:
    """See that the desktop opens GGUF files with the program."""
    table = debian.path("/usr/share/applications/mimeinfo.cache").read_text("utf-8")
    types = debian.path("/usr/share/mime/globs2").read_text("utf-8")
    if "application/x-gguf=phidelity.desktop" not in table or ":application/x-gguf:*.gguf" not in types:
        raise InstallFailure("The desktop does not know that the program opens GGUF files.")


def old_profiles(debian: Debian) -> list[str]:
    """Put the stored profiles of earlier versions into the user's home and give their places."""
    places = []
    for source in sorted(PROFILES.glob("v*")):
        place = f"{HOME}/{source.name}"
        target = debian.path(place)
        shutil.copytree(source, target)
        for packed in target.rglob("*.xz"):
            packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
            packed.unlink()
        places.append(place)
    for path in [debian.path(HOME), *debian.path(HOME).rglob("*")]:
        os.chown(path, USER, USER, follow_symlinks=False)
    return places


def kept_messages(debian: Debian, profile: str) -> set[int]:
    """Give the messages of a profile that are not in its trash, which empties itself; a copy is read."""
    with tempfile.TemporaryDirectory() as temporary:
        for path in debian.path(profile).glob("phidelity.db*"):
            shutil.copy(path, temporary)
        connection = sqlite3.connect(Path(temporary) / "phidelity.db")
        try:
            rows = connection.execute(
                "SELECT messages.id FROM messages JOIN conversations ON conversations.id = conversation_id"
                " WHERE trashed_at IS NULL"
            )
            return {number for (number,) in rows}
        finally:
            connection.close()


def version(debian: Debian) -> str:
    """Give the version that is installed."""
    return debian.run("dpkg-query", "--show", "--showformat=${Version}", "phidelity")


def package_files(debian: Debian) -> list[str]:
    """List the files and the folders of its own that the package has."""
    listed = debian.run("dpkg-query", "--listfiles", "phidelity").splitlines()
    return [place for place in listed if not debian.path(place).is_dir() or place.startswith("/usr/lib/phidelity")]


def digest_of(folder: Path) -> str:
    """Shorten everything in a folder to one name."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        total.update(str(path.relative_to(folder)).encode())
        if path.is_file() and not path.is_symlink():
            total.update(path.read_bytes())
    return total.hexdigest()


def say(what: str, more: str) -> None:
    """Print how far the test is."""
    print(f"{what}: {more}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
