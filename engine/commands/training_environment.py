"""`engine training-environment`: the packages that training needs, where the program comes without them."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.commands.follow import follow_run
from engine.errors import EngineError
from engine.jobs.events import InstallTrainingJob
from engine.jobs.handle import is_worked_on
from engine.training_environment.environment import TrainingEnvironment, default_environment
from engine.training_environment.lock import BUILDS, program_lock, select, suitable_build


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its three acts."""
    parser = subparsers.add_parser("training-environment", help="install what training needs, or remove it")
    acts = parser.add_subparsers(metavar="status|install|remove", required=True)
    status = acts.add_parser("status", help="what is there, and how much an installation takes")
    install = acts.add_parser("install", help="install, or go on with an installation")
    remove = acts.add_parser("remove", help="delete the packages")
    install.add_argument("--wheels", type=Path, metavar="DIR", help="folder with all wheels: nothing is downloaded")
    for each in (status, install):
        each.add_argument("--build", choices=BUILDS, help="of PyTorch (default: what suits this computer)")
    for each, act in ((status, _status), (install, _install), (remove, _remove)):
        each.add_argument("--json", action="store_true", help="print one JSON document")
        each.set_defaults(run=act)


def _status(arguments: argparse.Namespace) -> int:
    environment = default_environment()
    selection = select(program_lock(), arguments.build or suitable_build())
    state, record = environment.state(program_lock()), environment.record()
    wheels = [asdict(wheel) for wheel in selection.wheels]
    document: dict[str, Any] = {
        "state": state,
        "folder": str(environment.folder),
        "build": selection.build,
        "download_bytes": selection.download_bytes,
        "downloaded_bytes": environment.downloaded_bytes(selection),
        "unpacked_bytes": record.size_bytes if record is not None else selection.unpacked_bytes,
        "wheels": wheels,
    }
    if arguments.json:
        print(json.dumps(document))
        return 0
    print(f"{'state':10} {state}\n{'folder':10} {environment.folder}\n{'build':10} {selection.build}")
    rest = selection.download_bytes - document["downloaded_bytes"]
    if state != "ready":
        print(f"{'download':10} {rest / 1e6:.0f} MB, {len(wheels)} packages")
    print(f"{'on disk':10} {'' if record else 'about '}{document['unpacked_bytes'] / 1e9:.1f} GB")
    return 0


def _install(arguments: argparse.Namespace) -> int:
    environment = default_environment()
    if environment.state(program_lock()) == "ready" and arguments.build in (None, _build_of(environment)):
        result = {"path": str(environment.packages)}
        print(json.dumps(result) if arguments.json else _describe(result))
        return 0
    wheels = str(arguments.wheels.expanduser().resolve()) if arguments.wheels is not None else ""
    job = InstallTrainingJob(str(environment.folder), arguments.build or suitable_build(), wheels)
    return follow_run(job, environment.job, arguments.json, _describe)


def _remove(arguments: argparse.Namespace) -> int:
    environment = default_environment()
    if is_worked_on(environment.job):
        raise EngineError("busy", "The packages are being installed.", "Cancel that first.")
    environment.remove()
    print(json.dumps({"state": "absent"}) if arguments.json else "removed")
    return 0


def _build_of(environment: TrainingEnvironment) -> str | None:
    record = environment.record()
    return None if record is None else record.build


def _describe(result: dict[str, Any]) -> str:
    return str(result["path"])
