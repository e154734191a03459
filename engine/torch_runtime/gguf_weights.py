"""Read the weights of Phi-3-small from a GGUF file of any type, with the converter's folding undone.

converter/architectures/phi3small.py says what was folded. Undone are the order of rows, the factor of the quick GELU
and the `+ 1` of the linear branch, so that the clamps find the values they are meant for. What needs no undoing stays:
the norms' biases are part of those of the next matrices, and what is written to the residual stream is centred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from converter.architectures.phi3small import QUICK_GELU, gate_rows, head_rows, linear_rows
from converter.configuration import DecoderSize
from converter.errors import ConversionError
from converter.gguf_file import GGUFHeader, TensorInfo
from converter.lazy_tensors import FileBytes, PackedRows, rows_per_chunk
from engine.errors import EngineError
from engine.torch_runtime.ggml_rows import unpack_rows
from engine.torch_runtime.gguf_config import LONG_FACTORS, SHORT_FACTORS
from engine.torch_runtime.phi3small_config import Phi3SmallConfig

_AGAIN = "Get the file again, or convert the checkpoint again."
# Norms are computed in float32, and logits should not be rounded to what the weights are kept in.
_ALWAYS_FLOAT32 = ("norm.weight", "lm_head.weight")


@dataclass(frozen=True)
class Part:
    """Say where the numbers of one tensor of the file belong.

    Attributes:
        source: name in the file.
        target: name on the Hub.
        shape: of the source.
        rows: for each row of the source its row of the target; None where they are the same.
        factor, addend: what to multiply the numbers by, and to add then.
    """

    source: str
    target: str
    shape: tuple[int, ...]
    rows: NDArray[np.int64] | None = None
    factor: float = 1.0
    addend: float = 0.0


def read_weights(
    header: GGUFHeader,
    config: Phi3SmallConfig,
    dtype: torch.dtype,
    device: torch.device,
    on_rows: Callable[[float], None],
) -> dict[str, Tensor]:
    """Return the weights under the Hub's names; `on_rows` gets a fraction and may raise. Raises EngineError.

    Only a few rows are in memory twice.
    """
    parts = list(_parts(config))
    infos = [_checked(header, part) for part in parts]
    weights = _allocate(parts, dtype, device)
    total, done = sum(info.nbytes for info in infos), 0
    with closing(FileBytes(header.path)) as file:
        try:
            for part, info in zip(parts, infos, strict=True):
                for rows, values in _rows(part, info, file):
                    values = values.to(weights[part.target].dtype).to(device)
                    weights[part.target][rows] = values
                    done += info.type.row_bytes(info.shape[-1]) * values.numel() // info.shape[-1]
                    on_rows(done / total)
        except ConversionError as error:
            raise EngineError(error.code, error.message, error.remedy) from error
    return weights


def with_rope_factors(header: GGUFHeader, config: Phi3SmallConfig) -> Phi3SmallConfig:
    """Return a configuration with LongRoPE's factors, which are tensors; the same for models without them."""
    if config.rope_scaling is None:
        return config
    factors = {}
    with closing(FileBytes(header.path)) as file:
        for key, name in (("long_factor", LONG_FACTORS), ("short_factor", SHORT_FACTORS)):
            part = Part(name, name, (config.head_dim // 2,))
            ((_, values),) = _rows(part, _checked(header, part), file)
            if not bool((values > 0).all()):
                raise EngineError("model_invalid", f"The weights {name!r} are not all above 0.", _AGAIN)
            factors[key] = values.tolist()
    return replace(config, rope_scaling={**config.rope_scaling, **factors})


def weight_bytes(config: Phi3SmallConfig, item_bytes: int) -> int:
    """Return the memory of the weights when their numbers take `item_bytes`."""
    return sum(
        int(np.prod(part.shape)) * (4 if part.target.endswith(_ALWAYS_FLOAT32) else item_bytes)
        for part in _parts(config)
    )


def _allocate(parts: list[Part], dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """Return tensors that hold nothing yet; a target has as many rows as all its parts together."""
    rows: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for part in parts:
        rows[part.target] = rows.get(part.target, 0) + part.shape[0]
        shapes[part.target] = part.shape[1:]
    try:
        return {
            name: torch.empty(
                n_rows, *shapes[name], dtype=torch.float32 if name.endswith(_ALWAYS_FLOAT32) else dtype, device=device
            )
            for name, n_rows in rows.items()
        }
    except RuntimeError as error:
        sentence = "There is not enough memory for this model."
        raise EngineError("out_of_memory", sentence, "Close other programs.", str(error)) from error


def _checked(header: GGUFHeader, part: Part) -> TensorInfo:
    info = header.tensors.get(part.source)
    if info is None:
        raise EngineError("model_invalid", f"The model lacks the weights {part.source!r}.", _AGAIN)
    if info.shape != part.shape:
        sentence = f"The weights {part.source!r} do not have the shape that the file announces."
        raise EngineError("model_invalid", sentence, _AGAIN)
    return info


def _rows(part: Part, info: TensorInfo, file: FileBytes) -> Iterator[tuple[Any, Tensor]]:
    """Give places in the target and the numbers that belong there, a few rows at a time; a vector is given at once."""
    packed = PackedRows(info, file)
    step = rows_per_chunk(info.shape[-1])
    for start in range(0, info.n_rows, step):
        stop = min(start + step, info.n_rows)
        values = unpack_rows(packed.rows(start, stop), info.type)
        if (part.factor, part.addend) != (1.0, 0.0):
            values = values * np.float32(part.factor) + np.float32(part.addend)
        if len(info.shape) == 1:
            yield slice(None) if part.rows is None else torch.from_numpy(part.rows), torch.from_numpy(values[0])
        else:
            rows = slice(start, stop) if part.rows is None else torch.from_numpy(part.rows[start:stop])
            yield rows, torch.from_numpy(values)


def _parts(config: Phi3SmallConfig) -> Iterator[Part]:
    width, table = config.hidden_size, (config.vocab_size, config.hidden_size)
    yield Part("token_embd.weight", "model.embed_tokens.weight", table)
    yield Part("output.weight", "lm_head.weight", table)
    yield Part("output_norm.weight", "model.final_layernorm.weight", (width,))
    for layer in range(config.num_hidden_layers):
        yield from _attention(config, f"blk.{layer}.", f"model.layers.{layer}.")
        yield from _feed_forward(config, f"blk.{layer}.", f"model.layers.{layer}.")


def _attention(config: Phi3SmallConfig, source: str, target: str) -> Iterator[Part]:
    width, head = config.hidden_size, config.head_dim
    sizes = DecoderSize(
        vocabulary=config.vocab_size,
        embedding=width,
        feed_forward=config.ff_intermediate_size,
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        n_kv_heads=config.num_key_value_heads,
        context=config.max_position_embeddings,
    )
    yield Part(source + "attn_norm.weight", target + "input_layernorm.weight", (width,))
    for name, rows in head_rows(sizes).items():
        joined = target + "self_attn.query_key_value"
        yield Part(f"{source}attn_{name}.weight", joined + ".weight", (len(rows), width), rows)
        yield Part(f"{source}attn_{name}.bias", joined + ".bias", (len(rows),), rows)
    dense = target + "self_attn.dense"
    yield Part(source + "attn_output.weight", dense + ".weight", (width, config.num_attention_heads * head))
    yield Part(source + "attn_output.bias", dense + ".bias", (width,))


def _feed_forward(config: Phi3SmallConfig, source: str, target: str) -> Iterator[Part]:
    width, inner = config.hidden_size, config.ff_intermediate_size
    up, down = target + "mlp.up_proj", target + "mlp.down_proj"
    gate, linear, shrink = gate_rows(inner), linear_rows(inner), 1 / QUICK_GELU
    yield Part(source + "ffn_norm.weight", target + "post_attention_layernorm.weight", (width,))
    yield Part(source + "ffn_gate.weight", up + ".weight", (inner, width), gate, shrink)
    yield Part(source + "ffn_gate.bias", up + ".bias", (inner,), gate, shrink)
    yield Part(source + "ffn_up.weight", up + ".weight", (inner, width), linear)
    yield Part(source + "ffn_up.bias", up + ".bias", (inner,), linear, addend=-1.0)
    yield Part(source + "ffn_down.weight", down + ".weight", (width, inner), factor=QUICK_GELU)
    yield Part(source + "ffn_down.bias", down + ".bias", (width,))
