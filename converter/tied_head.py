"""Show a checkpoint whose output matrix is that of its embeddings as if it had one of its own."""

from converter.checkpoint import Checkpoint, CheckpointView
from converter.lazy_tensors import RowSource

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def is_tied(checkpoint: Checkpoint) -> bool:
    """Tell whether the output matrix is that of the embeddings."""
    return checkpoint.config.get("tie_word_embeddings") is True or HEAD not in checkpoint


class OwnHead(CheckpointView):
    """Show the embeddings under the name of the output matrix too."""

    def __init__(self, base: Checkpoint) -> None:
        """Take a checkpoint whose output matrix is tied."""
        super().__init__(base)
        self.config = base.config | {"tie_word_embeddings": False}

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a tensor called `name`."""
        return name == HEAD or name in self.base

    def names(self) -> list[str]:
        """Return the names of all tensors."""
        return [*(name for name in self.base.names() if name != HEAD), HEAD]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the tensor called `name`, which must be there."""
        return self.base.shape(_stored(name))

    def dtype(self, name: str) -> str:
        """Return how the tensor called `name`, which must be there, is stored."""
        return self.base.dtype(_stored(name))

    def tensor(self, name: str, shape: tuple[int, ...]) -> RowSource:
        """Return the tensor called `name`, which must have this shape."""
        return self.base.tensor(_stored(name), shape)


def _stored(name: str) -> str:
    return EMBEDDING if name == HEAD else name
