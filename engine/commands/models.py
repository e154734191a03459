"""`engine models`: list the models of the library."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from engine.library.folders import STARTER_NAME, builtin_models_dir, default_models_dir
from engine.library.model_card import ModelCard
from engine.library.scanner import scan


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("models", help="list the models of the library")
    parser.add_argument("--models-dir", type=Path, metavar="DIR", help="the library's folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one line per model, or all cards as JSON."""
    cards = scan([arguments.models_dir or default_models_dir(), builtin_models_dir()])
    if arguments.json:
        print(json.dumps([asdict(card) for card in cards], default=str, ensure_ascii=False))
        return 0
    for card in cards:
        name = STARTER_NAME if card.built_in else card.name
        print(f"{name:40} {_facts(card)}")
    return 0


def _facts(card: ModelCard) -> str:
    if card.problem:
        return card.problem
    size, parameters = card.size_bytes / 1e9, card.parameters / 1e9
    return f"{card.quantization:8} {size:6.2f} GB   {parameters:5.2f} B parameters   {card.path}"
