"""Define what a model learns from: token ids with labels, and how several go into one row without touching."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

IGNORED = -100
"""Label of a token that is read but not learned."""


@dataclass(frozen=True)
class Sample:
    """Hold one sequence; `labels` are ids where a token is learned and -100 elsewhere, always at the first token."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the two against each other."""
        if len(self.ids) != len(self.labels) or not self.ids or self.labels[0] != IGNORED:
            raise ValueError("ids and labels do not belong together")

    @property
    def learned(self) -> int:
        """Return how many tokens are learned."""
        return sum(label != IGNORED for label in self.labels)

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.ids)


@dataclass(frozen=True)
class Item:
    """Hold what is drawn together.

    Attributes:
        samples: one sample, or for preferences the chosen and the rejected answer.
        reference: for preferences the log-probability that the untouched model gives each of them.
    """

    samples: tuple[Sample, ...]
    reference: tuple[float, ...] = ()

    @property
    def tokens(self) -> int:
        """Return the number of tokens of all samples."""
        return sum(map(len, self.samples))


@dataclass(frozen=True)
class PackedRow:
    """Hold several items as one flat row: positions start again with each sample, which keeps attention apart.

    transformers builds a block-diagonal mask from positions only without an attention mask and without a cache.

    Attributes:
        ids, positions, labels: tensors `[1, tokens]`, `[1, tokens]` and `[tokens]`.
        owners: for each token the number of its sample in the row, `[tokens]`.
        items: what the row was made of, in order.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    labels: torch.Tensor
    owners: torch.Tensor
    items: tuple[Item, ...]

    @classmethod
    def of(cls, items: Sequence[Item], device: str = "cpu") -> "PackedRow":
        """Lay items end to end."""
        samples = [sample for item in items for sample in item.samples]
        lengths = [len(sample) for sample in samples]
        ids = np.concatenate([sample.ids for sample in samples])
        labels = np.concatenate([sample.labels for sample in samples])
        positions = np.concatenate([np.arange(length) for length in lengths])
        owners = np.repeat(np.arange(len(samples)), lengths)
        ids_row, positions_row, label_row, owner_row = (
            torch.from_numpy(part.astype(np.int64)).to(device) for part in (ids, positions, labels, owners)
        )
        return cls(ids_row[None], positions_row[None], label_row, owner_row, tuple(items))

    @property
    def tokens(self) -> int:
        """Return the number of tokens."""
        return int(self.labels.shape[0])

    @property
    def n_samples(self) -> int:
        """Return the number of samples."""
        return sum(len(item.samples) for item in self.items)


def pack(items: Sequence[Item], row_tokens: int, longrope_line: int = 0) -> list[list[Item]]:
    """Distribute items over rows of at most `row_tokens` tokens (longer ones alone), the longest first.

    A row never mixes samples from both sides of LongRoPE's line: one long sample would turn the whole row with the
    long factors.
    """
    rows: list[tuple[bool, int, list[Item]]] = []
    for item in sorted(items, key=lambda each: each.tokens, reverse=True):
        long = bool(longrope_line) and max(map(len, item.samples)) > longrope_line
        for number, (side, used, row) in enumerate(rows):
            if side == long and used + item.tokens <= row_tokens:
                row.append(item)
                rows[number] = side, used + item.tokens, row
                break
        else:
            rows.append((long, item.tokens, [item]))
    return [row for _, _, row in rows]


def fingerprint(items: Sequence[Item]) -> str:
    """Return a hash over ids, labels and order: a run can only go on with the same."""
    digest = hashlib.sha256()
    for item in items:
        for sample in item.samples:
            digest.update(np.asarray((len(sample), *sample.ids, *sample.labels), np.int64).tobytes())
        digest.update(b"|")
    return digest.hexdigest()
