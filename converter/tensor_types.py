"""Choose the type of every tensor for a file type, as llama.cpp's quantize does without an importance matrix.

The mixtures give more bits to the tensors that suffer most: the output matrix, the attention values and the down
projections of the first and last layers. Equality with llama.cpp (src/llama-quant.cpp) is tested on real files.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from converter.errors import ConversionError
from converter.ggml_types import TENSOR_TYPES, FileType, TensorType
from converter.row_encoding import ENCODED_HERE

NEEDS_IMPORTANCE_MATRIX = (
    "iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq3_xxs", "iq3_xs", "q2_k_s",
)  # fmt: skip
KEPT_IN_F32 = ("_norm.weight", "ffn_gate_inp.weight")
FALLBACKS = {
    "iq3_s": "iq4_nl", "iq4_xs": "iq4_nl", "q2_0": "q4_0", "q2_k": "q4_0", "q3_k": "q4_0", "tq1_0": "q4_0",
    "tq2_0": "q4_0", "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0",
}  # fmt: skip


@dataclass(frozen=True)
class ModelShape:
    """Tell what the choice of types depends on besides names and shapes."""

    n_layers: int
    n_heads: int
    n_kv_heads: int
    n_experts: int = 0


def check_file_type(file_type: FileType, has_quantizer: bool) -> None:
    """Refuse a file type that cannot be written."""
    if file_type.name in NEEDS_IMPORTANCE_MATRIX:
        raise ConversionError(
            "bad_request",
            f"{file_type.name} needs an importance matrix, which does not exist yet for this model.",
            "Choose iq3_s, iq3_m or q3_k_m instead.",
        )
    if not has_quantizer and file_type.tensor_type not in ENCODED_HERE:
        raise ConversionError(
            "bad_request",
            f"The converter alone cannot write {file_type.name}.",
            f"Choose one of {', '.join(ENCODED_HERE)}, or use `python -m engine import --quant {file_type.name}`.",
        )


def choose_types(
    tensors: Sequence[tuple[str, tuple[int, ...]]], file_type: FileType, model: ModelShape
) -> dict[str, TensorType]:
    """Return the type of every tensor; `tensors` are all names and shapes of the file."""
    tied = all(name != "output.weight" for name, _ in tensors)
    return {name: TENSOR_TYPES[_type(name, shape, file_type, model, tied)] for name, shape in tensors}


def _type(name: str, shape: tuple[int, ...], file_type: FileType, model: ModelShape, tied: bool) -> str:
    if len(shape) < 2 or not name.endswith("weight") or name.endswith(KEPT_IN_F32):
        return "f32"
    default = file_type.tensor_type
    if default in ("f32", "f16", "bf16"):
        return default
    return _fitting(_mixed(name, shape, file_type, model, tied), shape[-1])


def _fitting(type_name: str, columns: int) -> str:
    if columns % TENSOR_TYPES[type_name].block == 0:
        return type_name
    smaller = FALLBACKS.get(type_name, type_name)
    return smaller if columns % TENSOR_TYPES[smaller].block == 0 else "f16"


def _mixed(name: str, shape: tuple[int, ...], file_type: FileType, model: ModelShape, tied: bool) -> str:
    if name == "output.weight" or (tied and name == "token_embd.weight"):
        return _output(shape[-1], file_type)
    if file_type.name == "mxfp4_moe":
        return "mxfp4" if len(shape) > 2 and shape[0] > 1 else "q8_0"
    if name == "token_embd.weight":
        return "q4_k" if file_type.name in ("tq1_0", "tq2_0", "q2_0") else file_type.tensor_type
    layer = _Layer(file_type, model, _layer_number(name))
    if re.search(r"attn_(v|qkv)\.weight", name):
        return layer.attention_value()
    if "attn_k.weight" in name:
        return "q8_0" if model.n_experts == 8 else file_type.tensor_type
    if "ffn_down" in name:
        return layer.down_projection()
    if "attn_output.weight" in name:
        return layer.attention_output()
    return file_type.tensor_type


def _output(columns: int, file_type: FileType) -> str:
    block = TENSOR_TYPES[file_type.tensor_type].block
    if file_type.name in ("mxfp4_moe", "q8_0") or columns % block:
        return "q8_0"
    return "q6_k"


def _layer_number(name: str) -> int:
    found = re.match(r"blk\.(\d+)\.", name)
    return int(found[1]) if found else 0


@dataclass(frozen=True)
class _Layer:
    """Choose the types of the sensitive tensors of one layer."""

    file_type: FileType
    model: ModelShape
    number: int

    def attention_value(self) -> str:
        """Choose for the value rows, alone or fused with query and key."""
        if self.model.n_experts == 8:
            return "q8_0"
        few_value_heads = self.model.n_heads // self.model.n_kv_heads >= 4
        match self.file_type.name:
            case "q2_k":
                return "q4_k" if few_value_heads else "q3_k"
            case "q3_k_m":
                return "q5_k" if self.number < 2 else "q4_k"
            case "q3_k_l":
                return "q5_k"
            case "q4_k_s" if self.number < 4:
                return "q5_k"
            case "q4_k_m" | "q5_k_m" if self._gets_more_bits():
                return "q6_k"
            case "iq3_m":
                return "q4_k"
            case "iq3_s" if few_value_heads:
                return "q4_k"
            case "iq4_nl" | "iq4_xs" if few_value_heads:
                return "q5_k"
        return self.file_type.tensor_type

    def down_projection(self) -> str:
        """Choose for the second matrix of the feed-forward network."""
        first_eighth = self.number < self.model.n_layers // 8
        match self.file_type.name:
            case "q2_k":
                return "q3_k"
            case "q3_k_m":
                return "q5_k" if self.number < self.model.n_layers // 16 else "q4_k"
            case "q3_k_l":
                return "q5_k"
            case "q4_k_s" | "iq4_nl" | "iq4_xs" if first_eighth:
                return "q5_k"
            case "q4_k_m" | "q5_k_m" if self._gets_more_bits():
                return "q6_k"
            case "iq3_m" if first_eighth or (self.model.n_experts == 8 and self._gets_more_bits()):
                return "q4_k"
        return self.file_type.tensor_type

    def attention_output(self) -> str:
        """Choose for the output projection of the attention."""
        if self.model.n_experts == 8:
            five_bits = ("q2_k", "q3_k_s", "q3_k_m", "q4_k_s", "q4_k_m", "iq3_s", "iq3_m", "iq4_nl", "iq4_xs")
            return "q5_k" if self.file_type.name in five_bits else self.file_type.tensor_type
        match self.file_type.name:
            case "q2_k":
                return "q3_k"
            case "q3_k_m" | "iq3_m":
                return "q4_k"
            case "q3_k_l":
                return "q5_k"
        return self.file_type.tensor_type

    def _gets_more_bits(self) -> bool:
        """Pick the first eighth, the last eighth and every third layer between."""
        eighth = self.model.n_layers // 8
        return self.number < eighth or self.number >= 7 * self.model.n_layers // 8 or (self.number - eighth) % 3 == 2
