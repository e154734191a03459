"""Cure the known faults of an existing GGUF file that can be cured without changing a digit of its weights."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from converter.architectures.phimoe import DEFAULT_JITTER, EXPERT_SCALE, ROUTER_SCALE, router_metadata
from converter.errors import ConversionError
from converter.faults import (
    END_OF_TURN_KEY,
    KNOWN_MOE_SCALE,
    TEMPLATE_KEY,
    Fault,
    find_faults,
    sliding_window,
    token_ids,
    wants_marker,
)
from converter.ggml_types import TENSOR_TYPES
from converter.gguf_file import GGUFHeader, MetadataType, read_header
from converter.gguf_stream import ProgressCallback, TensorToWrite, write_gguf
from converter.gguf_writer import TensorSpec, float32, numbers, string, uint32
from converter.granite_swa import ARCHITECTURE as GRANITE_SWA
from converter.granite_swa import PHI3_SOURCES, from_phi3, window_metadata
from converter.lazy_tensors import FileBytes, MappedRows, PackedRows, Rows, RowSource
from converter.metadata import (
    CONVERTER_VERSION,
    SOURCE_ARCHITECTURE_KEY,
    STOP_IDS_KEY,
    VERSION_KEY,
    general_name,
)
from converter.packed_scaling import scaled_rows
from converter.vocab import END_OF_TURN, NEXT_TURN, PHI3_TEMPLATE

SPLIT_KEY = "split.count"


@dataclass(frozen=True)
class RepairResult:
    """Tell which faults were cured and which are left."""

    path: Path
    size_bytes: int
    repaired: tuple[Fault, ...]
    remaining: tuple[Fault, ...]


class _Draft:
    """Hold a file's metadata and tensors while they are changed."""

    def __init__(self, header: GGUFHeader, file: FileBytes) -> None:
        self.header = header
        self.metadata = dict(header.metadata)
        self.tensors = {
            name: TensorToWrite(TensorSpec(name, info.shape, info.type), PackedRows(info, file), _unchanged)
            for name, info in header.tensors.items()
        }


def repair(source: Path, out: Path, progress: ProgressCallback | None = None) -> RepairResult:
    """Write the file `source` to `out` with everything cured that can be; weights move, but keep their bytes."""
    if out.exists() and out.samefile(source):
        raise ConversionError("bad_request", "A file cannot be repaired into itself.", "Choose another name.")
    header = read_header(source)
    if header.number(SPLIT_KEY, 1) > 1:
        raise ConversionError("model_unsupported", f"{source.name} is one part of a split model.", "Merge it first.")
    faults = find_faults(header)
    repairable = tuple(fault for fault in faults if fault.repairable)
    if not repairable:
        reason = "has no known fault" if not faults else "has only faults that cannot be cured in the file"
        raise ConversionError("bad_request", f"{source.name} {reason}.", "Import the checkpoint it was made from.")
    file = FileBytes(source)
    try:
        draft = _Draft(header, file)
        for fault in repairable:
            CURES[fault.code](draft)
        draft.metadata[VERSION_KEY] = uint32(CONVERTER_VERSION)
        size = write_gguf(out, draft.metadata, list(draft.tensors.values()), progress)
    finally:
        file.close()
    return RepairResult(out, size, repairable, find_faults(read_header(out)))


def _unchanged(rows: Rows) -> Rows:
    return rows


def _cure_sliding_window(draft: _Draft) -> None:
    """Bring the layers into the granite_swa layout."""
    header = draft.header
    n_heads = int(header.number("phi3.attention.head_count"))
    n_kv_heads = int(header.number("phi3.attention.head_count_kv", n_heads))
    layers = from_phi3({name: tensor.source for name, tensor in draft.tensors.items()}, n_heads, n_kv_heads)
    draft.tensors = {name: _carried(name, source, header) for name, source in layers.items()}
    for key in [key for key in draft.metadata if key.startswith("phi3.")]:
        draft.metadata[f"{GRANITE_SWA}.{key.removeprefix('phi3.')}"] = draft.metadata.pop(key)
    windowed = [True] * int(header.number("phi3.block_count"))
    draft.metadata |= window_metadata(sliding_window(header), windowed)
    draft.metadata["general.architecture"] = string(GRANITE_SWA)
    draft.metadata.setdefault(SOURCE_ARCHITECTURE_KEY, string("phi3"))
    if "rope_factors_long.weight" in layers:
        draft.metadata[f"{GRANITE_SWA}.rope.scaling.type"] = string("longrope")


