"""Write the picture part of Phi-3-vision into a GGUF file of its own: CLIP tower, projector and separators.

The tower is laid out for the LLaVA graph of llama.cpp's `mtmd` library, which computes CLIP with two peculiarities:
- it puts the class token behind the patches, so the positions are rolled by one row;
- it demands a projector of its own shape. Phi-3's does not have that shape, so a projector of one value stands in for
  it, which also keeps `mtmd` from joining the file with a language model and answering nonsense. The feature map is
  read before it (the tensor `layer_out-<layers - 2>`); Phi-3's own projector is stored as `mm.hd.*` and `mm.*_GN`.
"""

from functools import partial
from typing import Any

import numpy as np

from converter.checkpoint import Checkpoint
from converter.configuration import number, size, wrong
from converter.ggml_types import TENSOR_TYPES, FileType, TensorType, file_type
from converter.gguf_file import MetadataType
from converter.gguf_stream import TensorToWrite
from converter.gguf_writer import TensorSpec, boolean, float32, numbers, string, uint32
from converter.lazy_tensors import ArrayRows, JoinedRows, RowSource, slice_rows
from converter.metadata import CONVERTER_VERSION, SOURCE_ARCHITECTURE_KEY, SOURCE_NAME_KEY, VERSION_KEY, Metadata
from converter.row_encoding import pack_rows

HD_TRANSFORM_ORDER_KEY = "phidelity.vision.hd_transform_order"
NUM_CROPS_KEY = "phidelity.vision.num_crops"
HD_TRANSFORM_ORDERS = ("sub_glb", "glb_sub")

_VISION = "model.vision_embed_tokens."
_TOWER = _VISION + "img_processor.vision_model."
# What the code of Phi-3-vision builds whatever config.json says; only tiny models for tests carry other sizes.
_CLIP_L = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "image_size": 336, "patch_size": 14}
_TINY_KEY = "_tiny_clip_vision_config_not_in_hub"
_HEAD = 64
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_LAYER_TENSORS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_out": "self_attn.out_proj",
    "ln1": "layer_norm1",
    "ln2": "layer_norm2",
    "ffn_up": "mlp.fc1",
    "ffn_down": "mlp.fc2",
}


def companion_type(kind: FileType) -> FileType:
    """Return the file type of the companion of a model of type `kind`.

    The tower is small beside the language model, so it stays 16 bits wide, which keeps the embeddings within 1e-6 of
    the reference; 8 bits would only be within 1e-2. A tower of bfloat16 fits into f16, whose products lose less on a
    GPU: only weights below 2^-14 are rounded, to multiples of 2^-24.
    """
    return kind if kind.name == "f32" else file_type("f16")


