"""Compare crops with the original image processor's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.vision.hd_transform import (
    CROP,
    FAST_CROPS,
    FINE_CROPS,
    MAX_CROPS,
    Normalization,
    crop_grid,
    cut_crops,
    hd_transform,
)
from tests.engine.vision.vectors import ONE_PICTURE


@pytest.mark.parametrize("case", ONE_PICTURE, ids=str)
def test_pixels_are_those_of_the_original_processor(case):
    picture = case.open()
    padded = hd_transform(picture.pixels, case.num_crops)
    crops = cut_crops(padded, Normalization())
    assert padded.shape[:2] == tuple(case.arrays["image_sizes"][0])
    assert np.array_equal(padded[7::24, 7::24], case.arrays["hd_uint8_grid"])
    assert np.abs(crops[:, :, 5::24, 5::24] - case.arrays["pixel_grid"]).max() < 1e-5
    assert np.abs(crops[0, :, 140:188, 100:148] - case.arrays["pixel_global_patch"]).max() < 1e-5


@pytest.mark.parametrize("case", ONE_PICTURE, ids=str)
def test_the_count_of_tokens_is_known_from_the_size_alone(case):
    picture = case.open()
    grid = crop_grid(picture.width, picture.height, case.num_crops)
    assert grid.tokens == case.arrays["num_img_tokens"][0] == (case.arrays["input_ids"] == -1).sum()


@settings(deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000), st.sampled_from([1, FAST_CROPS, FINE_CROPS, MAX_CROPS]))
def test_any_shape_has_a_grid_of_its_own_orientation(width, height, num_crops):
    if max(width, height) > min(width, height) * CROP:
        return  # may be too narrow
    grid = crop_grid(width, height, num_crops)
    assert grid.rows * grid.columns <= num_crops
    assert (grid.columns >= grid.rows) if width > height else (grid.rows >= grid.columns)
    assert crop_grid(height, width, num_crops) == type(grid)(grid.columns, grid.rows)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 2, FAST_CROPS]))
def test_crops_fill_the_grid_that_was_announced(width, height, num_crops):
    pixels = np.random.default_rng(width).integers(0, 255, (height, width, 3), np.uint8)
    padded = hd_transform(pixels, num_crops)
    grid = crop_grid(width, height, num_crops)
    assert padded.shape == (grid.rows * CROP, grid.columns * CROP, 3)
    assert cut_crops(padded, Normalization()).shape == (grid.crops, 3, CROP, CROP)


def test_padding_is_white_and_in_the_middle_of_both_sides():
    padded = hd_transform(np.zeros((100, 300, 3), np.uint8), 4)
    assert padded.shape == (336, 1008, 3) or padded.shape == (336, 672, 3) or padded.shape == (672, 1344, 3)
    dark = np.flatnonzero((padded == 0).all(axis=(1, 2)))
    assert dark[0] == (padded.shape[0] - len(dark)) // 2
    assert (padded[: dark[0]] == 255).all() and (padded[dark[-1] + 1 :] == 255).all()


def test_shapes_and_settings_that_cannot_be_are_refused_in_words():
    with pytest.raises(EngineError, match="too narrow") as caught:
        crop_grid(1, 3000, 4)
    assert caught.value.remedy
    for num_crops in (0, -1, MAX_CROPS + 1):
        with pytest.raises(EngineError, match="crops"):
            crop_grid(10, 10, num_crops)
