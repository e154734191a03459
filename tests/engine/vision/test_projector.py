"""Check the parts of the projector that vectors do not single out."""

import math

import numpy as np

from engine.vision.companion import Companion
from engine.vision.hd_transform import CropGrid
from engine.vision.projector import GeluTable, Projector


def exact_gelu(values):
    return np.array([value * math.erfc(-value / math.sqrt(2)) / 2 for value in values.astype(float).ravel()])


def test_gelu_is_exact_to_the_last_digits_of_float32():
    values = np.concatenate([np.linspace(-12, 12, 100_001), np.linspace(-0.01, 0.01, 1001)]).astype(np.float32)
    ours = values.copy()
    GeluTable().apply(ours)
    assert (np.abs(ours - exact_gelu(values)) <= 1.2e-7 * np.maximum(1, np.abs(values))).all()


def test_gelu_of_large_numbers_is_their_positive_part():
    values = np.array([-1e30, -100, -8, 8, 100, 1e30], np.float32)
    GeluTable().apply(values)
    assert np.allclose(values, [0, 0, 0, 8, 100, 1e30], atol=1e-7)


def test_rows_of_crops_are_put_together_before_the_separators(vision_model, threads):
    projector = Projector(Companion(vision_model.companion), threads)
    features = np.random.default_rng(0).standard_normal((7, 576, 64)).astype(np.float32)
    grid = CropGrid(2, 3)
    ours = projector.project(features, grid)
    assert ours.shape == (grid.tokens, 96)
    line = 3 * 12 + 1
    ends = ours[line - 1 : 24 * line : line]
    assert (ends == ends[0]).all()
    assert np.array_equal(ours[24 * line + 1 + 12], ends[0])
    whole = projector.project(features[:2], CropGrid(1, 1))
    assert np.allclose(whole[:12], ours[:12], atol=1e-5)  # the first crop begins the first line
    assert np.allclose(whole[-156:], ours[-156:], atol=1e-5)


def test_the_first_generation_puts_the_whole_picture_first(vision_model, threads):
    companion = Companion(vision_model.companion)
    features = np.random.default_rng(0).standard_normal((3, 576, 64)).astype(np.float32)
    late = Projector(companion, threads).project(features, CropGrid(2, 1))
    object.__setattr__(companion.settings, "hd_transform_order", "glb_sub")
    early = Projector(companion, threads).project(features, CropGrid(2, 1))
    parts = 24 * 13
    assert np.array_equal(early, np.concatenate([late[parts + 1 :], late[parts : parts + 1], late[:parts]]))
