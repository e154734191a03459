"""Compare stock llama.cpp and Phidelity with the reference, and write the table of docs/fidelity.md.

    make fidelity                       (or: python -m benchmarks.fidelity [--only TEXT])

Builds small random checkpoints of the family's architectures with the real lines (sliding window 2,047, LongRoPE at
4,096), converts each with llama.cpp's own converter and with ours, evaluates the same ids and compares rows of logits
with transformers in float32. llama.cpp's converter comes from llama-cpp-python's source package, which pip fetches;
both files run on the installed library, stock with a context of 8,192 tokens. With `--only` the models whose name has
the text are compared, and the rows of the others stay.
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converter.convert import convert
from engine.protocol import Runtime
from engine.verification.bands import Band, Sequence, choose_sequences
from engine.verification.candidate import Candidate
from engine.verification.compare import Rows, compare_rows
from engine.verification.reference import Reference
from tests.helpers.checkpoints import make_phi3, make_phimoe
from tests.helpers.fixtures import unpack_checkpoint
from tests.helpers.logits import llama_logits

PAGE = Path(__file__).parents[1] / "docs" / "fidelity.md"
BEGIN, END = "<!-- table: make fidelity -->\n", "<!-- end -->\n"
STOCK_CONTEXT = 8192
HEADING = [
    "| model | tokens | band | stock rel | stock KL | Phidelity rel | Phidelity KL |",
    "|---|---|---|---|---|---|---|",
]
SOURCE_PACKAGE = "llama-cpp-python==0.3.36"


@dataclass(frozen=True)
class Variant:
    """Name a model of the family, its random checkpoint, and where it is compared."""

    name: str
    checkpoint: Path
    sequences: list[Sequence]
    runtime: Runtime = "auto"


def make_variants(folder: Path) -> list[Variant]:
    """Build the checkpoints."""
    sizes: dict[str, Any] = {"num_hidden_layers": 3}
    window = {"sliding_window": 2047, **sizes}
    grouped = {"num_attention_heads": 8, "num_key_value_heads": 2}
    windowed = choose_sequences(4096, 4096, 2047, False)
    long = choose_sequences(8192, 4096, 0, True)
    up_to_line = choose_sequences(4096, 4096, 0, False) + long[1:2]
    return [
        Variant("phi-3-mini-4k", make_phi3(folder / "Phi-3-mini-4k", "mini", **window), windowed),
        Variant("phi-3-mini-128k, 3.5-mini", make_phi3(folder / "Phi-3.5-mini", "mini-128k", **sizes), long),
        Variant("phi-3-medium-4k", make_phi3(folder / "Phi-3-medium-4k", "medium", **window), windowed),
        Variant("phi-3-medium-128k", make_phi3(folder / "Phi-3-medium-128k", "mini-128k", **sizes, **grouped), long),
        Variant("phi-3.5-MoE", make_phimoe(folder / "Phi-3.5-MoE"), up_to_line),
        Variant("Phi-4-mini", make_phi3(folder / "Phi-4-mini", "phi-4-mini", **sizes), long),
        *make_small_variants(folder),
    ]


def make_small_variants(folder: Path) -> list[Variant]:
    """Build Phi-3-small on both runtimes; the line of its 128k model is at 1,024 tokens here."""
    blocks = choose_sequences(4096, 4096, 1024, False, "local blocks")
    blocks.append(Sequence(4096, (Band("far beyond the local blocks", 4080, 4095),)))
    plain, long = (unpack_checkpoint("phi3small-tiny", folder / name) for name in ("8k", "128k"))
    (long / "config.longrope.json").replace(long / "config.json")
    return [
        Variant("phi-3-small-8k, llama.cpp", plain, blocks, "llama.cpp"),
        Variant("phi-3-small-8k, PyTorch", plain, blocks, "pytorch"),
        Variant("phi-3-small-128k, PyTorch", long, choose_sequences(4096, 1024, 0, True), "pytorch"),
    ]


def stock_file(variant: Variant, llama_cpp: Path) -> Path | None:
    """Convert with llama.cpp's own script; None when it does not know the architecture."""
    out = variant.checkpoint.with_suffix(".stock.gguf")
    config = variant.checkpoint / "config.json"
    # transformers 5 spells the mixture's class in another way than the Hub, which is what the script knows.
    config.write_text(config.read_text("utf-8").replace("PhimoeForCausalLM", "PhiMoEForCausalLM"), "utf-8")
    script = [sys.executable, str(llama_cpp / "convert_hf_to_gguf.py"), str(variant.checkpoint)]
    finished = subprocess.run([*script, "--outtype", "f32", "--outfile", str(out)], capture_output=True, check=False)
    return out if finished.returncode == 0 else None


