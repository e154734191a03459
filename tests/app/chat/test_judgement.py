"""Check which versions are compared, and in what order."""

from random import Random

from app.chat.judgement import pair_to_compare
from app.storage.messages import Message
from app.storage.votes import Vote


def version(number: int, text: str) -> Message:
    return Message(number, 1, 1, "assistant", text, 0.0, False, None)


def drawn(versions: list[Message], votes: list[Vote]) -> set[tuple[int, int]]:
    pairs = (pair_to_compare(versions, votes, Random(seed)) for seed in range(200))
    return {(pair[0].id, pair[1].id) for pair in pairs if pair is not None}


def test_the_order_is_left_to_chance() -> None:
    assert drawn([version(2, "a"), version(3, "b")], []) == {(2, 3), (3, 2)}


def test_pairs_not_yet_compared_come_first() -> None:
    versions = [version(2, "a"), version(3, "b"), version(4, "c")]
    votes = [Vote(3, 2, False, True, 1.0), Vote(2, 4, True, True, 2.0)]
    assert drawn(versions, votes) == {(3, 4), (4, 3)}
    votes.append(Vote(4, 3, False, True, 3.0))
    assert len(drawn(versions, votes)) == 6


def test_equal_or_empty_versions_are_not_compared() -> None:
    assert drawn([version(2, "a"), version(3, " a\n"), version(4, "")], []) == set()
    assert drawn([version(2, "a")], []) == drawn([], []) == set()
