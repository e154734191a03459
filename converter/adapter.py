"""Read a LoRA adapter as PEFT saves it: what it changes in which tensor of its base."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from converter.adapter_config import AdapterConfig, read_adapter_config
from converter.checkpoint import FLOAT_TYPES, Checkpoint
from converter.configuration import size
from converter.errors import ConversionError
from converter.expert_layout import MODEL_TYPE, STACKED, hub_name, separate_changes, stacked_parameter
from converter.fused_layers import fused_changes
from converter.lazy_tensors import CheckpointRows, FileBytes, RowSource
from converter.low_rank import LowRank, Transposed
from converter.safetensors_file import read_safetensors_header

WEIGHTS_FILE = "adapter_model.safetensors"
PICKLE_FILE = "adapter_model.bin"
PREFIX = "base_model.model."
FACTORS = re.compile(
    r"(?P<module>.+?)\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)"
    r"(?:\.(?!weight$|bias$)[^.]+)?(?P<kind>\.weight|\.bias)?"
)
TOKEN_ROWS = re.compile(r"(?P<module>.+?)\.(?:token_adapter\.)?trainable_tokens_delta(?:\.[^.]+)?")
WRAPPERS = re.compile(r"\.(?:base_layer|modules_to_save(?:\.(?!weight$|bias$)[^.]+)?)(?=\.)")


@dataclass(frozen=True)
class TokenRows:
    """Hold rows of a matrix that were trained on their own: their numbers, and what they became."""

    indices: tuple[int, ...]
    rows: RowSource


@dataclass(frozen=True)
class BiasChange:
    """Hold what is added to a bias: `scale` times a vector."""

    vector: RowSource
    scale: float


@dataclass
class Adapter:
    """Hold what an adapter does, by the names of its base's tensors; no data is read before it is asked for.

    `changes` are those of LoRA, `magnitudes` DoRA's lengths of rows, `replaced` whole tensors that were trained.
    """

    folder: Path
    config: AdapterConfig
    file: FileBytes
    changes: dict[str, LowRank] = field(default_factory=dict)
    magnitudes: dict[str, RowSource] = field(default_factory=dict)
    bias_changes: dict[str, BiasChange] = field(default_factory=dict)
    token_rows: dict[str, TokenRows] = field(default_factory=dict)
    replaced: dict[str, RowSource] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return what the adapter is called: the name of its folder."""
        return self.folder.resolve().name

    def touched(self) -> set[str]:
        """Return the names of all tensors that the adapter changes."""
        parts = (self.changes, self.magnitudes, self.bias_changes, self.token_rows, self.replaced)
        return {name for part in parts for name in part}

    def close(self) -> None:
        """Close the file of weights."""
        self.file.close()


def read_adapter(folder: Path, base: Checkpoint) -> Adapter:
    """Open the adapter in `folder` and check that it fits `base`, which must show its experts one by one."""
    if not folder.exists():
        raise ConversionError("model_not_found", f"There is no folder {folder}.")
    folder = folder if folder.is_dir() else folder.parent
    config = read_adapter_config(folder)
    path = folder / WEIGHTS_FILE
    if not path.exists() and (folder / PICKLE_FILE).exists():
        raise ConversionError(
            "model_unsupported",
            f"{folder.name} holds its weights as a Python pickle, which can run any program when opened.",
            "Save it with safe_serialization=True.",
        )
    tensors = read_safetensors_header(path)
    adapter = Adapter(folder, config, FileBytes(path))
    parts: dict[str, dict[str, RowSource]] = {}
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOAT_TYPES:
            raise ConversionError(
                "model_unsupported", f"The adapter stores {name} as {tensor.dtype}.", "Save it in bf16, f16 or f32."
            )
        _take(adapter, parts, name, CheckpointRows(tensor, adapter.file))
    for module, found in parts.items():
        _join(adapter, base, module, found)
    if not adapter.magnitudes:
        adapter.changes = fused_changes(adapter.changes, base)
    _check(adapter, base)
    return adapter


def does_not_fit(folder: Path, reason: str) -> ConversionError:
    """Make the error for an adapter of another model."""
    return ConversionError(
        "model_invalid",
        f"The adapter {folder.name} does not belong to this checkpoint: {reason}.",
        "Choose the checkpoint that it was trained on.",
    )


