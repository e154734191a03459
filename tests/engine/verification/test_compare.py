"""Figures of a comparison mean what their names say."""

import numpy as np
import pytest

from engine.verification.compare import compare_rows


def test_equal_rows_agree() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32)
    result = compare_rows("short", 0, 4, rows, rows)
    assert (result.relative_error, result.kl, result.same_top) == (0.0, 0.0, 1.0)


def test_figures_of_a_known_difference() -> None:
    reference = np.array([[0.0, 0.0], [3.0, 4.0]], np.float32)
    ours = reference + np.array([[1.0, 0.0], [0.0, -2.0]], np.float32)
    result = compare_rows("short", 0, 1, ours[1:], reference[1:])
    assert result.relative_error == pytest.approx(2 / 5)
    p, q = 1 / (1 + np.e), 1 / (1 + np.exp(-1))  # softmax of (3, 4) and of (3, 2), first entry
    expected = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    assert result.kl == pytest.approx(expected)
    assert result.same_top == 0.0


def test_masked_ids_are_left_out() -> None:
    reference = np.array([[1.0, 2.0, np.finfo(np.float32).min]], np.float32)
    ours = np.array([[1.0, 2.0, -np.inf]], np.float32)
    assert compare_rows("short", 0, 0, ours, reference).relative_error == 0.0


def test_rows_that_are_no_numbers_are_refused() -> None:
    rows = np.ones((1, 3), np.float32)
    with pytest.raises(ValueError, match="finite"):
        compare_rows("short", 0, 0, rows * np.nan, rows)
    with pytest.raises(ValueError, match="shapes"):
        compare_rows("short", 0, 0, rows[:, :2], rows)
