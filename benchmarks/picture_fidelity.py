"""Compare conversations with pictures with the reference vectors of the tiny vision model.

Run `python -m benchmarks.picture_fidelity`. The checkpoint of tests/data/phi3v-tiny is converted with a float32
language model, and with its tower in float32 or as a 16-bit import has it; each case of the vectors goes through the
session as a chat does. Printed are the relative differences of the projected embeddings and of the last logits.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converter.convert import convert
from engine.protocol import Load, Logits, Message
from engine.runtime.cancellation import Cancellation
from engine.runtime.native_log import NativeLog
from engine.runtime.session import Session
from tests.engine.vision.vectors import CASES, FOLDER, Case
from tests.helpers.fixtures import unpack_checkpoint


@dataclass(frozen=True)
class Difference:
    """Hold how far one case is from the reference; vectors of two pictures have no embeddings."""

    embeddings: str
    logits: float
    same_top: bool


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = unpack_checkpoint("phi3v-tiny", folder)
        model = convert(checkpoint, folder / "f32.gguf", outtype="f32")
        packed = convert(checkpoint, folder / "f16.gguf", outtype="f16")
        exact = differences(model.path, model.companion, folder)
        usual = differences(model.path, packed.companion, folder)
        print("| case | tokens | embeddings, f32 tower | logits | embeddings, 16-bit tower | logits | same top token |")
        print("|---|---|---|---|---|---|---|")
        for case, first, second in zip(with_pictures(), exact, usual, strict=True):
            figures = f"{first.embeddings} | {first.logits:.1e} | {second.embeddings} | {second.logits:.1e}"
            same = "yes" if first.same_top and second.same_top else "no"
            print(f"| {case} | {len(case.arrays['input_ids']):,} | {figures} | {same} |")


def with_pictures() -> list[Case]:
    """Return the cases that have pictures."""
    return [case for case in CASES if case.pictures]


def differences(model: Path, companion: Path | None, folder: Path) -> Iterator[Difference]:
    """Evaluate every case with a model and a companion."""
    session = Session(NativeLog())
    session.load(Load(str(model), companion=str(companion)), Cancellation(), lambda _: None)
    for case in with_pictures():
        text = case.prompt.removeprefix("<|user|>\n").removesuffix("<|end|>\n<|assistant|>\n")
        message = Message("user", text, tuple(str(FOLDER / name) for name in case.pictures))
        out = folder / "logits.npz"
        request = Logits(str(out), messages=(message,), num_crops=case.num_crops)
        session.logits(request, Cancellation(), lambda *_: None)
        with np.load(out) as found:
            yield Difference(
                f"{relative(found['image_embeds'][case.arrays['rows']], case.arrays['embeds_rows']):.1e}"
                if "rows" in case.arrays
                else "–",
                relative(found["logits"][::16], case.arrays["logits_stride16"]),
                bool(found["logits"].argmax() == case.arrays["top_ids"][0]),
            )
    session.unload()


def relative(ours: np.ndarray, wanted: np.ndarray) -> float:
    """Return ||ours - wanted|| / ||wanted||."""
    return float(np.linalg.norm(ours - wanted) / np.linalg.norm(wanted))


if __name__ == "__main__":
    main()
