"""Say what is made small: the surprise at learned tokens, or the preference loss of DPO."""

from typing import Any, Protocol

import torch
from torch.nn import functional

from engine.training.samples import IGNORED, Item, PackedRow


class Objective(Protocol):
    """Give the loss of rows; a step's loss is the sum over its rows divided by the sum of their weights."""

    def weight(self, item: Item) -> float:
        """Return what an item counts."""

    def loss(self, model: Any, row: PackedRow) -> torch.Tensor:
        """Return the summed loss of a row, differentiable."""


def label_log_probs(model: Any, row: PackedRow) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-probability of every learned token and the number of the sample that it is in.

    The head, which is the costliest layer of a small model, is applied where something is learned and nowhere else.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = causal.model(input_ids=row.ids, position_ids=row.positions, use_cache=False).last_hidden_state[0]
    learned = (row.labels[1:] != IGNORED).nonzero()[:, 0]
    logits = causal.lm_head(hidden[learned]).float()
    return -functional.cross_entropy(logits, row.labels[learned + 1], reduction="none"), row.owners[learned + 1]


class NextToken:
    """Average the surprise over learned tokens: supervised fine-tuning and continued pre-training."""

    def weight(self, item: Item) -> float:
        """Return the number of learned tokens."""
        return float(sum(sample.learned for sample in item.samples))

    def loss(self, model: Any, row: PackedRow) -> torch.Tensor:
        """Return the summed negative log-probability of the learned tokens."""
        return -label_log_probs(model, row)[0].sum()


class Preference:
    """Direct preference optimisation (arXiv 2305.18290, equation 7) against log-probabilities computed beforehand."""

    def __init__(self, beta: float) -> None:
        """Take the strength with which the model is held to its reference."""
        self._beta = beta

    def weight(self, item: Item) -> float:
        """Count pairs."""
        return 1.0

    def loss(self, model: Any, row: PackedRow) -> torch.Tensor:
        """Return the summed loss of the row's pairs."""
        chosen, rejected = sequence_log_probs(model, row).reshape(-1, 2).unbind(1)
        reference = torch.tensor([item.reference for item in row.items], device=chosen.device)
        margin = (chosen - rejected) - (reference[:, 0] - reference[:, 1])
        return -functional.logsigmoid(self._beta * margin).sum()


def sequence_log_probs(model: Any, row: PackedRow) -> torch.Tensor:
    """Return the summed log-probability of the learned tokens of each sample of the row."""
    log_probs, owners = label_log_probs(model, row)
    return torch.zeros(row.n_samples, device=log_probs.device).index_add(0, owners, log_probs)
