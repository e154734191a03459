"""List the tensor types and file types of GGUF as llama.cpp numbers them."""

from dataclasses import dataclass

from converter.errors import ConversionError


@dataclass(frozen=True)
class TensorType:
    """Describe how ggml packs one kind of number: `block` values take `block_bytes` bytes."""

    id: int
    name: str
    block: int
    block_bytes: int

    def row_bytes(self, columns: int) -> int:
        """Return the bytes of one row of `columns` values, a multiple of the block."""
        return columns // self.block * self.block_bytes


@dataclass(frozen=True)
class FileType:
    """Describe one mixture of tensor types: its number in `general.file_type` and the type most tensors get."""

    id: int
    name: str
    tensor_type: str


def _tensor_types() -> dict[str, TensorType]:
    rows = """0 f32 1 4, 1 f16 1 2, 2 q4_0 32 18, 3 q4_1 32 20, 6 q5_0 32 22, 7 q5_1 32 24, 8 q8_0 32 34, 9 q8_1 32 36,
        10 q2_k 256 84, 11 q3_k 256 110, 12 q4_k 256 144, 13 q5_k 256 176, 14 q6_k 256 210, 15 q8_k 256 292,
        16 iq2_xxs 256 66, 17 iq2_xs 256 74, 18 iq3_xxs 256 98, 19 iq1_s 256 50, 20 iq4_nl 32 18, 21 iq3_s 256 110,
        22 iq2_s 256 82, 23 iq4_xs 256 136, 24 i8 1 1, 25 i16 1 2, 26 i32 1 4, 27 i64 1 8, 28 f64 1 8, 29 iq1_m 256 56,
        30 bf16 1 2, 34 tq1_0 256 54, 35 tq2_0 256 66, 39 mxfp4 32 17, 40 nvfp4 64 36, 41 q1_0 128 18, 42 q2_0 64 18"""
    types = (row.split() for row in rows.split(","))
    return {name: TensorType(int(number), name, int(block), int(size)) for number, name, block, size in types}


def _file_types() -> dict[str, FileType]:
    rows = """0 f32 f32, 1 f16 f16, 2 q4_0 q4_0, 3 q4_1 q4_1, 7 q8_0 q8_0, 8 q5_0 q5_0, 9 q5_1 q5_1, 10 q2_k q2_k,
        11 q3_k_s q3_k, 12 q3_k_m q3_k, 13 q3_k_l q3_k, 14 q4_k_s q4_k, 15 q4_k_m q4_k, 16 q5_k_s q5_k, 17 q5_k_m q5_k,
        18 q6_k q6_k, 19 iq2_xxs iq2_xxs, 20 iq2_xs iq2_xs, 21 q2_k_s q2_k, 22 iq3_xs iq3_s, 23 iq3_xxs iq3_xxs,
        24 iq1_s iq1_s, 25 iq4_nl iq4_nl, 26 iq3_s iq3_s, 27 iq3_m iq3_s, 28 iq2_s iq2_xs, 29 iq2_m iq2_s,
        30 iq4_xs iq4_xs, 31 iq1_m iq1_m, 32 bf16 bf16, 36 tq1_0 tq1_0, 37 tq2_0 tq2_0, 38 mxfp4_moe mxfp4,
        40 q1_0 q1_0, 41 q2_0 q2_0"""
    types = (row.split() for row in rows.split(","))
    return {name: FileType(int(number), name, tensor_type) for number, name, tensor_type in types}


TENSOR_TYPES = _tensor_types()
TENSOR_TYPES_BY_ID = {tensor_type.id: tensor_type for tensor_type in TENSOR_TYPES.values()}
FILE_TYPES = _file_types()
FILE_TYPES_BY_ID = {file_type.id: file_type for file_type in FILE_TYPES.values()}


def file_type(name: str) -> FileType:
    """Return the file type called `name`, in any case."""
    try:
        return FILE_TYPES[name.lower()]
    except KeyError:
        raise ConversionError(
            "bad_request", f"{name!r} is not a file type.", f"Choose one of {', '.join(FILE_TYPES)}."
        ) from None
