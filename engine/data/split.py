"""Set examples aside for validation so that none changes sides when others are added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Split:
    """Hold the numbers of the examples on either side, in order."""

    training: list[int]
    validation: list[int]


def position_of(content_hash: bytes) -> float:
    """Turn a hash into a number from 0 to 1 that decides the side."""
    return int.from_bytes(content_hash[:8], "big") / 2**64


def split_examples(hashes: Sequence[bytes], groups: Sequence[int], validation_share: float) -> Split:
    """Put about `validation_share` of the groups on the validation side, whole groups only.

    `groups[i]` is the number of the first example of the group of example i, itself if it is alone; the first one's
    hash decides for all. Two groups or more give at least one to each side when a share is wanted.
    """
    positions = {group: position_of(hashes[group]) for group in groups}
    validation = {group for group, position in positions.items() if position < validation_share}
    if len(positions) > 1 and validation_share > 0:
        validation = validation or {min(positions, key=positions.__getitem__)}
        if len(validation) == len(positions):
            validation.discard(max(positions, key=positions.__getitem__))
    sides: tuple[list[int], list[int]] = ([], [])
    for number, group in enumerate(groups):
        sides[group in validation].append(number)
    return Split(*sides)
