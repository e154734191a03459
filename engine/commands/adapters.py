"""`engine adapters`: list the LoRA adapters of the library."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from engine.library.adapters import adapters_for, scan_adapters
from engine.library.folders import default_models_dir, resolve_model


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("adapters", help="list the LoRA adapters of the library")
    parser.add_argument("--model", metavar="MODEL", help="only those that fit this model")
    parser.add_argument("--models-dir", type=Path, metavar="DIR", help="the library's folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one line per adapter, or all cards as JSON."""
    folders = [arguments.models_dir or default_models_dir()]
    if arguments.model:
        cards = adapters_for(resolve_model(arguments.model, arguments.models_dir), folders)
    else:
        cards = scan_adapters(folders)
    if arguments.json:
        print(json.dumps([asdict(card) for card in cards], default=str, ensure_ascii=False))
        return 0
    for card in cards:
        base = card.base or card.architecture
        print(f"{card.name:40} {card.size_bytes / 1e6:6.1f} MB   rank {card.rank:<4} for {base:24} {card.path}")
    return 0
