"""Check what the workflows and the forms for issues say against the code that they call."""

import fnmatch
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.version import VERSION
from release.macos.packages import IDENTITY, PROFILE
from release.windows.signing import THUMBPRINT, TIMESTAMP

ROOT = Path(__file__).parents[1]
WORKFLOWS = ROOT / ".github" / "workflows"
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
PINNED = re.compile(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def read(name: str) -> dict[Any, Any]:
    """Read a workflow; YAML takes its word `on` for true."""
    return yaml.safe_load((WORKFLOWS / name).read_text("utf-8"))


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    return job["steps"]


def commands(name: str) -> str:
    """Give all that a workflow runs."""
    return "\n".join(step.get("run", "") for job in read(name)["jobs"].values() for step in steps(job))


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_actions_of_others_are_pinned_to_commits(path: Path) -> None:
    used = [line for line in path.read_text("utf-8").splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not PINNED.search(line)] == []


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_nothing_may_write_that_need_not(name: str) -> None:
    assert read(name)["permissions"] == {"contents": "read"}
    writing = [key for key, job in read(name)["jobs"].items() if job.get("permissions") == {"contents": "write"}]
    assert writing == (["publish"] if name == "release.yml" else [])


def test_the_checks_run_on_three_systems_and_the_oldest_python() -> None:
    matrix = read("ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert {system.split("-")[0] for system in matrix["system"]} == {"ubuntu", "windows", "macos"}
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert oldest is not None
    assert matrix["python"][0] == oldest[1]


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_they_call_commands_that_there_are(name: str) -> None:
    known = (ROOT / "bootstrap.py").read_text("utf-8")
    called = re.findall(r"python bootstrap\.py (\w+)", commands(name))
    assert called
    assert all(f'"{command}"' in known for command in called)
    modules = re.findall(r"python -m ([\w.]+)", commands(name))
    assert all((ROOT / (module.replace(".", "/") + ".py")).is_file() for module in modules)


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_what_decides_about_compiled_code_is_in_the_key_of_its_cache(name: str) -> None:
    text = (WORKFLOWS / name).read_text("utf-8")
    assert re.search(r"key: .*hashFiles\('requirements/app\.lock', 'bootstrap\.py', 'llama_builds\.py'\)", text)


def test_every_package_is_kept_and_sums_are_not_lost() -> None:
    (job,) = (job for key, job in read("release.yml")["jobs"].items() if key == "package")
    (upload,) = (step for step in steps(job) if "upload-artifact" in step.get("uses", ""))
    patterns = upload["with"]["path"].split()
    for file in (
        f"phidelity-{VERSION}-linux-x86_64.tar.gz",
        f"phidelity_{VERSION}_amd64.deb",
        f"phidelity-{VERSION}-windows-x86_64.zip",
        f"phidelity-{VERSION}-windows-x86_64-setup.exe",
        f"phidelity-{VERSION}-macos-arm64.dmg",
        "phidelity-linux.cdx.json",
        "SHA256SUMS-linux-x86_64.txt",
        "phidelity.files.json",
    ):
        assert any(fnmatch.fnmatch(f"dist/{file}", pattern) for pattern in patterns), file
    assert not any(fnmatch.fnmatch("dist/phidelity/phidelity", pattern) for pattern in patterns if "/*" not in pattern)


def test_what_signs_is_called_as_the_code_calls_it() -> None:
    text = commands("release.yml")
    assert all(f"{name}=" in text for name in (THUMBPRINT, TIMESTAMP, IDENTITY, PROFILE))


def test_secrets_are_only_in_the_environment_of_steps() -> None:
    assert "secrets." not in commands("release.yml")


@pytest.mark.parametrize("path", sorted(FORMS.glob("*.yml")), ids=lambda path: path.name)
def test_the_forms_are_forms(path: Path) -> None:
    form = yaml.safe_load(path.read_text("utf-8"))
    if path.name == "config.yml":
        assert form["blank_issues_enabled"] is False
        return
    assert {"name", "description", "body"} <= form.keys()
    identities = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(identities) == len(set(identities)) > 0
