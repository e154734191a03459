"""Compare both towers, and the projector, with the reference's embeddings."""

import ctypes
import functools

import numpy as np
import pytest
import torch
from transformers import CLIPVisionConfig

from converter.checkpoint import Checkpoint
from converter.clip_companion import companion_file
from converter.ggml_types import file_type
from converter.gguf_stream import write_gguf
from engine.runtime.ggml_tensor import GgmlTensor
from engine.vision.blas_threads import BlasThreads
from engine.vision.clip import MtmdTower, load_ggml
from engine.vision.clip_cpu import MOST_CROPS_AT_ONCE, CpuTower
from engine.vision.companion import Companion
from engine.vision.hd_transform import Normalization, crop_grid, cut_crops, hd_transform
from engine.vision.products import (
    SMALLEST_HIDDEN,
    Bfloat16Products,
    Float32Products,
    choose_products,
    has_bfloat16_unit,
)
from engine.vision.projector import Projector
from tests.engine.vision.vectors import ONE_PICTURE
from tests.helpers.clip_tower import companion_of, random_tower

FLOAT32 = Float32Products("float32: for the test")
OBJECT_BYTES = 32  # struct ggml_object
MIX = np.random.default_rng(12345).choice([-1.0, 1.0], (96, 4))  # every stored row of `embeds_proj` is a row times this


@pytest.fixture(scope="module")
def companion(vision_model):
    return Companion(vision_model.companion)


@pytest.fixture(scope="module")
def packed(vision_checkpoint, tmp_path_factory):
    """Write the companion in other types."""

    def write(kind):
        path = tmp_path_factory.mktemp(kind) / "tiny.mmproj.gguf"
        checkpoint = Checkpoint(vision_checkpoint)
        write_gguf(path, *companion_file(checkpoint, file_type(kind), "Tiny"))
        checkpoint.close()
        return Companion(path)

    return functools.cache(write)


@pytest.fixture(scope="module")
def wide_companion(tmp_path_factory):
    """Write a tower of random bfloat16 weights as wide as the smallest that is multiplied in bfloat16."""
    config = CLIPVisionConfig(
        hidden_size=SMALLEST_HIDDEN,
        intermediate_size=4 * SMALLEST_HIDDEN,
        num_hidden_layers=8,
        num_attention_heads=4,
        image_size=336,
        patch_size=14,
        hidden_act="quick_gelu",
    )
    torch.manual_seed(0)
    return Companion(companion_of(random_tower(config), tmp_path_factory.mktemp("wide")))


@pytest.fixture
def mtmd(companion):
    tower = MtmdTower(companion, 2, use_gpu=False)
    yield tower
    tower.close()


@pytest.fixture
def towers(companion, threads, mtmd):
    ours = [CpuTower(companion, threads, products) for products in (FLOAT32, Bfloat16Products())]
    return [*ours, mtmd]


def ignore(done):
    pass


def crops_of(case):
    return cut_crops(hd_transform(case.open().pixels, case.num_crops), Normalization())


def relative_error(ours, wanted):
    return np.linalg.norm(ours - wanted) / np.linalg.norm(wanted)


def embeddings(tower, companion, threads, case):
    picture = case.open()
    grid = crop_grid(picture.width, picture.height, case.num_crops)
    return Projector(companion, threads).project(tower.encode(crops_of(case), ignore), grid)


def check(ours, case, tolerance):
    assert len(ours) == case.arrays["num_img_tokens"][0]
    assert relative_error(ours[case.arrays["rows"]], case.arrays["embeds_rows"]) < tolerance
    assert relative_error(ours @ MIX, case.arrays["embeds_proj"]) < tolerance


@pytest.mark.parametrize("case", ONE_PICTURE, ids=str)
def test_the_tower_on_the_cpu_is_the_reference(encoder, case):
    check(encoder.encode(case.open(), case.num_crops, lambda done, total: None), case, 1e-5)


@pytest.mark.parametrize("case", [case for case in ONE_PICTURE if case.num_crops == 4], ids=str)
def test_mtmd_is_within_the_bounds(companion, mtmd, threads, case):
    check(embeddings(mtmd, companion, threads, case), case, 2e-3)


def test_mtmd_is_within_the_bounds_with_what_an_import_writes(packed, threads):
    tower = MtmdTower(packed("f16"), 2, use_gpu=False)
    check(embeddings(tower, packed("f16"), threads, ONE_PICTURE[0]), ONE_PICTURE[0], 2e-3)
    tower.close()


def test_products_in_bfloat16_stay_near_float32_in_a_tower_that_is_large_enough(wide_companion, threads):
    crops = crops_of(ONE_PICTURE[0])
    products = choose_products(wide_companion)
    assert isinstance(products, Bfloat16Products) == has_bfloat16_unit()
    wanted = CpuTower(wide_companion, threads, FLOAT32).encode(crops, ignore)
    ours = CpuTower(wide_companion, threads, Bfloat16Products()).encode(crops, ignore)
    assert 0 < relative_error(ours, wanted) < 2e-3


@pytest.mark.parametrize(("kind", "tolerance"), [("f16", 1e-5), ("bf16", 1e-5), ("q8_0", 3e-2)])
def test_packed_weights_stay_near_in_float32(packed, threads, kind, tolerance):
    tower = CpuTower(packed(kind), threads, FLOAT32)
    check(embeddings(tower, packed(kind), threads, ONE_PICTURE[0]), ONE_PICTURE[0], tolerance)


def test_crops_do_not_influence_each_other(companion, threads):
    crops = np.random.default_rng(0).standard_normal((MOST_CROPS_AT_ONCE + 2, 3, 336, 336)).astype(np.float32)
    tower = CpuTower(companion, threads, FLOAT32)
    together = tower.encode(crops, ignore)
    alone = np.concatenate([tower.encode(crop[None], ignore) for crop in crops])
    assert relative_error(together, alone) < 1e-5


def test_the_number_of_threads_does_not_matter(companion, threads):
    crops = crops_of(ONE_PICTURE[0])
    several = BlasThreads(5)
    wanted = CpuTower(companion, threads, FLOAT32).encode(crops, ignore)
    assert relative_error(CpuTower(companion, several, FLOAT32).encode(crops, ignore), wanted) < 1e-5
    several.close()


def test_progress_rises_to_the_number_of_crops(towers):
    crops = crops_of(ONE_PICTURE[0])
    for tower in towers:
        seen = []
        tower.encode(crops, seen.append)
        assert seen == sorted(seen) and seen[0] == 0 and seen[-1] == len(crops)
        assert len(seen) > 2


def test_a_cancelled_tower_can_be_used_again(towers):
    class Enough(Exception):
        pass

    def cancel(done):
        if done > 0:
            raise Enough

    crops = crops_of(ONE_PICTURE[0])[:2]
    for tower in towers:
        before = tower.encode(crops, ignore)
        with pytest.raises(Enough):
            tower.encode(crops, cancel)
        assert np.array_equal(tower.encode(crops, ignore), before)


def test_nothing_is_written_to_standard_output(vision_model, capfd):
    tower = MtmdTower(Companion(vision_model.companion), 1, use_gpu=False)
    tower.encode(crops_of(ONE_PICTURE[0])[:1], ignore)
    tower.close()
    tower.close()
    assert capfd.readouterr() == ("", "")


def test_the_layout_of_a_tensor_is_the_librarys():
    assert ctypes.sizeof(GgmlTensor) + OBJECT_BYTES == load_ggml().ggml_tensor_overhead()
