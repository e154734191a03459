"""Convert a tiny Phi-3.5-vision into its two files and look into them."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from converter.convert import convert
from converter.errors import ConversionCancelled, ConversionError
from converter.gguf_file import read_header
from converter.inspect import inspect
from converter.lazy_tensors import FileBytes, PackedRows
from tests.engine.vision.vectors import CASES
from tests.helpers.fixtures import unpack_checkpoint
from tests.helpers.logits import llama_logits

TOWER = "model.vision_embed_tokens.img_processor.vision_model."


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return unpack_checkpoint("phi3v-tiny", tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def copied(checkpoint, tmp_path):
    """Give a checkpoint whose settings a test may change."""
    folder = tmp_path / "changed"
    folder.mkdir()
    for path in checkpoint.iterdir():
        if path.is_file():
            (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def converted(checkpoint, tmp_path_factory):
    return convert(checkpoint, tmp_path_factory.mktemp("gguf") / "tiny.gguf", outtype="f32", name="Tiny vision")


def change(folder, file, **settings):
    path = folder / file
    content = json.loads(path.read_text()) | settings
    path.unlink()
    path.write_text(json.dumps(content))


def values(path, name):
    info = read_header(path).tensors[name]
    file = FileBytes(path)
    rows = PackedRows(info, file).rows(0, info.n_rows)
    file.close()
    return rows.view({"f32": "<f4", "f16": "<f2"}[info.type.name]).astype(np.float32).reshape(info.shape)


def test_there_are_two_files_side_by_side(converted):
    assert converted.companion == converted.path.with_name("tiny.mmproj.gguf")
    assert converted.architecture == "phi3" and not converted.warnings
    text, pictures = read_header(converted.path), read_header(converted.companion)
    assert not any("vision" in name or name.startswith(("v.", "mm.")) for name in text.tensors)
    assert pictures.architecture == "clip" and pictures.text("general.type") == "mmproj"
    assert text.text("phidelity.source.architecture") == pictures.text("phidelity.source.architecture") == "phi3_v"


def test_the_language_model_gives_the_reference_logits(converted):
    case = next(case for case in CASES if case.name == "text")
    logits = llama_logits(converted.path, case.arrays["input_ids"].tolist(), rows=slice(-1, None))[0]
    wanted = case.arrays["logits_stride16"]
    assert np.linalg.norm(logits[::16] - wanted) < 1e-5 * np.linalg.norm(wanted)
    assert logits.argmax() == case.arrays["top_ids"][0]


def test_the_tower_is_complete_and_its_positions_are_rolled(checkpoint, converted):
    weights = {name: value.float().numpy() for name, value in load_file(checkpoint / "model.safetensors").items()}
    positions = weights[TOWER + "embeddings.position_embedding.weight"]
    assert np.array_equal(values(converted.companion, "v.position_embd.weight"), np.roll(positions, -1, axis=0))
    for ours, theirs in (
        ("v.class_embd", TOWER + "embeddings.class_embedding"),
        ("v.patch_embd.weight", TOWER + "embeddings.patch_embedding.weight"),
        ("v.pre_ln.bias", TOWER + "pre_layrnorm.bias"),
        ("v.blk.3.ffn_down.weight", TOWER + "encoder.layers.3.mlp.fc2.weight"),
        ("v.blk.1.attn_v.bias", TOWER + "encoder.layers.1.self_attn.v_proj.bias"),
        ("mm.hd.0.weight", "model.vision_embed_tokens.img_projection.0.weight"),
        ("mm.sub_GN", "model.vision_embed_tokens.sub_GN"),
        ("mm.glb_GN", "model.vision_embed_tokens.glb_GN"),
    ):
        assert np.array_equal(values(converted.companion, ours).ravel(), weights[theirs].ravel())


def test_settings_come_from_the_configuration_files(converted):
    header = read_header(converted.companion)
    assert header.number("clip.vision.attention.head_count") == 4
    assert header.number("clip.vision.block_count") == 4
    assert header.number("phidelity.vision.num_crops") == 4
    assert header.text("phidelity.vision.hd_transform_order") == "sub_glb"
    assert header.metadata["clip.vision.image_mean"].value[0] == np.float32(0.48145466)


def test_the_first_generation_has_its_own_settings(copied, tmp_path):
    config = json.loads((copied / "config.json").read_text())
    del config["embd_layer"]["hd_transform_order"]
    change(copied, "config.json", **config)
    change(copied, "preprocessor_config.json", num_crops=16)
    result = convert(copied, tmp_path / "first.gguf", outtype="f16", companion=tmp_path / "elsewhere.gguf")
    header = read_header(tmp_path / "elsewhere.gguf")
    assert result.companion == header.path
    assert header.number("phidelity.vision.num_crops") == 16
    assert header.text("phidelity.vision.hd_transform_order") == "glb_sub"


def test_heads_follow_from_the_size_where_nothing_is_said(copied, tmp_path):
    config = json.loads((copied / "config.json").read_text())
    del config["_tiny_clip_vision_config_not_in_hub"]["num_attention_heads"]
    change(copied, "config.json", **config)
    result = convert(copied, tmp_path / "one.gguf", outtype="f16")
    assert read_header(result.companion).number("clip.vision.attention.head_count") == 1


@pytest.mark.parametrize(("outtype", "expected"), [("f32", "f32"), ("f16", "f16"), ("bf16", "f16"), ("q8_0", "f16")])
def test_the_tower_keeps_16_bits(checkpoint, tmp_path, outtype, expected):
    result = convert(checkpoint, tmp_path / "x.gguf", outtype=outtype)
    tensors = read_header(result.companion).tensors
    assert tensors["v.blk.0.attn_q.weight"].type.name == expected
    assert {tensors[name].type.name for name in ("v.patch_embd.weight", "mm.hd.2.weight")} == {expected}
    small = ("v.position_embd.weight", "v.blk.0.ln1.weight", "mm.sub_GN")
    assert {tensors[name].type.name for name in small} == {"f32"}
    assert inspect(result.companion).architecture == "clip" and inspect(result.companion).file_type == expected
    assert inspect(result.path).faults == ()


@pytest.mark.parametrize(
    ("section", "key", "value", "named"),
    [
        ("embd_layer", "use_hd_transform", False, "use_hd_transform"),
        ("embd_layer", "hd_transform_order", "glb", "sub_glb or glb_sub"),
        ("embd_layer", "projection_cls", "linear", "projection_cls"),
        ("img_processor", "layer_idx", -1, "layer_idx"),
        ("_tiny_clip_vision_config_not_in_hub", "num_attention_heads", 5, "CLIP.*num_attention_heads"),
        ("_tiny_clip_vision_config_not_in_hub", "intermediate_size", 64, "fc1.weight has the shape"),
    ],
)
def test_settings_that_no_published_model_has_are_refused(copied, tmp_path, section, key, value, named):
    config = json.loads((copied / "config.json").read_text())
    change(copied, "config.json", **{section: config[section] | {key: value}})
    with pytest.raises(ConversionError, match=named):
        convert(copied, tmp_path / "x.gguf", outtype="f16")
    assert not list(tmp_path.glob("*.gguf*"))


def test_a_checkpoint_without_its_tower_is_incomplete(copied, tmp_path):
    weights = load_file(copied / "model.safetensors")
    (copied / "model.safetensors").unlink()
    save_file({name: value for name, value in weights.items() if "sub_GN" not in name}, copied / "model.safetensors")
    with pytest.raises(ConversionError, match="sub_GN is missing"):
        convert(copied, tmp_path / "x.gguf", outtype="f16")


def test_progress_runs_once_and_a_late_cancel_leaves_nothing(checkpoint, tmp_path):
    seen = []

    def watch(progress):
        seen.append(progress)

    convert(checkpoint, tmp_path / "whole.gguf", outtype="f16", progress=watch)
    done = [progress.done_bytes for progress in seen]
    assert done == sorted(done) and len({progress.total_bytes for progress in seen}) == 1
    assert seen[-1].done == seen[-1].total

    def cancel_late(progress):
        if progress.tensor == "mm.hd.2.weight":
            raise ConversionCancelled

    with pytest.raises(ConversionCancelled):
        convert(checkpoint, tmp_path / "half.gguf", outtype="f16", progress=cancel_late)
    assert not list(tmp_path.glob("half*"))
