"""Sequences cover the places where a runtime of this family goes wrong, and nothing that a model does not have."""

from hypothesis import given
from hypothesis import strategies as st

from engine.verification.bands import choose_sequences


def names(*arguments: int | bool) -> list[str]:
    return [band.name for sequence in choose_sequences(*arguments) for band in sequence.bands]  # type: ignore[arg-type]


def test_mini_4k_is_compared_around_its_window() -> None:
    assert names(4096, 4096, 2047, False) == ["short", "edge of the sliding window", "beyond the sliding window"]
    sequences = choose_sequences(4096, 4096, 2047, False)
    assert sequences[1].length == 4094
    assert 2047 in sequences[1].bands[0].positions


def test_long_rope_is_compared_on_both_sides() -> None:
    sequences = choose_sequences(131072, 4096, 0, True)
    assert [sequence.length for sequence in sequences] == [256, 4096, 4160]


def test_phi_3_small_is_compared_around_its_local_blocks() -> None:
    sequences = choose_sequences(131072, 8192, 1024, True, "local blocks")
    assert [sequence.length for sequence in sequences] == [256, 2048, 8192, 8256]
    assert [band.name for band in sequences[1].bands] == ["edge of the local blocks", "beyond the local blocks"]


def test_a_window_is_compared_on_one_side_of_the_line() -> None:
    assert [sequence.length for sequence in choose_sequences(131072, 1500, 1024, True)] == [256, 1500, 1500, 1564]
    assert [sequence.length for sequence in choose_sequences(131072, 1024, 1024, True)] == [256, 1024, 1088]


def test_window_wider_than_the_context_is_no_case() -> None:
    assert names(131072, 131072, 262144, False) == ["short"]


@given(st.integers(64, 9000), st.integers(64, 9000), st.integers(0, 9000), st.booleans())
def test_bands_lie_inside_their_sequence(context: int, original: int, window: int, long_rope: bool) -> None:
    for sequence in choose_sequences(context, original, window, long_rope):
        assert sequence.length <= context
        assert all(0 <= band.first <= band.last < sequence.length for band in sequence.bands)
