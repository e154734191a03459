"""`engine train`: fine-tune a model on local data, or go on with a run."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from engine.commands.follow import follow_run
from engine.errors import EngineError
from engine.jobs.events import TrainJob, decode_job
from engine.jobs.handle import JOB_FILE

METHODS = ("lora", "qlora", "full", "dpo", "pretrain")
PATHS = ("base", "data", "validation", "cache", "busy_file", "models_dir")
# Option, field of TrainJob, type, help.
NUMBERS = (
    ("epochs", float, "how often all data is read (default: 3)"),
    ("steps", int, "at most so many steps"),
    ("batch-size", int, "rows per step (default: 8)"),
    ("learning-rate", float, "peak (default: chosen by the method)"),
    ("projector-learning-rate", float, "peak for the projector of a vision model (default: 2e-5)"),
    ("num-crops", int, "detail: most crops of a picture (default: 4)"),
    ("warmup-share", float, "share of the steps that lead up to it (default: 0.05)"),
    ("weight-decay", float, "default: 0"),
    ("rank", int, "of the adapters (default: 16)"),
    ("alpha", float, "of the adapters (default: 32)"),
    ("dropout", float, "in the adapters (default: 0)"),
    ("upper-layers", int, "adapters in so many upper layers only (default: all)"),
    ("max-length", int, "tokens beyond which a row is cut (default: 1024)"),
    ("row-tokens", int, "length of packed rows (default: chosen)"),
    ("beta", float, "how strongly DPO holds on to the base (default: 0.1)"),
    ("validation-share", float, "of the data, kept apart to measure on (default: 0.05)"),
    ("checkpoint-steps", int, "steps between checkpoints (default: chosen)"),
    ("sample-tokens", int, "longest sample answer, 0: none (default: 64)"),
    ("threads", int, "default: one for each physical core"),
    ("seed", int, "default: 0"),
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("train", help="fine-tune a model on local data, or go on with a run")
    parser.add_argument("run_file", nargs="?", type=Path, metavar="RUN.json", help="the options in a file, with `out`")
    parser.add_argument("--base", metavar="MODEL|CHECKPOINT", help="starter, or a checkpoint directory")
    parser.add_argument("--data", metavar="FILE", help="conversations, preferences or text")
    parser.add_argument("--validation", metavar="FILE", help="data to measure on (default: a share of --data)")
    parser.add_argument("--method", choices=METHODS, help="default: lora")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run's folder; a run that is there goes on")
    for option, kind, text in NUMBERS:
        parser.add_argument(f"--{option}", type=kind, metavar="N", help=text)
    parser.add_argument("--precision", choices=("auto", "bfloat16", "float32"), help="default: auto")
    parser.add_argument(
        "--sample-prompt", action="append", dest="sample_prompts", metavar="TEXT", help="question at checkpoints"
    )
    parser.add_argument("--merged", metavar="TYPE", help="also write the whole model as GGUF: q8_0, q4_k_m, ...")
    parser.add_argument("--models-dir", metavar="DIR", help="the library's folder")
    parser.add_argument("--cache", metavar="DIR", help="folder for unpacked bases")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Start the run, or go on with the one in the folder, and print what it made."""
    given = {
        field.name: getattr(arguments, field.name)
        for field in dataclasses.fields(TrainJob)
        if getattr(arguments, field.name, None) is not None
    }
    out = arguments.out
    if arguments.run_file is not None:
        written = _read_run_file(arguments.run_file)
        out = out or written.pop("out", None)
        written.pop("out", None)
        given = written | given
    if out is None:
        raise EngineError("bad_request", "The run has no folder.", "Name one with --out.")
    folder = Path(out).expanduser().resolve()
    if (folder / JOB_FILE).is_file():
        return follow_run(None, folder, arguments.json, _describe)
    if "base" not in given or "data" not in given:
        message = f"There is no run in {folder.name} yet."
        raise EngineError("bad_request", message, "Start one with --base and --data.")
    return follow_run(_job(given), folder, arguments.json, _describe)


def _read_run_file(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError("input_invalid", f"{path.name} cannot be read.", "Check the file.", str(error)) from error
    if not isinstance(values, dict):
        raise EngineError("input_invalid", f"{path.name} holds no options.", "Write one JSON object.")
    for name in ("data", "validation", "out"):
        if values.get(name):
            values[name] = str(path.parent.resolve() / str(values[name]))
    return values


def _job(given: dict[str, Any]) -> TrainJob:
    """Make the job, with paths that do not depend on where the process runs."""
    for name in PATHS:
        if given.get(name) and (name != "base" or Path(str(given[name])).exists()):
            given[name] = str(Path(str(given[name])).expanduser().resolve())
    job = decode_job(json.dumps(given | {"kind": "train"}))
    assert isinstance(job, TrainJob)
    return job


def _describe(result: dict[str, Any]) -> str:
    names = ("path", "adapter", "seeing_adapter", "companion", "merged", "card")
    lines = [f"{name:14} {result[name]}" for name in names if name in result]
    for check in result["checks"]:
        lines.append(f"{'check':14} {check['file']}: rel {check['relative_error']:.1e}, KL {check['kl']:.1e}")
    return "\n".join(lines)
