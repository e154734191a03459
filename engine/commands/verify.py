"""`engine verify`: compare a model with its reference in PyTorch."""

import argparse
from pathlib import Path
from typing import Any

from engine.commands.follow import follow_job
from engine.jobs.events import VerifyJob
from engine.library.folders import resolve_model


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("verify", help="compare a model with its reference in PyTorch")
    parser.add_argument("model", metavar="MODEL", help="library name or GGUF file")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help="the checkpoint it was made from")
    parser.add_argument("--context", type=int, default=0, metavar="N", help="most tokens to compare (default: all)")
    parser.add_argument("--models-dir", type=Path, metavar="DIR", help="the library's folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the job and print the figures per band."""
    model = resolve_model(arguments.model, arguments.models_dir).resolve()
    job = VerifyJob(str(model), str(arguments.checkpoint.resolve()), arguments.context)
    return follow_job(job, arguments.json, _table)


def _table(result: dict[str, Any]) -> str:
    rows = [f"{'positions':>13}  {'rel':>8}  {'KL':>8}  same top  band"]
    for band in result["bands"]:
        positions = f"{band['first']}..{band['last']}"
        figures = f"{band['relative_error']:8.1e}  {band['kl']:8.1e}  {band['same_top']:8.1%}"
        rows.append(f"{positions:>13}  {figures}  {band['name']}")
    if result["clamp_share"] is not None:
        rows.append(f"clamps acted on {result['clamp_share']:.2%} of the feed-forward values")
    if result["near_tie_share"] is not None:
        rows.append(f"near ties changed the weights of experts in {result['near_tie_share']:.2%} of all choices")
    rows.append("verified" if result["verified"] else "NOT verified: the model departs from its reference")
    return "\n".join(rows)
