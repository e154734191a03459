"""Convert a LoRA adapter of PEFT to a GGUF file that llama.cpp adds to its converted base model."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from converter.adapter import Adapter, read_adapter
from converter.adapter_file import A_SUFFIX, ADAPTER, ALPHA_KEY, B_SUFFIX, LORA, METHOD_KEY, TYPE_KEY
from converter.base_fingerprint import fingerprint
from converter.checkpoint import Checkpoint
from converter.convert import folder_name
from converter.errors import ConversionError
from converter.expert_layout import with_separate_experts
from converter.ggml_types import TENSOR_TYPES, FileType, TensorType, file_type
from converter.gguf_stream import ProgressCallback, TensorToWrite, write_gguf
from converter.gguf_writer import TensorSpec, float32, string, uint32
from converter.lazy_tensors import JoinedRows, MappedRows, RowSource, row_count, rows_per_chunk
from converter.low_rank import Zeros
from converter.low_rank_plan import PlannedChange, merge_instead, plan_changes
from converter.metadata import (
    ADAPTER_BASE_KEY,
    BASE_FINGERPRINT_KEY,
    CONVERTER_VERSION,
    SOURCE_ARCHITECTURE_KEY,
    SOURCE_NAME_KEY,
    VERSION_KEY,
    Metadata,
)
from converter.model_plan import ModelPlan
from converter.row_encoding import pack_rows
from converter.tied_head import EMBEDDING, HEAD, OwnHead, is_tied

OUTTYPES = ("f32", "f16", "bf16")


@dataclass(frozen=True)
class LoraResult:
    """Tell what a conversion made: `base` is the name of the model that the adapter belongs to."""

    path: Path
    architecture: str
    name: str
    base: str
    alpha: float
    n_tensors: int
    size_bytes: int


def convert_lora(
    folder: Path,
    base: Path,
    out: Path,
    *,
    outtype: str = "f32",
    name: str | None = None,
    progress: ProgressCallback | None = None,
) -> LoraResult:
    """Convert the adapter in `folder`, trained on the checkpoint `base`, to the GGUF file `out`.

    Its factors follow the layout that `base` gets from `converter.convert`. What llama.cpp cannot add while it runs
    (DoRA, trained embeddings, biases and whole modules) is refused: `converter.merge` keeps it.
    """
    if outtype not in OUTTYPES:
        raise ConversionError(
            "bad_request", f"An adapter cannot be written as {outtype}.", f"Choose one of {', '.join(OUTTYPES)}."
        )
    checkpoint = Checkpoint(Path(base))
    try:
        shown = with_separate_experts(checkpoint)
        shown = OwnHead(shown) if is_tied(shown) else shown
        adapter = read_adapter(Path(folder), shown)
        try:
            _refuse_what_needs_merging(adapter, shown, is_tied(checkpoint))
            plan, changes = plan_changes(with_separate_experts(checkpoint), adapter)
            alpha = _common_alpha(adapter)
            tensors = _tensors_to_write(adapter, changes, alpha, file_type(outtype))
            shown_name = name or adapter.name
            metadata = _metadata(plan, shown_name, alpha, file_type(outtype), checkpoint)
            size = write_gguf(Path(out), metadata, tensors, progress)
        finally:
            adapter.close()
    finally:
        checkpoint.close()
    return LoraResult(
        Path(out), plan.architecture, shown_name, folder_name(checkpoint.folder), alpha, len(tensors), size
    )


def _refuse_what_needs_merging(adapter: Adapter, base: Checkpoint, tied: bool) -> None:
    trained = [name for name in adapter.replaced if not _is_same(adapter, base, name)]
    reasons = {
        "it was trained with DoRA": adapter.magnitudes,
        "it has trained biases": [*adapter.bias_changes, *(name for name in trained if name.endswith("bias"))],
        "it has newly trained tokens": adapter.token_rows,
        "it changes the embeddings": [name for name in adapter.changes if name == EMBEDDING],
        "it changes an output matrix that the model shares with its embeddings": [
            name for name in adapter.changes if tied and name == HEAD
        ],
        "it holds whole trained modules": trained,
    }
    for reason, found in reasons.items():
        if found:
            raise merge_instead(reason)
    if not adapter.changes:
        raise merge_instead("it holds whole modules only")


def _is_same(adapter: Adapter, base: Checkpoint, name: str) -> bool:
    """Tell whether a whole tensor in the adapter is only a copy: PEFT saves one of an output matrix with LoRA."""
    ours, theirs = adapter.replaced[name], base.tensor(name, base.shape(name))
    n_rows, step = row_count(ours), rows_per_chunk(ours.shape[-1])
    chunks = ((start, min(start + step, n_rows)) for start in range(0, n_rows, step))
    return all(np.array_equal(ours.rows(*chunk), theirs.rows(*chunk)) for chunk in chunks)


def _common_alpha(adapter: Adapter) -> float:
    """Return the alpha that suits most modules; llama.cpp has one a file, and divides it by each tensor's rank."""
    alphas = Counter(change.scale * change.rank for change in adapter.changes.values())
    alpha = float(np.float32(alphas.most_common(1)[0][0]))
    return alpha if alpha != 0 else 1.0


def _metadata(plan: ModelPlan, name: str, alpha: float, kind: FileType, base: Checkpoint) -> Metadata:
    return {
        "general.architecture": string(plan.architecture),
        TYPE_KEY: string(ADAPTER),
        METHOD_KEY: string(LORA),
        ALPHA_KEY: float32(alpha),
        "general.name": string(name),
        "general.file_type": uint32(kind.id),
        VERSION_KEY: uint32(CONVERTER_VERSION),
        SOURCE_NAME_KEY: string(name),
        SOURCE_ARCHITECTURE_KEY: string(str(base.config["model_type"])),
        ADAPTER_BASE_KEY: string(folder_name(base.folder)),
        BASE_FINGERPRINT_KEY: string(fingerprint(base)),
    }


def _tensors_to_write(
    adapter: Adapter, changes: dict[str, PlannedChange], alpha: float, kind: FileType
) -> list[TensorToWrite]:
    tensor_type = TENSOR_TYPES[kind.tensor_type]
    tensors = []
    for name, change in changes.items():
        # llama.cpp multiplies by alpha / rank; the scale of this change is already in its B.
        factor = np.float32(change.rank / alpha)
        b = MappedRows(change.b, partial(np.multiply, factor))
        tensors.append(_to_write(name + A_SUFFIX, _a(adapter, change), tensor_type))
        tensors.append(_to_write(name + B_SUFFIX, b, tensor_type))
    return tensors


def _a(adapter: Adapter, change: PlannedChange) -> RowSource:
    """Return A, or those of all experts one after another, each filled up to the same rank."""
    columns = next(adapter.changes[name].a.shape[1] for name in change.a if name is not None)
    parts: list[RowSource] = []
    for name in change.a:
        rank = 0 if name is None else adapter.changes[name].rank
        parts += [] if name is None else [adapter.changes[name].a]
        parts += [Zeros((change.rank - rank, columns))] if rank < change.rank else []
    return JoinedRows(parts, _shape(len(change.a), change.rank, columns))


def _shape(n_matrices: int, rows: int, columns: int) -> tuple[int, ...]:
    return (rows, columns) if n_matrices == 1 else (n_matrices, rows, columns)


def _to_write(name: str, source: RowSource, tensor_type: TensorType) -> TensorToWrite:
    pack = partial(pack_rows, tensor_type=tensor_type, quantizer=None)
    return TensorToWrite(TensorSpec(name, source.shape, tensor_type), source, pack)
