"""Hold how two models agree; free of numpy, since the window reads it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BandResult:
    """Hold how two models agree on one band.

    Attributes:
        name, first, last: the band.
        relative_error: largest ||ours - reference|| / ||reference|| of a row of logits.
        kl: mean Kullback-Leibler divergence of ours from the reference's distribution, in nats per token.
        same_top: share of positions whose likeliest token is the same.
    """

    name: str
    first: int
    last: int
    relative_error: float
    kl: float
    same_top: float
