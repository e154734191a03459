"""`engine doctor`: say what a report about a fault needs to say: versions, system, devices, unusable models."""

import argparse
import importlib.metadata
import json
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from engine.client import EngineClient
from engine.errors import EngineError
from engine.launch import is_frozen
from engine.library.folders import builtin_models_dir, default_models_dir, resolve_model
from engine.library.scanner import scan
from engine.protocol import Device, Load, LoadResult, Ping
from engine.version import VERSION


@dataclass
class Findings:
    """Hold what was found; `faults` are sentences, one for each thing that does not work."""

    phidelity: str = VERSION
    installed: bool = field(default_factory=is_frozen)
    system: str = field(default_factory=platform.platform)
    python: str = field(default_factory=platform.python_version)
    pytorch: str = ""
    memory_total: int = 0
    memory_free: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    models: int = 0
    runs_on: str = ""
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("doctor", help="say what a report about a fault needs to say")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="also load this model: library name or GGUF file")
    parser.add_argument("--models-dir", type=Path, metavar="DIR", help="the library's folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look, print, and give 1 when something does not work."""
    model = resolve_model(arguments.model, arguments.models_dir) if arguments.model else None
    findings = examine(model, arguments.models_dir or default_models_dir())
    print(json.dumps(asdict(findings), ensure_ascii=False) if arguments.json else _report(findings))
    return 1 if findings.faults else 0


def examine(model: Path | None, models_dir: Path) -> Findings:
    """Look at this computer, start a worker, and load `model` in it if there is one."""
    memory = psutil.virtual_memory()
    findings = Findings(pytorch=_version_of("torch"), memory_total=memory.total, memory_free=memory.available)
    cards = scan([models_dir, builtin_models_dir()])
    findings.models = len(cards)
    findings.faults += [f"{card.path.name}: {card.problem}" for card in cards if card.problem]
    try:
        client = EngineClient()
    except EngineError as error:
        findings.faults.append(error.message)
        return findings
    try:
        client.call(Ping())
        assert client.ready is not None, "a worker that answers has said that it is ready"
        findings.versions, findings.devices = client.ready.versions, client.ready.devices
        if model is not None:
            loaded = client.call(Load(str(model.resolve()), context=512))
            assert isinstance(loaded, LoadResult)
            findings.runs_on = loaded.model.runs_on
            findings.notes = [f"{note.code}: {note.message}" for note in loaded.model.notes]
    except EngineError as error:
        findings.faults.append(f"{error.code}: {error.message}")
    finally:
        client.close()
    return findings


def _version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _report(findings: Findings) -> str:
    installed = "installed" if findings.installed else "from its sources"
    memory = f"{findings.memory_free / 1e9:.1f} of {findings.memory_total / 1e9:.1f} GB free"
    lines = [
        ("Phidelity", f"{findings.phidelity}, {installed}"),
        ("System", f"{findings.system}, Python {findings.python}"),
        ("Memory", memory),
        ("PyTorch", findings.pytorch or "not installed"),
        *((name, version) for name, version in findings.versions.items() if name not in ("phidelity", "python")),
        *((device.kind.upper(), device.name) for device in findings.devices),
        ("Models", str(findings.models)),
        *([("Runs on", findings.runs_on)] if findings.runs_on else []),
        *(("Note", note) for note in findings.notes),
        *(("Fault", fault) for fault in findings.faults),
    ]
    return "\n".join(f"{name:17} {value}" for name, value in lines)
