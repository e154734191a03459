"""Compare a GGUF file with its checkpoint's reference in PyTorch, one after the other in memory."""

import gc
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from converter.configuration import DEFAULT_ORIGINAL_CONTEXT
from converter.errors import ConversionCancelled
from engine.data.libraries import how_to_install
from engine.errors import EngineError
from engine.jobs.events import JobProgress, VerifyJob
from engine.library.folders import assets_dir
from engine.library.scanner import read_card
from engine.library.verification_record import VerificationRecord, write_record
from engine.verification.bands import Sequence, choose_sequences
from engine.verification.candidate import Candidate
from engine.verification.compare import Rows, compare_rows

Report = Callable[[JobProgress], None]


def verify_model(job: VerifyJob, report: Report, stopped: Callable[[], bool]) -> dict[str, Any]:
    """Compare, keep the figures beside the model, and return them with `path` and `verified`.

    The GGUF is evaluated first and freed before the reference is loaded. Raises EngineError.
    """
    model, checkpoint = Path(job.model), Path(job.checkpoint)
    sequences = _sequences(checkpoint, job.context)
    ids, ours, near_tie_share = _candidate_rows(model, sequences, report, stopped)
    reference, dtype, clamp_share = _reference_rows(checkpoint, ids, sequences, report, stopped)
    bands = []
    for sequence, theirs, own in zip(sequences, reference, ours, strict=True):
        start = 0
        for band in sequence.bands:
            end = start + len(band.positions)
            bands.append(compare_rows(band.name, band.first, band.last, own[start:end], theirs[start:end]))
            start = end
    card, status = read_card(model), model.stat()
    bits = 8 * card.size_bytes / max(card.parameters, 1)
    record = VerificationRecord(
        status.st_size,
        status.st_mtime_ns,
        checkpoint.name,
        dtype,
        bits,
        tuple(bands),
        clamp_share,
        near_tie_share,
    )
    write_record(model, record)
    return {"path": str(model), "verified": record.verified, **asdict(record)}


def _sequences(checkpoint: Path, most: int) -> list[Sequence]:
    try:
        config = json.loads((checkpoint / "config.json").read_text("utf-8"))
        context = int(config["max_position_embeddings"])
        rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
        original = config.get("original_max_position_embeddings") or rope.get("original_max_position_embeddings")
        has_long_rope = "long_factor" in rope
        window, window_name = _window(config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{checkpoint.name} holds no usable config.json."
        raise EngineError("model_invalid", message, "Choose the checkpoint's directory.", str(error)) from error
    limit = min(context, most) if most else context
    line = int(original or (DEFAULT_ORIGINAL_CONTEXT if has_long_rope else context))
    return choose_sequences(limit, line, window, has_long_rope, window_name)


def _window(config: dict[str, Any]) -> tuple[int, str]:
    """Return up to how many tokens attention sees everything, and what to call them."""
    if config.get("model_type") == "phi3small":
        blocks = config.get("blocksparse_num_local_blocks", 16)
        return int(config.get("blocksparse_block_size", 64)) * int(blocks), "local blocks"
    return int(config.get("sliding_window") or 0), "sliding window"


def _reference_rows(
    checkpoint: Path, ids: list[int], sequences: list[Sequence], report: Report, stopped: Callable[[], bool]
) -> tuple[list[Rows], str, float | None]:
    try:
        from engine.verification.reference import Reference
    except ImportError as error:
        message = "Comparing needs PyTorch and transformers, which are not installed."
        raise EngineError("model_unsupported", message, how_to_install(), str(error)) from error
    reference = Reference(checkpoint)
    rows = []
    for number, sequence in enumerate(sequences):
        if stopped():
            raise ConversionCancelled
        report(JobProgress("reference", number, len(sequences), "sequences"))
        rows.append(reference.rows(ids, sequence))
    dtype, clamp_share = str(reference.dtype).removeprefix("torch."), reference.clamp_share
    del reference
    gc.collect()
    return rows, dtype, clamp_share


def _candidate_rows(
    model: Path, sequences: list[Sequence], report: Report, stopped: Callable[[], bool]
) -> tuple[list[int], list[Rows], float | None]:
    """Evaluate the shipped text, encoded by the model itself; return ids, rows, and the share of near ties."""
    longest = max(sequence.length for sequence in sequences)
    total = sum(len(band.positions) for sequence in sequences for band in sequence.bands)
    done = 0

    def on_position() -> None:
        nonlocal done
        done += 1
        if stopped():
            raise ConversionCancelled
        report(JobProgress("compare", done, total, "positions"))

    candidate = Candidate(model, longest)
    try:
        ids = candidate.encode((assets_dir() / "verification" / "text.txt").read_text("utf-8"))
        if not ids:
            message = f"{model.name} turns text into no tokens."
            raise EngineError("model_invalid", message, "Convert the checkpoint again.")
        ids = (ids * (longest // len(ids) + 1))[:longest]
        rows = [candidate.rows(ids, sequence, on_position) for sequence in sequences]
        return ids, rows, candidate.near_tie_share
    finally:
        candidate.close()
