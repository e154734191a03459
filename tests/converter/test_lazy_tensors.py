"""Test that rearranged rows are what numpy gives on whole arrays, whatever ranges are read."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from converter.head_rows import halves_of_interleaved, interleaved_of_halves
from converter.lazy_tensors import ArrayRows, JoinedRows, MappedRows, SelectedRows, row_count, slice_rows, to_float32

VALUES = np.arange(60, dtype=np.float32).reshape(20, 3)


def _all_rows(source, step):
    return np.concatenate([source.rows(i, min(i + step, row_count(source))) for i in range(0, row_count(source), step)])


@given(step=st.integers(1, 50))
def test_chunks_of_any_length_make_the_whole(step):
    source = ArrayRows(VALUES)
    order = np.random.default_rng(0).permutation(20)
    cases = {
        "slice": (slice_rows(source, 4, 17), VALUES[4:17]),
        "selection": (SelectedRows(source, order), VALUES[order]),
        "join": (JoinedRows([source, slice_rows(source, 2, 5), source]), np.concatenate([VALUES, VALUES[2:5], VALUES])),
        "map": (MappedRows(source, lambda rows: rows * 2), VALUES * 2),
        "vector": (ArrayRows(VALUES[0]), VALUES[:1]),
    }
    for name, (lazy, whole) in cases.items():
        assert np.array_equal(_all_rows(lazy, step), whole), name


def test_number_formats():
    values = np.array([1.5, -2.25, 0.0, 65504.0], np.float32)
    assert to_float32(values.tobytes(), "F32").tolist() == values.tolist()
    assert to_float32(values.astype(np.float16).tobytes(), "F16").tolist() == values.tolist()
    high_halves = (values.view(np.uint32) >> 16).astype(np.uint16)
    assert to_float32(high_halves.tobytes(), "BF16").tolist() == [1.5, -2.25, 0.0, 65280.0]


def test_interleaving_and_halving_are_inverse():
    rows = np.arange(48)
    assert rows[interleaved_of_halves(3, 48)][halves_of_interleaved(3, 48)].tolist() == rows.tolist()
    assert rows[interleaved_of_halves(1, 48)][:4].tolist() == [0, 24, 1, 25]
