"""A projector that was trained beside an adapter takes the place of the base's, in every way to convert."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from converter.checkpoint import Checkpoint
from converter.convert import convert, convert_companion
from converter.errors import ConversionError
from converter.gguf_file import read_header
from converter.merged_checkpoint import write_merged
from converter.tuned_projector import PROJECTOR_FILE, PROJECTOR_TENSORS
from tests.helpers.adapters import write_adapter

BIAS = "model.vision_embed_tokens.img_projection.2.bias"


@pytest.fixture
def adapter(vision_checkpoint, tmp_path):
    """Give an adapter with a projector of random numbers beside it."""
    generator = np.random.default_rng(0)
    factors = {"lora_A": (4, 256), "lora_B": (96, 4)}
    tensors = {f"model.layers.1.mlp.down_proj.{name}.weight": shape for name, shape in factors.items()}
    folder = write_adapter(
        tmp_path / "adapter", {name: generator.normal(0, 0.1, shape).astype("f4") for name, shape in tensors.items()}
    )
    checkpoint = Checkpoint(vision_checkpoint)
    shapes = {name: checkpoint.shape(name) for name in PROJECTOR_TENSORS}
    checkpoint.close()
    save_file({name: generator.normal(0, 1, shape).astype("f4") for name, shape in shapes.items()}, projector(folder))
    return folder


def projector(folder):
    return folder / PROJECTOR_FILE


def tensor(path, name):
    info = read_header(path).tensors[name]
    return np.frombuffer(path.read_bytes(), "<f4", info.nbytes // 4, info.offset)


def test_companion_has_the_trained_projector_and_the_tower_of_the_base(vision_checkpoint, vision_model, adapter):
    out = convert_companion(vision_checkpoint, adapter / "c.gguf", outtype="f32", adapter=adapter)
    trained = load_file(projector(adapter))
    assert np.array_equal(tensor(out, "mm.hd.2.bias"), trained[BIAS])
    assert np.array_equal(tensor(out, "mm.sub_GN"), trained["model.vision_embed_tokens.sub_GN"].reshape(-1))
    tower = [name for name in read_header(out).tensors if name.startswith("v.")]
    assert len(tower) > 50
    assert all(np.array_equal(tensor(out, name), tensor(vision_model.companion, name)) for name in tower)


def test_merging_takes_the_projector_too(vision_checkpoint, vision_model, adapter, tmp_path):
    made = convert(vision_checkpoint, tmp_path / "m.gguf", outtype="f32", adapter=adapter)
    assert np.array_equal(tensor(made.companion, "mm.hd.2.bias"), load_file(projector(adapter))[BIAS])
    assert not np.array_equal(
        tensor(made.path, "blk.1.ffn_down.weight"), tensor(vision_model.path, "blk.1.ffn_down.weight")
    )
    written = write_merged(vision_checkpoint, adapter, tmp_path / "merged", outtype="f32")
    assert written.n_changed == 7
    again = convert(written.path, tmp_path / "again.gguf", outtype="f32")
    assert np.array_equal(tensor(again.companion, "mm.hd.2.bias"), load_file(projector(adapter))[BIAS])


def test_companion_without_a_projector_is_the_bases(vision_checkpoint, vision_model, adapter):
    projector(adapter).unlink()
    out = convert_companion(vision_checkpoint, adapter / "c.gguf", outtype="f32", adapter=adapter, name="Tiny vision")
    assert out.read_bytes() == vision_model.companion.read_bytes()


@pytest.mark.parametrize("fault", ["a tensor is missing", "another shape", "whole numbers", "no safetensors"])
def test_projector_that_does_not_fit_is_refused(vision_checkpoint, adapter, fault):
    tensors = load_file(projector(adapter))
    match fault:
        case "a tensor is missing":
            del tensors[BIAS]
        case "another shape":
            tensors[BIAS] = np.zeros(5, np.float32)
        case "whole numbers":
            tensors[BIAS] = np.zeros(96, np.int32)
    save_file(tensors, projector(adapter))
    if fault == "no safetensors":
        projector(adapter).write_bytes(b"{}")
    with pytest.raises(ConversionError) as failure:
        convert(vision_checkpoint, adapter / "m.gguf", outtype="f32", adapter=adapter)
    assert "projector" in failure.value.message and not (adapter / "m.gguf").exists()