def _take(adapter: Adapter, parts: dict[str, dict[str, RowSource]], name: str, source: RowSource) -> None:
    """Put one tensor of the file where it belongs."""
    name = name.removeprefix(PREFIX)
    if found := FACTORS.fullmatch(name):
        part = found["part"] + (found["kind"] if found["kind"] == ".bias" else "")
        parts.setdefault(found["module"], {})[part] = source
    elif found := TOKEN_ROWS.fullmatch(name):
        module = found["module"]
        indices = adapter.config.token_indices.get(module.rpartition(".")[2], ())
        adapter.token_rows[f"{module}.weight"] = TokenRows(indices, source)
    else:
        adapter.replaced[hub_name(WRAPPERS.sub("", name))] = source


def _join(adapter: Adapter, base: Checkpoint, module: str, found: dict[str, RowSource]) -> None:
    """Make a change of the factors of one module."""
    name = module
    while name.endswith(".base_layer"):
        name = name.removesuffix(".base_layer")
    embedding = "lora_embedding_A" in found
    a = found.get("lora_embedding_B" if embedding else "lora_A")
    b = found.get("lora_embedding_A" if embedding else "lora_B")
    if a is None or b is None:
        _damaged(adapter, f"of {name} it has only one factor")
    if len(a.shape) != 2 or len(b.shape) != 2:
        _damaged(adapter, f"the factors of {name} are no matrices")
    if embedding:
        a, b = Transposed(a), Transposed(b)
    if base.config.get("model_type") == MODEL_TYPE and name.endswith(STACKED):
        _add_expert_changes(adapter, base, name, a, b)
        return
    if (a.shape[0], b.shape[1]) != (adapter.config.rank_of(name),) * 2:
        _damaged(adapter, f"the factors of {name} have another rank than its settings say")
    scale = adapter.config.scale_of(name)
    weight = hub_name(f"{name}.weight")
    adapter.changes[weight] = LowRank(a, b, scale)
    if "lora_magnitude_vector" in found:
        adapter.magnitudes[weight] = found["lora_magnitude_vector"]
    if "lora_B.bias" in found:
        adapter.bias_changes[hub_name(f"{name}.bias")] = BiasChange(found["lora_B.bias"], scale)


def _add_expert_changes(adapter: Adapter, base: Checkpoint, module: str, a: RowSource, b: RowSource) -> None:
    n_experts = size(base.config, "num_local_experts")
    parameter = stacked_parameter(module, base, a, b)
    if parameter is None:
        raise does_not_fit(adapter.folder, f"its factors of {module} have another shape")
    if (a.shape[0], b.shape[1]) != (adapter.config.rank_of(parameter) * n_experts,) * 2:
        _damaged(adapter, f"the factors of {parameter} have another rank than its settings say")
    change = LowRank(a, b, adapter.config.scale_of(parameter))
    adapter.changes |= separate_changes(parameter, n_experts, change)


def _check(adapter: Adapter, base: Checkpoint) -> None:
    """Compare names and shapes with the base's."""
    if not adapter.touched():
        _damaged(adapter, "it is empty")
    shapes = {name: change.shape for name, change in adapter.changes.items()}
    shapes |= {name: change.vector.shape for name, change in adapter.bias_changes.items()}
    replaced = {(name, source.shape) for name, source in adapter.replaced.items()}
    for name, shape in sorted(shapes.items() | replaced):
        _check_shape(adapter, base, name, shape)
    for name, magnitude in adapter.magnitudes.items():
        _check_shape(adapter, base, name, (*magnitude.shape, base.shape(name)[-1]))
    for name, trained in adapter.token_rows.items():
        shape = base.shape(_known(adapter, base, name))
        if trained.rows.shape != (len(trained.indices), shape[-1]) or max(trained.indices, default=-1) >= shape[0]:
            raise does_not_fit(adapter.folder, f"its tokens of {name} are not those of its settings or of the model")


def _check_shape(adapter: Adapter, base: Checkpoint, name: str, shape: tuple[int, ...]) -> None:
    expected = base.shape(_known(adapter, base, name))
    if shape != expected:
        raise does_not_fit(adapter.folder, f"{name} has the shape {expected} and not {shape}")


def _known(adapter: Adapter, base: Checkpoint, name: str) -> str:
    if name not in base:
        raise does_not_fit(adapter.folder, f"there is no {name}")
    return name


def _damaged(adapter: Adapter, reason: str) -> NoReturn:
    raise ConversionError(
        "model_invalid", f"The adapter {adapter.folder.name} is damaged: {reason}.", "Save or download it again."
    )
