"""Compare the encoding of pictures with the same CLIP tower in PyTorch on the same cores.

Run `python -m benchmarks.vision [--runs N] [--crops N] [--threads N] [--float32] [--mtmd] [--folder DIR]`. A tower
of CLIP-L/336's shape gets random weights, goes through the converter, and every side encodes the same crops in turn.
PyTorch runs in bf16 or float32, crop by crop or all crops at once, whichever keeps the processors busy for less time.
Printed are medians of seconds per crop, of the clock and of the processors (which other programs disturb less), their
ratios (the mark: at most 1), the relative difference of the feature maps from PyTorch's fastest, and the projector's
tokens per second. `--folder` keeps the files for another run.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import CLIPVisionConfig

from engine.runtime.hardware import physical_cores
from engine.vision.blas_threads import BlasThreads
from engine.vision.clip import MtmdTower
from engine.vision.clip_cpu import CpuTower
from engine.vision.companion import Companion
from engine.vision.encoder import Tower
from engine.vision.hd_transform import CROP, CropGrid
from engine.vision.products import Float32Products, choose_products
from engine.vision.projector import Projector
from tests.helpers.clip_tower import companion_of, random_tower

Floats = NDArray[np.float32]

CLIP_L = CLIPVisionConfig(
    hidden_size=1024,
    intermediate_size=4096,
    num_hidden_layers=24,
    num_attention_heads=16,
    image_size=CROP,
    patch_size=14,
    hidden_act="quick_gelu",
)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--crops", type=int, default=5, help="5: a square picture with the fast setting")
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--float32", action="store_true", help="measure this engine's products in float32 too")
    parser.add_argument("--mtmd", action="store_true", help="measure mtmd on the CPU too")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    with _folder(options.folder) as folder:
        tower = random_tower(CLIP_L)
        companion = Companion(companion_of(tower, folder))
        crops = np.random.default_rng(0).standard_normal((options.crops, 3, CROP, CROP)).astype(np.float32)
        threads = BlasThreads(options.threads)
        reference, how = _fastest_reference(tower, crops)
        products = choose_products(companion)
        print(f"this engine multiplies in {products.reason}")
        sides = {how: reference, "this engine": _encoding(CpuTower(companion, threads, products))}
        if options.float32:
            sides["this engine in float32"] = _encoding(CpuTower(companion, threads, Float32Products("")))
        if options.mtmd:
            sides["mtmd on the CPU"] = _encoding(MtmdTower(companion, options.threads, use_gpu=False))
        _print_comparison(sides, how, crops, options.runs)
        _print_projector(Projector(companion, threads), options.runs)


@contextlib.contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _fastest_reference(tower: Any, crops: Floats) -> tuple[Callable[[Floats], Floats], str]:
    """Choose the precision by one crop, then the batch by all of them."""
    precisions = {}
    for dtype in (torch.float32, torch.bfloat16):
        model = _without_last_layer(tower, dtype)
        one = _reference(model, dtype, 1)
        one(crops[:1])
        precisions[dtype] = (min(_seconds(one, crops[:1])[1] for _ in range(3)), model)
        print(f"PyTorch, {dtype}: processors {precisions[dtype][0]:.2f} s for one crop")
    dtype = min(precisions, key=lambda dtype: precisions[dtype][0])
    batches = {batch: _reference(precisions[dtype][1], dtype, batch) for batch in (1, len(crops))}
    batch = min(batches, key=lambda batch: _seconds(batches[batch], crops)[1])
    return batches[batch], f"PyTorch, {dtype}, {batch} at once"


def _without_last_layer(tower: Any, dtype: torch.dtype) -> Any:
    model = type(tower)(CLIP_L).eval()
    model.load_state_dict(tower.state_dict())
    model.encoder.layers = model.encoder.layers[:-1]
    model.post_layernorm = torch.nn.Identity()
    return model.to(dtype)


def _reference(model: Any, dtype: torch.dtype, batch: int) -> Callable[[Floats], Floats]:
    def encode(crops: Floats) -> Floats:
        parts = torch.from_numpy(crops).to(dtype).split(batch)
        with torch.inference_mode():
            features: Floats = torch.cat([model(part).last_hidden_state[:, 1:] for part in parts]).float().numpy()
        return features

    return encode


def _encoding(tower: Tower) -> Callable[[Floats], Floats]:
    return lambda crops: tower.encode(crops, lambda done: None)


def _print_comparison(sides: dict[str, Callable[[Floats], Floats]], how: str, crops: Floats, runs: int) -> None:
    features = {label: side(crops) for label, side in sides.items()}
    seconds: dict[str, list[tuple[float, float]]] = {label: [] for label in sides}
    for _ in range(runs):
        for label, side in sides.items():
            seconds[label].append(_seconds(side, crops))
    medians = {label: np.median(values, axis=0) / len(crops) for label, values in seconds.items()}
    for label, (clock, processors) in medians.items():
        ratio, processor_ratio = medians[label] / medians[how]
        difference = np.linalg.norm(features[label] - features[how]) / np.linalg.norm(features[how])
        print(
            f"{label}: {clock:.2f} s per crop ({ratio:.2f} times), processors {processors:.2f} s "
            f"({processor_ratio:.2f} times), difference {difference:.0e}"
        )


def _print_projector(projector: Projector, runs: int) -> None:
    grid = CropGrid(4, 4)
    features = np.random.default_rng(0).standard_normal((grid.crops, 576, CLIP_L.hidden_size)).astype(np.float32)
    seconds = statistics.median(_seconds(lambda maps: projector.project(maps, grid), features)[0] for _ in range(runs))
    print(f"projector: {grid.tokens / seconds:.0f} tokens per second")


def _seconds(work: Callable[[Floats], Floats], given: Floats) -> tuple[float, float]:
    """Return how long the work takes by the clock, and how long it keeps processors busy."""
    started, busy = time.perf_counter(), time.process_time()
    work(given)
    return time.perf_counter() - started, time.process_time() - busy


if __name__ == "__main__":
    main()
