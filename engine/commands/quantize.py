"""`engine quantize`: write a GGUF file in another quantisation."""

import argparse
from pathlib import Path

from engine.commands.follow import follow_job
from engine.jobs.events import QuantizeJob


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("quantize", help="write a GGUF file in another quantisation")
    parser.add_argument("source", type=Path, metavar="IN.gguf")
    parser.add_argument("out", type=Path, metavar="OUT.gguf")
    parser.add_argument("--quant", required=True, metavar="TYPE", help="q8_0, q6_k, q5_k_m, q4_k_m, q4_0, ...")
    parser.add_argument("--imatrix", type=Path, metavar="FILE", help="importance matrix in GGUF format")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the job and print where the result is."""
    imatrix = str(arguments.imatrix.resolve()) if arguments.imatrix else None
    source, out = str(arguments.source.resolve()), str(arguments.out.resolve())
    return follow_job(QuantizeJob(source, out, arguments.quant.lower(), imatrix), arguments.json)
