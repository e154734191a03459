"""`engine import`: make a model from a checkpoint directory or a GGUF file."""

import argparse
from pathlib import Path

from converter.convert import default_name
from engine.commands.follow import follow_job
from engine.jobs.events import ImportJob
from engine.library.folders import default_models_dir, file_name_for


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("import", help="make a model from a checkpoint directory or a GGUF file")
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="checkpoint directory or GGUF file")
    parser.add_argument(
        "--quant", metavar="TYPE", help="f32, bf16, f16, q8_0, q6_k, q5_k_m, q4_k_m (default for checkpoints), ..."
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write there instead of into the library")
    parser.add_argument("--name", help="what the model is called (default: the folder's name)")
    parser.add_argument("--merge", type=Path, metavar="ADAPTER_DIR", help="a LoRA adapter to merge into the checkpoint")
    parser.add_argument("--models-dir", type=Path, metavar="DIR", help="the library's folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the job and print where the model is."""
    source = arguments.checkpoint.resolve()
    quantization = arguments.quant.lower() if arguments.quant else None
    models_dir = arguments.models_dir or default_models_dir()
    adapter = arguments.merge.resolve() if arguments.merge else None
    name = arguments.name or (default_name(source, adapter) if adapter else None)
    out = arguments.out or models_dir / file_name_for(source, name, quantization)
    job = ImportJob(
        str(source), str(out.resolve()), quantization, arguments.name, None if adapter is None else str(adapter)
    )
    return follow_job(job, arguments.json)
