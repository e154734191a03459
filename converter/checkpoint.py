"""Open a checkpoint directory as the Hugging Face Hub lays it out: config.json and safetensors files."""

import json
from pathlib import Path
from typing import Any

from converter.errors import ConversionError
from converter.lazy_tensors import CheckpointRows, FileBytes, RowSource
from converter.safetensors_file import StoredTensor, read_safetensors_header

MAX_JSON_BYTES = 256 << 20
SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
FLOAT_TYPES = ("F32", "F16", "BF16")


class Checkpoint:
    """Hold the configuration of a checkpoint and give its tensors; no tensor data is read before it is asked for."""

    def __init__(self, folder: Path) -> None:
        """Open the directory, or the directory of a file in it, and check every header."""
        self.folder = folder if folder.is_dir() else folder.parent
        if not folder.exists():
            raise ConversionError("model_not_found", f"There is no folder {folder}.")
        self._json: dict[str, dict[str, Any]] = {}
        self.config = self.json("config.json")
        if not self.config:
            raise _not_a_checkpoint(self.folder)
        if "quantization_config" in self.config:
            raise ConversionError(
                "model_unsupported",
                f"{self.folder.name} is already quantised ({_quantisation(self.config)}).",
                "Import the original checkpoint in bf16, f16 or f32.",
            )
        self._tensors = _find_tensors(self.folder)
        self._files = {path: FileBytes(path) for path in {tensor.path for tensor in self._tensors.values()}}

    def json(self, name: str) -> dict[str, Any]:
        """Return the object in the JSON file `name`, or an empty one where there is no such file."""
        if name not in self._json:
            self._json[name] = read_json_object(self.folder / name)
        return self._json[name]

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a tensor called `name`."""
        return name in self._tensors

    @property
    def size_bytes(self) -> int:
        """Return the size of all files of weights."""
        return sum(path.stat().st_size for path in self._files)

    def names(self) -> list[str]:
        """Return the names of all tensors."""
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the tensor called `name`, which must be there."""
        return self._tensors[name].shape

    def dtype(self, name: str) -> str:
        """Return how the tensor called `name`, which must be there, is stored: `F32`, `F16`, `BF16` or another type."""
        return self._tensors[name].dtype

    def tensor(self, name: str, shape: tuple[int, ...]) -> RowSource:
        """Return the tensor called `name`, which must have this shape."""
        tensor = self._tensors.get(name)
        if tensor is None:
            raise ConversionError(
                "model_invalid", f"The checkpoint is incomplete: the tensor {name} is missing.", "Download it again."
            )
        if tensor.shape != shape:
            raise ConversionError(
                "model_invalid",
                f"The tensor {name} has the shape {tensor.shape}, but config.json asks for {shape}.",
                "Check that config.json and the weights belong together.",
            )
        if tensor.dtype not in FLOAT_TYPES:
            raise ConversionError(
                "model_unsupported",
                f"The tensor {name} is stored as {tensor.dtype}.",
                "Save the checkpoint in bf16, f16 or f32.",
            )
        return CheckpointRows(tensor, self._files[tensor.path])

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            file.close()


class CheckpointView(Checkpoint):
    """Show another checkpoint with changes: what a subclass does not change is the other's."""

    def __init__(self, base: Checkpoint) -> None:
        """Take the checkpoint to show."""
        self.base = base
        self.folder = base.folder
        self.config = base.config

    def json(self, name: str) -> dict[str, Any]:
        """Return the object in the JSON file `name`, or an empty one where there is no such file."""
        return self.base.json(name)

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a tensor called `name`."""
        return name in self.base

    @property
    def size_bytes(self) -> int:
        """Return the size of all files of weights."""
        return self.base.size_bytes

    def names(self) -> list[str]:
        """Return the names of all tensors."""
        return self.base.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the tensor called `name`, which must be there."""
        return self.base.shape(name)

    def dtype(self, name: str) -> str:
        """Return how the tensor called `name`, which must be there, is stored: `F32`, `F16`, `BF16` or another type."""
        return self.base.dtype(name)

    def tensor(self, name: str, shape: tuple[int, ...]) -> RowSource:
        """Return the tensor called `name`, which must have this shape."""
        return self.base.tensor(name, shape)

    def close(self) -> None:
        """Close all files."""
        self.base.close()


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object in the JSON file at `path`, or an empty one where there is no such file."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ConversionError("model_invalid", f"{path.name} is larger than any real one.")
        value = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        raise ConversionError(
            "model_invalid", f"{path.name} in {path.parent.name} is damaged: it is no JSON.", "Download it again."
        ) from None
    except OSError as error:
        raise ConversionError("model_invalid", f"{path.name} cannot be read: {error.strerror}.") from error
    if not isinstance(value, dict):
        raise ConversionError("model_invalid", f"{path.name} in {path.parent.name} is damaged: it is no object.")
    return value


def _not_a_checkpoint(folder: Path) -> ConversionError:
    if (folder / "adapter_config.json").exists():
        return ConversionError(
            "model_unsupported", f"{folder.name} is a LoRA adapter, not a model.", "Merge it into its base model first."
        )
    return ConversionError(
        "model_invalid", f"{folder.name} is no checkpoint: it has no config.json.", "Choose the folder that holds it."
    )


def _quantisation(config: dict[str, Any]) -> str:
    settings = config["quantization_config"]
    return str(settings.get("quant_method", "unknown method")) if isinstance(settings, dict) else "unknown method"


def _find_tensors(folder: Path) -> dict[str, StoredTensor]:
    if (folder / INDEX_FILE).exists():
        return _indexed_tensors(folder)
    if (folder / SINGLE_FILE).exists():
        return read_safetensors_header(folder / SINGLE_FILE)
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickles:
        raise ConversionError(
            "model_unsupported",
            f"{folder.name} holds its weights as Python pickles ({pickles[0]}), which can run any program when opened.",
            "Get the safetensors version, or save it with safe_serialization=True.",
        )
    raise ConversionError(
        "model_invalid", f"{folder.name} holds no weights: there is no {SINGLE_FILE}.", "Download it completely."
    )


def _indexed_tensors(folder: Path) -> dict[str, StoredTensor]:
    weight_map = read_json_object(folder / INDEX_FILE).get("weight_map")
    if not isinstance(weight_map, dict) or not all(_is_plain_name(name) for name in weight_map.values()):
        raise ConversionError(
            "model_invalid",
            f"{INDEX_FILE} in {folder.name} is damaged: it must name files of the same folder.",
            "Download it again.",
        )
    missing = sorted({name for name in weight_map.values() if not (folder / name).exists()})
    if missing:
        raise ConversionError(
            "model_invalid",
            f"The checkpoint is incomplete: {missing[0]} is missing"
            + (f" and {len(missing) - 1} more." if len(missing) > 1 else "."),
            "Download it completely.",
        )
    shards = {name: read_safetensors_header(folder / name) for name in sorted(set(weight_map.values()))}
    for tensor, name in weight_map.items():
        if tensor not in shards[name]:
            raise ConversionError("model_invalid", f"{name} lacks the tensor {tensor} that {INDEX_FILE} promises.")
    return {tensor: shards[name][tensor] for tensor, name in weight_map.items()}


def _is_plain_name(name: Any) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and name == Path(name).name and "\\" not in name
