"""Open the companion file of a vision model: its settings, and its weights as float32."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.clip_companion import HD_TRANSFORM_ORDER_KEY, HD_TRANSFORM_ORDERS, NUM_CROPS_KEY
from converter.companion_path import companion_path
from converter.errors import ConversionError
from converter.ggml_types import TENSOR_TYPES
from converter.gguf_file import GGUFHeader, TensorInfo, read_header
from converter.row_encoding import pack_rows
from engine.errors import EngineError
from engine.protocol import MAX_CROPS
from engine.vision.hd_transform import CROP, TOKENS_PER_SIDE, Normalization

Floats = NDArray[np.float32]

PATCHES_PER_SIDE = 2 * TOKENS_PER_SIDE
PATCHES = PATCHES_PER_SIDE * PATCHES_PER_SIDE
PATCH = CROP // PATCHES_PER_SIDE
_FINGERPRINT_BYTES = 4096
_Q8_0_BLOCK = 32
_CACHED_NUMBERS = 1 << 16
_LAST_BITS = 0xFFFF  # of a float32: those that bfloat16 lacks
_SIGN_AND_SHIFTED_HALF = np.int32(0x8FFFE000 - (1 << 32))
_EXPONENT_112 = np.float32(2.0**112)
_IMPORT_AGAIN = "Import the checkpoint again."


@dataclass(frozen=True)
class VisionSettings:
    """Hold the sizes of the tower and the projector, and what the model wants of pictures."""

    hidden: int
    feed_forward: int
    layers: int
    heads: int
    epsilon: float
    embedding: int
    normalization: Normalization
    hd_transform_order: str
    num_crops: int


class Companion:
    """Give the settings and the weights of a companion file; weights stay in the file until they are asked for.

    Attributes:
        fingerprint: tells files with different weights apart.
    """

    def __init__(self, path: Path) -> None:
        """Open a file; raises EngineError where it is no companion of Phi-3-vision or is damaged."""
        self.path = path
        try:
            self._header = read_header(path)
        except ConversionError as error:
            raise EngineError(error.code, error.message, error.remedy or _IMPORT_AGAIN) from error
        self.settings = _read_settings(self._header)
        self._check_tensors()
        self._bytes = np.asarray(np.memmap(path, np.uint8, "r"))
        self.fingerprint = self._fingerprint()

    def tensor(self, name: str, rows: slice = slice(None)) -> Floats:
        """Return a tensor, or some of its rows, as float32."""
        info = self._header.tensors[name]
        data = self._stored(name)[rows]
        if info.type.name == "f32":
            values = data.view("<f4")
        elif info.type.name == "f16":
            values = _unpack_f16(data)
        elif info.type.name == "bf16":
            values = _unpack_bf16(data)
        else:
            values = _unpack_q8_0(data)
        return values.reshape(-1, *info.shape[1:])

    @property
    def is_bfloat16(self) -> bool:
        """Tell whether bfloat16 holds the tower's weights exactly, as it does in a file of f16 made of bfloat16."""
        kinds = {info.type.name for name, info in self._header.tensors.items() if _is_matrix(name)}
        if kinds == {"f16"}:
            bits = self.tensor("v.blk.0.attn_q.weight").view(np.uint32)
            return not (bits & _LAST_BITS).any()
        return kinds == {"bf16"}

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._header.tensors[name].shape

    def read_bfloat16(self, name: str, matrix: NDArray[np.uint16]) -> None:
        """Fill a matrix with a tensor; an f16 one must be exact in bfloat16."""
        kind, data = self._header.tensors[name].type.name, self._stored(name)
        if kind == "f16":
            for rows, values in _unpacked_f16(data.view("<i2")):
                matrix[rows] = values.view("<u2")[:, 1::2]
        else:
            packed = data if kind == "bf16" else pack_rows(self.tensor(name), TENSOR_TYPES["bf16"], None)
            matrix[...] = packed.view("<u2")

    def _stored(self, name: str) -> NDArray[np.uint8]:
        info = self._header.tensors[name]
        return self._bytes[info.offset : info.offset + info.nbytes].reshape(info.shape[0], -1)

    def _fingerprint(self) -> str:
        """Hash the beginning of every tensor: a training step changes it all, and reading it all takes seconds."""
        digest = hashlib.sha256()
        for info in self._header.tensors.values():
            digest.update(f"{info.name} {info.type.name} {info.shape};".encode())
            digest.update(self._bytes[info.offset : info.offset + min(info.nbytes, _FINGERPRINT_BYTES)].tobytes())
        digest.update(repr(self.settings).encode())
        return digest.hexdigest()

    def _check_tensors(self) -> None:
        for name, shape in _shapes(self.settings).items():
            info: TensorInfo | None = self._header.tensors.get(name)
            if info is None or info.shape != shape or info.type.name not in ("f32", "f16", "bf16", "q8_0"):
                sentence = f"{self.path.name} is damaged: the weights {name} are missing or have the wrong shape."
                raise EngineError("model_invalid", sentence, _IMPORT_AGAIN)


def find_companion(model: Path) -> Path | None:
    """Return the companion file that lies beside a model file, if there is one."""
    path = companion_path(model)
    return path if path.is_file() else None


