"""Compare what a GPU computes with the reference, and print the table of docs/gpu.md.

    python -m benchmarks.vulkan [--engine PROGRAM] [--full]

Random checkpoints of the family with near lines (sliding window 100, LongRoPE at 300) are evaluated by real workers:
on the processor, on the GPU in 32 bits and on the GPU as it computes by itself; the last row of logits is compared with
transformers in float32. The software device of Mesa is taken where it is installed. PROGRAM is a Python whose llama.cpp
has a GPU, or the engine's program of a package; without it this Python's is used. `--full` compares prompts of 500
tokens too, for which a software device takes minutes.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converter.convert import convert
from engine.client import EngineClient
from engine.protocol import Load, Logits, Message
from tests.engine.vision.vectors import FOLDER, ONE_PICTURE
from tests.helpers.checkpoints import make_phi3, make_phimoe
from tests.helpers.fixtures import unpack_checkpoint
from tests.helpers.logits import reference_logits, relative_error
from tests.helpers.vulkan import ENGINE_VARIABLE, vulkan_worker

LINE = 300
MODELS: dict[str, tuple[Callable[[Path], Path], tuple[int, ...]]] = {
    "phi-3-mini": (lambda folder: make_phi3(folder), (60, 500)),
    "phi-3-mini-4k": (lambda folder: make_phi3(folder, "mini-4k", sliding_window=100), (250, 500)),
    "phi-3.5-mini": (
        lambda folder: make_phi3(folder, "mini-128k", original_max_position_embeddings=LINE),
        (LINE, LINE + 60, 500),
    ),
    "phi-3-medium": (lambda folder: make_phi3(folder, "medium"), (60, 500)),
    "phi-3.5-MoE": (lambda folder: make_phimoe(folder, original_max_position_embeddings=LINE), (60, 500)),
}
TYPES = ("f32", "f16", "q8_0")


@dataclass(frozen=True)
class Way:
    """Name a way of computing, its worker, and the layers that it puts on the GPU."""

    name: str
    client: EngineClient
    gpu_layers: int


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", metavar="PROGRAM")
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    if options.engine:
        os.environ[ENGINE_VARIABLE] = options.engine
    with ExitStack() as stack:
        exact, ready = stack.enter_context(vulkan_worker(half_precision=False))
        usual, _ = stack.enter_context(vulkan_worker())
        gpus = [device.name for device in ready.devices if device.kind == "gpu"]
        if not gpus:
            parser.exit(1, "No GPU is found.\n")
        print(f"GPU: {', '.join(gpus)}\n")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ways = [Way("processor", usual, 0), Way("GPU, 32 bits", exact, -1), Way("GPU", usual, -1)]
        show(["model", "file", "tokens", *(way.name for way in ways)], models(folder, ways, full=options.full))
        show(["tower", *(way.name for way in ways)], towers(folder, ways))


def show(heading: list[str], rows: Iterator[list[str]]) -> None:
    """Print a table row by row."""
    print(f"| {' | '.join(heading)} |\n|{'---|' * len(heading)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def models(folder: Path, ways: list[Way], *, full: bool) -> Iterator[list[str]]:
    """Give the relative differences of the logits, for each model in each type."""
    ids = np.random.default_rng(3).integers(300, 32000, 500).tolist()
    for name, (make, lengths) in MODELS.items():
        checkpoint = make(folder / name)
        lengths = lengths if full else lengths[:-1]
        references = {length: reference_logits(checkpoint, ids[:length], slice(-1, None)) for length in lengths}
        for kind in TYPES:
            path = convert(checkpoint, folder / f"{name}-{kind}.gguf", outtype=kind).path
            figures: dict[int, list[str]] = {length: [] for length in lengths}
            for way in ways:
                way.client.call(Load(str(path), gpu_layers=way.gpu_layers, context=1024, runtime="llama.cpp"))
                for length, reference in references.items():
                    row = evaluate(way, folder, tokens=tuple(ids[:length]))["logits"]
                    same = "" if row.argmax() == reference.argmax() else " (another top token)"
                    figures[length].append(f"{relative_error(row[None], reference):.1e}{same}")
            for length, cells in figures.items():
                yield [name, kind, str(length), *cells]


def towers(folder: Path, ways: list[Way]) -> Iterator[list[str]]:
    """Give the relative differences of a picture's embeddings, for each type of the tower."""
    case = next(case for case in ONE_PICTURE if case.num_crops == 4)
    text = case.prompt.removeprefix("<|user|>\n").removesuffix("<|end|>\n<|assistant|>\n")
    message = Message("user", text, (str(FOLDER / case.pictures[0]),))
    checkpoint = unpack_checkpoint("phi3v-tiny", folder)
    model = convert(checkpoint, folder / "vision.gguf", outtype="f32").path
    for kind in ("f32", "f16"):
        companion = str(convert(checkpoint, folder / f"tower-{kind}.gguf", outtype=kind).companion)
        cells = []
        for way in ways:
            layers = min(1, abs(way.gpu_layers))  # the tower goes to the GPU with the first layer
            way.client.call(Load(str(model), gpu_layers=layers, context=4096, companion=companion))
            found = evaluate(way, folder, messages=(message,), num_crops=case.num_crops)["image_embeds"]
            cells.append(f"{relative_error(found[case.arrays['rows']], case.arrays['embeds_rows']):.1e}")
        yield [kind, *cells]


def evaluate(way: Way, folder: Path, **what: Any) -> dict[str, np.ndarray]:
    """Give the arrays of a `logits` request."""
    out = folder / "logits.npz"
    way.client.call(Logits(str(out), **what))
    with np.load(out) as arrays:
        return dict(arrays)


if __name__ == "__main__":
    main()
