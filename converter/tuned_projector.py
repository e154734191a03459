"""Show a vision checkpoint with a projector that was trained further beside an adapter of its language model."""

import math
from pathlib import Path

from converter.checkpoint import FLOAT_TYPES, Checkpoint, CheckpointView
from converter.errors import ConversionError
from converter.lazy_tensors import CheckpointRows, FileBytes, RowSource
from converter.safetensors_file import StoredTensor, read_safetensors_header

PROJECTOR_FILE = "projector.safetensors"
"""Lies in the adapter's folder; its tensors have the names and shapes that the Hub's checkpoints have."""
PROJECTOR_PREFIX = "model.vision_embed_tokens."
PROJECTOR_TENSORS = tuple(
    PROJECTOR_PREFIX + name
    for name in (
        "glb_GN",
        "sub_GN",
        "img_projection.0.weight",
        "img_projection.0.bias",
        "img_projection.2.weight",
        "img_projection.2.bias",
    )
)


class TunedProjector(CheckpointView):
    """Show `base` with the projector in a file in the place of its own."""

    def __init__(self, base: Checkpoint, path: Path) -> None:
        """Open the file and check that it fits. Raises ConversionError."""
        super().__init__(base)
        self._file = FileBytes(path)
        self._tensors = read_safetensors_header(path)
        if set(self._tensors) != set(PROJECTOR_TENSORS):
            raise _does_not_fit(path, "its tensors are not those of a projector")
        for name, tensor in self._tensors.items():
            self._check(path, tensor, name)

    def tensor(self, name: str, shape: tuple[int, ...]) -> RowSource:
        """Return the tensor called `name`, which must have this shape."""
        own = self.base.tensor(name, shape)
        return CheckpointRows(self._tensors[name], self._file) if name in self._tensors else own

    def close(self) -> None:
        """Close all files."""
        self._file.close()
        super().close()

    def _check(self, path: Path, tensor: StoredTensor, name: str) -> None:
        if name not in self.base or math.prod(self.base.shape(name)) == 0 or tensor.shape != self.base.shape(name):
            raise _does_not_fit(path, f"{name} has another shape")
        if tensor.dtype not in FLOAT_TYPES:
            raise _does_not_fit(path, f"{name} is stored as {tensor.dtype}")


def with_projector(base: Checkpoint, adapter: Path) -> Checkpoint:
    """Return `base` with the projector in the folder of an adapter, or `base` itself where there is none."""
    path = (adapter if adapter.is_dir() else adapter.parent) / PROJECTOR_FILE
    return TunedProjector(base, path) if path.is_file() else base


def _does_not_fit(path: Path, reason: str) -> ConversionError:
    return ConversionError(
        "model_invalid",
        f"The projector in {path.parent.name} does not belong to this checkpoint: {reason}.",
        "Choose the checkpoint that it was trained on.",
    )