def companion_file(checkpoint: Checkpoint, kind: FileType, name: str) -> tuple[Metadata, list[TensorToWrite]]:
    """Return what is written for the pictures of a checkpoint of Phi-3-vision; `kind` is f32, bf16, f16 or q8_0.

    Everything comes from the configuration files, so fine-tunes and both generations of the model work.
    """
    clip = _clip_sizes(checkpoint.config)
    _check_supported(checkpoint.config)
    embedding = size(checkpoint.config, "hidden_size")
    patches = (clip["image_size"] // clip["patch_size"]) ** 2
    sources = _tower(checkpoint, clip, patches) | _projector(checkpoint, clip["hidden_size"], embedding)
    tensors = []
    for tensor, source in sources.items():
        tensor_type = _tensor_type(tensor, source.shape, kind)
        pack = partial(pack_rows, tensor_type=tensor_type, quantizer=None)
        tensors.append(TensorToWrite(TensorSpec(tensor, source.shape, tensor_type), source, pack))
    metadata = {
        "general.architecture": string("clip"),
        "general.type": string("mmproj"),
        "general.name": string(name),
        "general.file_type": uint32(kind.id),
        VERSION_KEY: uint32(CONVERTER_VERSION),
        SOURCE_NAME_KEY: string(name),
        SOURCE_ARCHITECTURE_KEY: string(str(checkpoint.config["model_type"])),
    }
    return metadata | _clip_metadata(checkpoint, clip, embedding), tensors


def _clip_metadata(checkpoint: Checkpoint, clip: dict[str, int], embedding: int) -> Metadata:
    config, processor = checkpoint.config, checkpoint.json("preprocessor_config.json")
    prefix = "clip.vision."
    return {
        "clip.has_vision_encoder": boolean(True),
        "clip.projector_type": string("mlp"),
        "clip.use_gelu": boolean(False),  # neither this nor SiLU: quick-GELU
        prefix + "image_size": uint32(clip["image_size"]),
        prefix + "patch_size": uint32(clip["patch_size"]),
        prefix + "embedding_length": uint32(clip["hidden_size"]),
        prefix + "feed_forward_length": uint32(clip["intermediate_size"]),
        prefix + "block_count": uint32(clip["num_hidden_layers"]),
        prefix + "attention.head_count": uint32(clip["num_attention_heads"]),
        prefix + "attention.layer_norm_epsilon": float32(number(config.get(_TINY_KEY) or {}, "layer_norm_eps", 1e-5)),
        prefix + "projection_dim": uint32(embedding),
        prefix + "image_mean": _colours(processor, "image_mean", _CLIP_MEAN),
        prefix + "image_std": _colours(processor, "image_std", _CLIP_STD),
        HD_TRANSFORM_ORDER_KEY: string(_hd_transform_order(config)),
        NUM_CROPS_KEY: uint32(size(processor, "num_crops", 1)),
    }


def _tensor_type(name: str, shape: tuple[int, ...], kind: FileType) -> TensorType:
    matrix = len(shape) > 1 and name.startswith(("v.blk.", "v.patch_embd", "mm.hd."))
    if not matrix or kind.name == "f32":
        return TENSOR_TYPES["f32"]
    layer = name.startswith("v.blk.")  # `mtmd` has no convolution with a kernel of bf16, the projector is float32
    if kind.name == "bf16" and layer:
        return TENSOR_TYPES["bf16"]
    quantized = kind.name == "q8_0" and layer and shape[-1] % TENSOR_TYPES["q8_0"].block == 0
    return TENSOR_TYPES["q8_0" if quantized else "f16"]


def _clip_sizes(config: dict[str, Any]) -> dict[str, int]:
    tiny = config.get(_TINY_KEY) or {}
    sizes = {key: size(tiny, key, default) for key, default in _CLIP_L.items()}
    sizes["num_attention_heads"] = size(tiny, "num_attention_heads", max(1, sizes["hidden_size"] // _HEAD))
    if sizes["hidden_size"] % sizes["num_attention_heads"]:
        raise wrong(
            "the CLIP tower's num_attention_heads", sizes["num_attention_heads"], "a divisor of its hidden_size"
        )
    return sizes


def _check_supported(config: dict[str, Any]) -> None:
    """Refuse what the code of Phi-3-vision could do but no published model does."""
    layer, processor = config.get("embd_layer") or {}, config.get("img_processor") or {}
    wanted = (
        (layer, "use_hd_transform", True, False),
        (layer, "with_learnable_separator", True, False),
        (layer, "projection_cls", "mlp", "linear"),
        (processor, "num_img_tokens", 144, 144),
        (processor, "layer_idx", -2, -2),
        (processor, "type_feature", "patch", "patch"),
    )
    for settings, key, value, default in wanted:
        if settings.get(key, default) != value:
            raise wrong(key, settings.get(key, default), repr(value))


def _hd_transform_order(config: dict[str, Any]) -> str:
    order = (config.get("embd_layer") or {}).get("hd_transform_order", "glb_sub")  # the original code's default
    if order not in HD_TRANSFORM_ORDERS:
        raise wrong("hd_transform_order", order, " or ".join(HD_TRANSFORM_ORDERS))
    return str(order)


def _colours(processor: dict[str, Any], key: str, default: tuple[float, ...]) -> Any:
    values = processor.get(key)
    values = list(default) if values is None else values
    if not isinstance(values, list) or len(values) != len(default):
        raise wrong(key, values, "a list of three numbers")
    return numbers([number({key: value}, key, 0.0) for value in values], MetadataType.FLOAT32)


def _tower(checkpoint: Checkpoint, clip: dict[str, int], patches: int) -> dict[str, RowSource]:
    hidden, wide, patch = clip["hidden_size"], clip["intermediate_size"], clip["patch_size"]
    positions = checkpoint.tensor(_TOWER + "embeddings.position_embedding.weight", (patches + 1, hidden))
    tensors: dict[str, RowSource] = {
        "v.class_embd": checkpoint.tensor(_TOWER + "embeddings.class_embedding", (hidden,)),
        "v.patch_embd.weight": checkpoint.tensor(
            _TOWER + "embeddings.patch_embedding.weight", (hidden, 3, patch, patch)
        ),
        "v.position_embd.weight": JoinedRows((slice_rows(positions, 1, patches + 1), slice_rows(positions, 0, 1))),
        "v.pre_ln.weight": checkpoint.tensor(_TOWER + "pre_layrnorm.weight", (hidden,)),
        "v.pre_ln.bias": checkpoint.tensor(_TOWER + "pre_layrnorm.bias", (hidden,)),
    }
    shapes = {"ln1": (hidden,), "ln2": (hidden,), "ffn_up": (wide, hidden), "ffn_down": (hidden, wide)}
    for layer in range(clip["num_hidden_layers"]):
        for ours, theirs in _LAYER_TENSORS.items():
            source, shape = f"{_TOWER}encoder.layers.{layer}.{theirs}", shapes.get(ours, (hidden, hidden))
            tensors[f"v.blk.{layer}.{ours}.weight"] = checkpoint.tensor(f"{source}.weight", shape)
            tensors[f"v.blk.{layer}.{ours}.bias"] = checkpoint.tensor(f"{source}.bias", shape[:1])
    return tensors


def _projector(checkpoint: Checkpoint, hidden: int, embedding: int) -> dict[str, RowSource]:
    merged = 4 * hidden
    projection = _VISION + "img_projection."
    sub_separator = checkpoint.tensor(_VISION + "sub_GN", (1, 1, 1, merged))
    global_separator = checkpoint.tensor(_VISION + "glb_GN", (1, 1, merged))
    return {
        "mm.hd.0.weight": checkpoint.tensor(projection + "0.weight", (embedding, merged)),
        "mm.hd.0.bias": checkpoint.tensor(projection + "0.bias", (embedding,)),
        "mm.hd.2.weight": checkpoint.tensor(projection + "2.weight", (embedding, embedding)),
        "mm.hd.2.bias": checkpoint.tensor(projection + "2.bias", (embedding,)),
        "mm.sub_GN": JoinedRows((sub_separator,), (merged,)),
        "mm.glb_GN": JoinedRows((global_separator,), (merged,)),
        "mm.0.weight": ArrayRows(np.zeros((1, hidden), np.float32)),
        "mm.0.bias": ArrayRows(np.zeros(1, np.float32)),
        "mm.2.weight": ArrayRows(np.zeros((1, 1), np.float32)),
        "mm.2.bias": ArrayRows(np.zeros(1, np.float32)),
    }
