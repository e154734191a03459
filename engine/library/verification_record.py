"""Keep what a comparison with the reference found, beside the model that it was made with."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.verification.band_result import BandResult

RECORD_SUFFIX = ".verified.json"
KL_LIMITS = ((9.0, 0.02), (6.0, 0.05), (4.0, 0.2), (0.0, 0.6))
"""From so many bits per weight on, the largest mean divergence (nats) that quantisation alone explains."""


@dataclass(frozen=True)
class VerificationRecord:
    """Hold the figures of one comparison.

    Attributes:
        size_bytes, modified: of the GGUF that was compared; another file at its place makes the record void.
        checkpoint: name of the reference's directory.
        reference_dtype: number type that the reference was computed in.
        bits_per_weight: of the GGUF.
        bands: agreement per band of positions.
        clamp_share: how often Phi-3-small's clamps acted; None for other models.
        near_tie_share: how often near ties between Phi-3.5-MoE's experts changed their weights; None for other models.
    """

    size_bytes: int
    modified: int
    checkpoint: str
    reference_dtype: str
    bits_per_weight: float
    bands: tuple[BandResult, ...]
    clamp_share: float | None = None
    near_tie_share: float | None = None

    @property
    def verified(self) -> bool:
        """Tell whether every band agrees as well as the quantisation allows."""
        limit = next(limit for bits, limit in KL_LIMITS if self.bits_per_weight >= bits)
        return all(band.kl <= limit for band in self.bands)


def write_record(model: Path, record: VerificationRecord) -> Path:
    """Write the record of `model` beside it and return its path."""
    path = record_path(model)
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(asdict(record), indent=1), "utf-8")
    partial.replace(path)
    return path


def read_record(model: Path) -> VerificationRecord | None:
    """Read the record of `model`; None when there is none, or when it is about another file."""
    try:
        values = json.loads(record_path(model).read_text("utf-8"))
        bands = tuple(BandResult(**band) for band in values.pop("bands"))
        record = VerificationRecord(bands=bands, **values)
        status = model.stat()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_same = (record.size_bytes, record.modified) == (status.st_size, status.st_mtime_ns)
    return record if is_same else None


def record_path(model: Path) -> Path:
    """Return where the record of `model` is kept."""
    return model.with_name(model.name + RECORD_SUFFIX)