def _carried(name: str, source: RowSource, header: GGUFHeader) -> TensorToWrite:
    """Announce a tensor of the new layout with the type of the tensor its rows come from."""
    prefix, _, kind = name.removesuffix(".weight").rpartition(".")
    parent = f"{prefix}.{PHI3_SOURCES[kind]}.weight" if kind in PHI3_SOURCES else name
    if parent in header.tensors:
        return TensorToWrite(TensorSpec(name, source.shape, header.tensors[parent].type), source, _unchanged)
    # The sinks are the one thing that was not in the file.
    return TensorToWrite(TensorSpec(name, source.shape, TENSOR_TYPES["f32"]), source, _as_bytes)


def _as_bytes(rows: Rows) -> Rows:
    return rows.view(np.uint8)


def _cure_long_rope_scale(draft: _Draft) -> None:
    header = draft.header
    architecture = header.architecture
    context = header.number(f"{architecture}.context_length")
    original = header.number(f"{architecture}.rope.scaling.original_context_length")
    scale = math.sqrt(1 + math.log(context / original) / math.log(original))
    draft.metadata[f"{architecture}.rope.scaling.attn_factor"] = float32(scale)


def _cure_moe_rope_scale(draft: _Draft) -> None:
    draft.metadata["phimoe.rope.scaling.attn_factor"] = float32(KNOWN_MOE_SCALE)


def _cure_moe_router(draft: _Draft) -> None:
    """Scale routers and experts as a conversion does (architectures/phimoe.py)."""
    factors = {"ffn_gate_inp.weight": ROUTER_SCALE, "ffn_down_exps.weight": EXPERT_SCALE}
    for name, tensor in draft.tensors.items():
        factor = next((factor for ending, factor in factors.items() if name.endswith(ending)), None)
        if factor is not None:
            scale = partial(scaled_rows, tensor_type=tensor.spec.type, factor=factor)
            draft.tensors[name] = TensorToWrite(tensor.spec, MappedRows(tensor.source, scale), _unchanged)
    draft.metadata |= router_metadata(DEFAULT_JITTER)


def _cure_name_marker(draft: _Draft) -> None:
    name = draft.header.text("general.name") or draft.header.path.stem
    draft.metadata["general.name"] = string(general_name(name, wants_marker(draft.header)))


def _cure_chat_template(draft: _Draft) -> None:
    draft.metadata[TEMPLATE_KEY] = string(PHI3_TEMPLATE)


def _cure_end_of_turn(draft: _Draft) -> None:
    ids = token_ids(draft.header)
    stops = {ids[token] for token in (*END_OF_TURN, *NEXT_TURN, "<|endoftext|>") if token in ids}
    eos = draft.header.get("tokenizer.ggml.eos_token_id")
    stops |= {eos} if isinstance(eos, int) else set()
    draft.metadata[END_OF_TURN_KEY] = uint32(ids[END_OF_TURN[0]])
    draft.metadata[STOP_IDS_KEY] = numbers(sorted(stops), MetadataType.INT32)


CURES: dict[str, Callable[[_Draft], None]] = {
    "sliding_window": _cure_sliding_window,
    "long_rope_scale": _cure_long_rope_scale,
    "moe_rope_scale": _cure_moe_rope_scale,
    "moe_router": _cure_moe_router,
    "name_marker": _cure_name_marker,
    "chat_template": _cure_chat_template,
    "end_of_turn": _cure_end_of_turn,
}
