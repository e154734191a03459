"""Give a Phi-3 language model eyes in PyTorch: the projector, and embeddings that take pictures in place of tokens.

The reference is modeling_phi3_v.py; feature maps of the CLIP tower, which is never trained, come from outside.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from converter.checkpoint import Checkpoint
from converter.lazy_tensors import row_count
from converter.tuned_projector import PROJECTOR_FILE, PROJECTOR_PREFIX, PROJECTOR_TENSORS
from engine.vision.companion import PATCHES_PER_SIDE
from engine.vision.hd_transform import TOKENS_PER_SIDE, CropGrid
from engine.vision.prompt import picture_runs


@dataclass(frozen=True, eq=False)
class PictureFeatures:
    """Hold the feature maps of one picture, float32 `[crops, 576, hidden]`, the whole view first."""

    maps: NDArray[np.float32]
    grid: CropGrid


class Projector(nn.Module):
    """Bring feature maps into the language model's space; names and shapes of the weights are the Hub's."""

    def __init__(self, hidden: int, embedding: int, order: str) -> None:
        """Take the length of a feature and of an embedding, and `hd_transform_order`."""
        super().__init__()
        merged = 4 * hidden
        self._order = order
        self.glb_GN = nn.Parameter(torch.zeros(1, 1, merged))
        self.sub_GN = nn.Parameter(torch.zeros(1, 1, 1, merged))
        self.img_projection = nn.Sequential(nn.Linear(merged, embedding), nn.GELU(), nn.Linear(embedding, embedding))

    def forward(self, maps: torch.Tensor, grid: CropGrid) -> torch.Tensor:
        """Return the embeddings `[tokens, embedding]` of feature maps `[crops, 576, hidden]`."""
        half, hidden = TOKENS_PER_SIDE, maps.shape[-1]
        side = PATCHES_PER_SIDE // half
        quads = maps.reshape(-1, half, side, half, side, hidden).transpose(2, 3)
        quads = quads.reshape(-1, half, half, side * side * hidden)
        tiles = quads[1:].reshape(grid.rows, grid.columns, half, half, -1).transpose(1, 2)
        parts = self._lines(tiles.reshape(grid.rows * half, grid.columns * half, -1))
        whole, between = self._lines(quads[0]), self.glb_GN[0]
        ordered = (parts, between, whole) if self._order == "sub_glb" else (whole, between, parts)
        projected: torch.Tensor = self.img_projection(torch.cat(ordered))
        return projected

    def _lines(self, rows: torch.Tensor) -> torch.Tensor:
        """Put the separator behind every row of tokens."""
        ends = self.sub_GN[0].expand(len(rows), 1, -1)
        return torch.cat([rows, ends], 1).reshape(-1, rows.shape[-1])


class PictureEmbedding(nn.Embedding):
    """Embed ids of which a run of -k stands for the embeddings of the picture that is called k.

    Attributes:
        projector: what makes embeddings of feature maps; float32, whatever the table is kept in.
    """

    def __init__(self, table: nn.Embedding, projector: Projector, features: Callable[[int], PictureFeatures]) -> None:
        """Take the embeddings of tokens, the projector, and what gives the feature maps of a picture."""
        super().__init__(
            table.num_embeddings, table.embedding_dim, table.padding_idx, _weight=table.weight.detach(), _freeze=True
        )
        self.projector = projector
        self._features = features

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return embeddings `[rows, tokens, embedding]`; a run that was cut short takes the first of its picture's."""
        embedded: torch.Tensor = super().forward(ids.clamp(min=0))
        rows = [picture_runs(row) for row in ids.tolist()]
        projected = {number: self._project(number) for number in {run.number for row in rows for run in row}}
        if projected:
            embedded = embedded.clone()
        for row, runs in enumerate(rows):
            for run in runs:
                found = projected[run.number][: run.stop - run.start]
                embedded[row, run.start : run.stop] = found.to(embedded.dtype)
        return embedded

    def _project(self, number: int) -> torch.Tensor:
        features = self._features(number)
        maps = torch.tensor(features.maps, device=self.weight.device)
        projected: torch.Tensor = self.projector(maps, features.grid)
        return projected


def give_eyes(model: Any, checkpoint: Path, order: str, features: Callable[[int], PictureFeatures]) -> None:
    """Let a language model see: put the projector of its checkpoint before it. Raises ConversionError."""
    opened = Checkpoint(checkpoint)
    try:
        weights = {name: _read(opened, name) for name in PROJECTOR_TENSORS}
    finally:
        opened.close()
    table = model.get_input_embeddings()
    hidden = weights[PROJECTOR_PREFIX + "sub_GN"].shape[-1] // 4
    projector = Projector(hidden, table.embedding_dim, order)
    projector.load_state_dict({name.removeprefix(PROJECTOR_PREFIX): value for name, value in weights.items()})
    model.set_input_embeddings(PictureEmbedding(table, projector.requires_grad_(False), features))


def projector_of(model: Any) -> Projector | None:
    """Return the projector of a model that sees, with or without an adapter; None for all others."""
    embedding = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    return embedding.projector if isinstance(embedding, PictureEmbedding) else None


def save_projector(projector: Projector, folder: Path) -> None:
    """Write the projector beside its adapter, as the converter reads it."""
    weights = {PROJECTOR_PREFIX + name: value.detach().float().cpu() for name, value in projector.state_dict().items()}
    save_file(weights, str(folder / PROJECTOR_FILE), metadata={"format": "pt"})


def load_projector(projector: Projector, folder: Path) -> None:
    """Take the weights that `save_projector` wrote; raises OSError, SafetensorError or RuntimeError if it cannot."""
    weights = load_file(folder / PROJECTOR_FILE)
    projector.load_state_dict({name.removeprefix(PROJECTOR_PREFIX): value for name, value in weights.items()})


def _read(checkpoint: Checkpoint, name: str) -> torch.Tensor:
    shape = checkpoint.shape(name)
    source = checkpoint.tensor(name, shape)
    return torch.tensor(source.rows(0, row_count(source))).reshape(shape)