def _read_settings(header: GGUFHeader) -> VisionSettings:
    if header.architecture != "clip" or HD_TRANSFORM_ORDER_KEY not in header.metadata:
        sentence = f"{header.path.name} is not the picture part of a Phi-3-vision model."
        raise EngineError("model_unsupported", sentence, "Import the checkpoint of Phi-3-vision or Phi-3.5-vision.")
    prefix = "clip.vision."
    settings = VisionSettings(
        hidden=int(header.number(prefix + "embedding_length")),
        feed_forward=int(header.number(prefix + "feed_forward_length")),
        layers=int(header.number(prefix + "block_count")),
        heads=int(header.number(prefix + "attention.head_count")),
        epsilon=float(header.number(prefix + "attention.layer_norm_epsilon")),
        embedding=int(header.number(prefix + "projection_dim")),
        normalization=Normalization(_colours(header, prefix + "image_mean"), _colours(header, prefix + "image_std")),
        hd_transform_order=header.text(HD_TRANSFORM_ORDER_KEY),
        num_crops=int(header.number(NUM_CROPS_KEY)),
    )
    sizes = (settings.hidden, settings.feed_forward, settings.heads, settings.embedding, settings.layers - 1)
    sides = (int(header.number(prefix + "image_size")), int(header.number(prefix + "patch_size")))
    if (
        min(sizes) < 1
        or settings.layers > len(header.tensors)
        or settings.hidden % settings.heads
        or sides != (CROP, PATCH)
        or min(settings.normalization.std) <= 0
        or settings.hd_transform_order not in HD_TRANSFORM_ORDERS
        or not 1 <= settings.num_crops <= MAX_CROPS
    ):
        raise EngineError("model_invalid", f"{header.path.name} is damaged: its settings cannot be.", _IMPORT_AGAIN)
    return settings


def _colours(header: GGUFHeader, key: str) -> tuple[float, float, float]:
    value: Any = getattr(header.metadata.get(key), "value", None)
    if not isinstance(value, np.ndarray) or value.size != 3 or not np.isfinite(value).all():
        raise EngineError("model_invalid", f"{header.path.name} is damaged: it lacks {key}.", _IMPORT_AGAIN)
    red, green, blue = value.tolist()
    return red, green, blue


def _shapes(settings: VisionSettings) -> dict[str, tuple[int, ...]]:
    """Return the tensors that a companion must have."""
    hidden, wide, merged, embedding = settings.hidden, settings.feed_forward, 4 * settings.hidden, settings.embedding
    shapes: dict[str, tuple[int, ...]] = {
        "v.class_embd": (hidden,),
        "v.patch_embd.weight": (hidden, 3, PATCH, PATCH),
        "v.position_embd.weight": (PATCHES + 1, hidden),
        "v.pre_ln.weight": (hidden,),
        "v.pre_ln.bias": (hidden,),
        "mm.hd.0.weight": (embedding, merged),
        "mm.hd.0.bias": (embedding,),
        "mm.hd.2.weight": (embedding, embedding),
        "mm.hd.2.bias": (embedding,),
        "mm.sub_GN": (merged,),
        "mm.glb_GN": (merged,),
    }
    matrices = {"ffn_up": (wide, hidden), "ffn_down": (hidden, wide)}
    matrices |= {f"attn_{part}": (hidden, hidden) for part in ("q", "k", "v", "out")}
    for layer in range(settings.layers):
        for name, shape in matrices.items():
            shapes[f"v.blk.{layer}.{name}.weight"] = shape
            shapes[f"v.blk.{layer}.{name}.bias"] = shape[:1]
        for name in ("ln1", "ln2"):
            shapes[f"v.blk.{layer}.{name}.weight"] = shapes[f"v.blk.{layer}.{name}.bias"] = (hidden,)
    return shapes


def _is_matrix(name: str) -> bool:
    """Tell whether a tensor is one that the layers of the tower multiply with."""
    return name.startswith("v.blk.") and name.endswith(".weight") and ".ln" not in name


def _unpack_f16(data: NDArray[np.uint8]) -> Floats:
    halves = data.view("<i2")
    values = np.empty(halves.shape, np.float32)
    for rows, part in _unpacked_f16(halves):
        values[rows] = part
    return values


def _unpacked_f16(halves: NDArray[np.int16]) -> Iterator[tuple[slice, Floats]]:
    """Yield some rows at a time as float32, in a buffer that is used again: three times numpy's own speed.

    Each half is shifted into its place in a float32, whose exponent then lacks 112.
    """
    count = max(1, _CACHED_NUMBERS // halves.shape[1])
    buffer = np.empty((count, halves.shape[1]), np.float32)
    for start in range(0, len(halves), count):
        rows = slice(start, min(start + count, len(halves)))
        values = buffer[: rows.stop - start]
        bits = values.view(np.int32)
        bits[...] = halves[rows]
        bits <<= 13
        bits &= _SIGN_AND_SHIFTED_HALF
        values *= _EXPONENT_112
        yield rows, values


def _unpack_bf16(data: NDArray[np.uint8]) -> Floats:
    """Put each number into the upper half of a float32."""
    upper = data.view("<u2")
    values = np.zeros(upper.shape, np.float32)
    values.view("<u2")[:, 1::2] = upper
    return values


def _unpack_q8_0(data: NDArray[np.uint8]) -> Floats:
    blocks = data.reshape(-1, 2 + _Q8_0_BLOCK)
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    return blocks[:, 2:].view(np.int8) * scales