def rows_of(variant: Variant, llama_cpp: Path, ids: list[int]) -> tuple[list[Rows | None], list[Rows], list[Rows]]:
    """Evaluate the variant's sequences with stock llama.cpp, with Phidelity, and with the reference."""
    kept = [[position for band in each.bands for position in band.positions] for each in variant.sequences]
    stock_path = stock_file(variant, llama_cpp)
    stock: list[Rows | None] = []
    for sequence, positions in zip(variant.sequences, kept, strict=True):
        if stock_path is None:
            stock.append(None)
            continue
        first = min(positions)
        window = slice(first, max(positions) + 1)
        rows = llama_logits(stock_path, ids[: sequence.length], n_ctx=STOCK_CONTEXT, rows=window)
        stock.append(rows[np.array(positions) - first])
    path = convert(variant.checkpoint, variant.checkpoint.with_suffix(".gguf"), outtype="f32").path
    candidate = Candidate(path, max(sequence.length for sequence in variant.sequences), variant.runtime)
    ours = [candidate.rows(ids, sequence, lambda: None) for sequence in variant.sequences]
    candidate.close()
    reference = Reference(variant.checkpoint)
    return stock, ours, [reference.rows(ids, sequence) for sequence in variant.sequences]


def compared(variants: list[Variant], llama_cpp: Path) -> list[str]:
    """Compare variants and return their lines of the table."""
    lines = []
    for variant in variants:
        vocabulary = 900 if "small" in variant.name else 32000
        ids = np.random.default_rng(5).integers(3, vocabulary, 8192).tolist()
        for sequence, stock, ours, reference in zip(variant.sequences, *rows_of(variant, llama_cpp, ids), strict=True):
            start = 0
            for band in sequence.bands:
                part = slice(start, start + len(band.positions))
                start = part.stop
                place = (band.name, band.first, band.last)
                mine = compare_rows(*place, ours[part], reference[part])
                theirs = None if stock is None else compare_rows(*place, stock[part], reference[part])
                other = "unsupported | –" if theirs is None else f"{theirs.relative_error:.1e} | {theirs.kl:.1e}"
                figures = f"{other} | {mine.relative_error:.1e} | {mine.kl:.1e}"
                lines.append(f"| {variant.name} | {band.first}–{band.last} | {band.name} | {figures} |")
                print(lines[-1], flush=True)
    return lines


def merged(old: list[str], new: list[str], names: list[str]) -> list[str]:
    """Return the table with the lines of some models replaced, in the order of `names`."""
    renewed = {_model(line) for line in new}
    kept = [line for line in old if _model(line) in names and _model(line) not in renewed]
    rows = sorted([*kept, *new], key=lambda line: names.index(_model(line)))
    return [*HEADING, *rows]


def _model(line: str) -> str:
    return line.split("|")[1].strip()


def main() -> None:
    """Fetch the source package, compare, and put the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="compare models whose name has this text")
    only = parser.parse_args().only
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*download, "-d", name, SOURCE_PACKAGE], check=True, stderr=subprocess.DEVNULL)
        (package,) = folder.glob("llama_cpp_python-*.tar.gz")
        with tarfile.open(package) as archive:
            archive.extractall(folder, filter="data")
        (source,) = folder.glob("llama_cpp_python-*/vendor/llama.cpp")
        variants = make_variants(folder)
        new = compared([variant for variant in variants if only in variant.name], source)
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    old, _, after = rest.partition(END)
    lines = merged(old.splitlines(), new, [variant.name for variant in variants])
    PAGE.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + after, "utf-8")


if __name__ == "__main__":
    main()
