"""Compare `engine import` with llama.cpp's own way: convert_hf_to_gguf.py to bf16, then llama.cpp's quantiser.

    python benchmarks/import_model.py CHECKPOINT --llama-cpp DIR [--quant q4_k_m] [--rounds 3]

DIR is the llama.cpp folder inside llama-cpp-python's source package (`pip download --no-binary :all: --no-deps
llama-cpp-python==0.3.36`, then vendor/llama.cpp). Both ways run in turn on the same checkpoint; printed are medians of
wall time and peak resident memory (the largest process of each way), their ratio, and the largest amount on disk.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Cost:
    """Hold what one run took."""

    seconds: float
    peak_bytes: int
    disk_bytes: int


def measure(commands: list[list[str]], folder: Path) -> Cost:
    """Run commands one after another; sum the time, take the largest resident memory of any process below them."""
    started = time.perf_counter()
    peak = 0
    for command in commands:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"failed: {' '.join(command)}")
        peak = max(peak, usage.ru_maxrss * 1024)
    return Cost(time.perf_counter() - started, peak, sum(file.stat().st_size for file in folder.iterdir()))


def ours(checkpoint: Path, quant: str, folder: Path) -> Cost:
    """Import in one pass. The job is a child of the command, so its memory is asked of the job directly."""
    (folder / "job.json").write_text(
        f'{{"kind":"import","source":"{checkpoint}","out":"{folder / "model.gguf"}","quantization":"{quant}"}}'
    )
    cost = measure([[sys.executable, "-m", "engine.jobs", str(folder)]], folder)
    return Cost(cost.seconds, cost.peak_bytes, (folder / "model.gguf").stat().st_size)


def theirs(checkpoint: Path, quant: str, folder: Path, llama_cpp: Path) -> Cost:
    """Convert to bf16, then quantise that file with the library's own function."""
    middle, out = folder / "bf16.gguf", folder / "model.gguf"
    convert = [sys.executable, str(llama_cpp / "convert_hf_to_gguf.py"), str(checkpoint)]
    program = (
        "import ctypes, sys, llama_cpp.llama_cpp as l;"
        "p = l.llama_model_quantize_default_params(); p.ftype = int(sys.argv[3]);"
        "sys.exit(l.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), ctypes.byref(p)))"
    )
    from converter.ggml_types import file_type

    quantize = [sys.executable, "-c", program, str(middle), str(out), str(file_type(quant).id)]
    return measure([[*convert, "--outtype", "bf16", "--outfile", str(middle)], quantize], folder)


def main() -> None:
    """Read the command line, run both ways in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--llama-cpp", type=Path, required=True)
    parser.add_argument("--quant", default="q4_k_m")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    checkpoint = arguments.checkpoint.resolve()
    costs: dict[str, list[Cost]] = {"phidelity": [], "llama.cpp": []}
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            costs["phidelity"].append(ours(checkpoint, arguments.quant, Path(folder)))
        with tempfile.TemporaryDirectory() as folder:
            costs["llama.cpp"].append(theirs(checkpoint, arguments.quant, Path(folder), arguments.llama_cpp.resolve()))
    for name, runs in costs.items():
        seconds = statistics.median(cost.seconds for cost in runs)
        peak = statistics.median(cost.peak_bytes for cost in runs)
        print(f"{name:10} {seconds:8.1f} s   peak {peak / 1e6:7.0f} MB   on disk {runs[0].disk_bytes / 1e9:6.2f} GB")
    medians = [statistics.median(cost.seconds for cost in runs) for runs in costs.values()]
    print(f"wall ratio {medians[0] / medians[1]:.2f}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
