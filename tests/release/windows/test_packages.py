"""Check the zip, and that the installer's script agrees with the program and with those who call it."""

import hashlib
import re
import zipfile
from pathlib import Path

import pytest

from app.paths import profile_paths
from engine.launch import ENGINE_PROGRAM
from engine.version import VERSION
from release.components import ROOT
from release.folder import SBOM
from release.windows.packages import SCRIPT, installer_command, write_packages, write_zip
from release.windows.signing import THUMBPRINT

DATE = 1_700_000_000


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Make a folder like the program's."""
    folder = tmp_path / "phidelity"
    for name in ("phidelity.exe", f"{ENGINE_PROGRAM}.exe", "NOTICE", SBOM, "_internal/app/a.dll", "licenses/Qt.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def sections() -> dict[str, list[dict[str, str]]]:
    """Read the script: the lines of each section as their keys and values."""
    found: dict[str, list[dict[str, str]]] = {}
    lines: list[dict[str, str]] = []
    for line in SCRIPT.read_text("ascii").splitlines():
        if not line or line.startswith((";", "#")):
            continue
        if line.startswith("["):
            lines = found.setdefault(line.strip("[]"), [])
        elif re.match(r"\w+=", line):
            lines.append(dict([line.split("=", 1)]))
        else:
            pairs = re.findall(r'(\w+): ("(?:[^"]|"")*"|[^;]*)', line)
            lines.append({key: _plain(value) for key, value in pairs})
    return found


def _plain(value: str) -> str:
    return value[1:-1].replace('""', '"') if value.startswith('"') else value.strip()


def setup() -> dict[str, str]:
    """Give the values of the section Setup."""
    return {key: value for line in sections()["Setup"] for key, value in line.items()}


def test_the_zip_holds_the_program_and_is_the_same_each_time(program: Path, tmp_path: Path) -> None:
    first = write_zip(program, tmp_path / "phidelity-1-windows.zip", DATE)
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
        assert archive.read("phidelity-1-windows/_internal/app/a.dll") == b"_internal/app/a.dll"
    assert len(names) == 6
    assert all(name.startswith("phidelity-1-windows/") for name in names)
    before = hashlib.sha256(first.read_bytes()).hexdigest()
    (program / "NOTICE").touch()
    assert hashlib.sha256(write_zip(program, first, DATE).read_bytes()).hexdigest() == before


def test_without_inno_setup_there_is_the_zip(program: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    for name in ("PATH", "ProgramFiles(x86)", "ProgramFiles", "LOCALAPPDATA", THUMBPRINT):
        monkeypatch.delenv(name, raising=False)
    files = write_packages(program, tmp_path, DATE)
    assert [file.suffix for file in files] == [".zip"]
    assert "no installer is made" in capsys.readouterr().out


def test_the_script_uses_what_it_is_given_and_nothing_else(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THUMBPRINT, "0A1B")
    command = installer_command("ISCC", program, program.parent, "setup", Path("icon.ico"))
    given = {word[2:].split("=")[0] for word in command if word.startswith("/D")}
    text = SCRIPT.read_text("ascii")
    used = set(re.findall(r"\{#(\w+)\}", text)) | set(re.findall(r"#if(?:n?def) (\w+)", text))
    assert used == given
    assert f"/DVersion={VERSION}" in command
    assert command[-1] == str(SCRIPT)
    (signing,) = (word for word in command if word.startswith("/S"))
    assert signing == "/Sphidelity=$qsigntool$q $qsign$q $q/sha1$q $q0A1B$q $q/fd$q $qsha256$q $f"
    assert setup()["SignTool"] == "phidelity"


def test_the_version_comes_from_the_program() -> None:
    assert (setup()["AppVersion"], setup()["VersionInfoVersion"]) == ("{#Version}", "{#VersionNumbers}")
    assert VERSION not in SCRIPT.read_text("ascii")


def test_it_is_for_the_user_alone_unless_asked_otherwise() -> None:
    assert setup()["PrivilegesRequired"] == "lowest"
    assert setup()["DefaultDirName"].startswith("{autopf}")
    assert all(line["Root"] == "HKA" for line in sections()["Registry"])


def test_what_belongs_to_the_user_stays() -> None:
    assert "UninstallDelete" not in sections()
    deleted = {line["Name"] for line in sections()["InstallDelete"]}
    assert deleted == {"{app}\\_internal", "{app}\\licenses"}
    # On Windows the data of a user are in Local\Phidelity, the program in Local\Programs\Phidelity.
    assert profile_paths().data.name == "Phidelity"
    assert setup()["DefaultDirName"] == "{autopf}\\Phidelity"
    text = SCRIPT.read_text("ascii").lower()
    assert not any(word in text for word in ("{localappdata}", "{userappdata}", "{userdocs}"))


def test_everything_of_the_program_is_installed() -> None:
    (files,) = sections()["Files"]
    assert files["Source"] == "{#Program}\\*"
    assert {"recursesubdirs", "ignoreversion"} <= set(files["Flags"].split())


def test_it_starts_the_programs_that_are_built() -> None:
    text = SCRIPT.read_text("ascii")
    spec = (ROOT / "build.spec").read_text("utf-8")
    named = set(re.findall(r"\{app\}\\([\w-]+)\.exe", text))
    assert named == {"phidelity"}
    assert 'name="phidelity"' in spec
    assert sections()["Icons"][0]["Name"] == "{autoprograms}\\Phidelity"


def test_models_are_opened_by_the_program() -> None:
    registry = {(line["Subkey"], line["ValueName"]): line for line in sections()["Registry"]}
    command = registry["Software\\Classes\\Phidelity.gguf\\shell\\open\\command", ""]
    assert command["ValueData"] == '"{app}\\phidelity.exe" "%1"'
    assert ("Software\\Classes\\.gguf\\OpenWithProgids", "Phidelity.gguf") in registry
    chosen = registry["Software\\Classes\\.gguf", ""]
    assert chosen["Tasks"] == "association"
    assert chosen["Tasks"] in {line["Name"] for line in sections()["Tasks"]}
    removed = [line for key, line in registry.items() if key[0].endswith((".gguf", "OpenWithProgids"))]
    assert all(line["Flags"].startswith("uninsdelete") for line in removed)
