"""Declare how commands choose a model and load it."""

import argparse
import contextlib
from pathlib import Path
from typing import get_args

from engine.library.adapters import resolve_adapter
from engine.library.folders import resolve_model
from engine.protocol import Adapter, Load, Runtime


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what decides how a model is loaded."""
    parser.add_argument("--models-dir", type=Path, metavar="DIR", help="the library's folder")
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="ADAPTER[:SCALE]",
        help="LoRA adapter, a library name or a file, and its strength; may be given several times",
    )
    parser.add_argument("--mmproj", type=Path, metavar="FILE", help="tower of a vision model (default: beside it)")
    parser.add_argument("--context", type=int, default=0, metavar="N", help="most tokens (default: as trained)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads (default: chosen)")
    parser.add_argument(
        "--gpu-layers", type=int, default=-1, metavar="N", help="layers on the GPU (-1: as many as fit)"
    )
    parser.add_argument("--retry-gpu", action="store_true", help="use a GPU again whose driver has crashed before")
    parser.add_argument(
        "--runtime",
        choices=get_args(Runtime),
        default="auto",
        help="what computes (auto: PyTorch where only it is exact)",
    )


def adapter_choice(text: str, models_dir: Path | None) -> Adapter:
    """Read ADAPTER or ADAPTER:SCALE; a file whose name ends like a scale is taken as it is. Raises EngineError."""
    name, colon, scale = text.rpartition(":")
    if colon and name and not Path(text).exists():
        with contextlib.suppress(ValueError):
            return Adapter(scale=float(scale), path=str(resolve_adapter(name, models_dir).resolve()))
    return Adapter(str(resolve_adapter(text, models_dir).resolve()))


def load_request(arguments: argparse.Namespace) -> Load:
    """Give the load that the arguments ask for; raises EngineError."""
    return Load(
        path=str(resolve_model(arguments.model, arguments.models_dir).resolve()),
        context=arguments.context,
        threads=arguments.threads,
        batch_threads=arguments.threads,
        gpu_layers=arguments.gpu_layers,
        gpu="retry" if arguments.retry_gpu else "auto",
        runtime=arguments.runtime,
        adapters=tuple(adapter_choice(text, arguments.models_dir) for text in arguments.adapter),
        companion=str(arguments.mmproj.resolve()) if arguments.mmproj else "",
    )


def add_picture_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the pictures of a prompt."""
    parser.add_argument("--image", type=Path, action="append", default=[], metavar="FILE", help="picture; repeatable")
    parser.add_argument(
        "--num-crops",
        type=int,
        default=0,
        metavar="N",
        help="detail: most crops of a picture (default: the model's own)",
    )


def picture_paths(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Give the pictures that the arguments name."""
    return tuple(str(path.resolve()) for path in arguments.image)
