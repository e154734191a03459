"""Refuse files that are no companion, in words."""

import dataclasses

import numpy as np
import pytest

from converter.gguf_file import MetadataType, read_header
from converter.gguf_stream import TensorToWrite, write_gguf
from converter.gguf_writer import TensorSpec, numbers, string, uint32
from converter.lazy_tensors import FileBytes, PackedRows
from engine.errors import EngineError
from engine.vision.companion import Companion, find_companion


def rewritten(path, out, *, metadata=None, leave_out=(), double=None):
    """Copy a companion with other metadata, without some tensors, or with one tensor twice as large."""
    header, file = read_header(path), FileBytes(path)
    tensors = []
    for info in header.tensors.values():
        if info.name in leave_out:
            continue
        source = PackedRows(info, file)
        pack = (lambda rows: rows.view("<f4") * np.float32(2)) if info.name == double else (lambda rows: rows)
        tensors.append(TensorToWrite(TensorSpec(info.name, info.shape, info.type), source, pack))
    write_gguf(out, {**header.metadata, **(metadata or {})}, tensors)
    file.close()
    return out


def test_the_companion_lies_beside_its_model(vision_model, tmp_path):
    assert find_companion(vision_model.path) == vision_model.companion
    assert find_companion(tmp_path / "other.gguf") is None


def test_settings_are_those_of_the_checkpoint(vision_model):
    settings = Companion(vision_model.companion).settings
    assert dataclasses.astuple(settings)[:5] == (64, 128, 4, 4, pytest.approx(1e-5))
    assert (settings.embedding, settings.num_crops, settings.hd_transform_order) == (96, 4, "sub_glb")


@pytest.mark.parametrize(
    "metadata",
    [
        {"clip.vision.attention.head_count": uint32(0)},
        {"clip.vision.attention.head_count": uint32(5)},
        {"clip.vision.patch_size": uint32(16)},
        {"clip.vision.block_count": uint32(1)},
        {"clip.vision.block_count": uint32(4_000_000)},
        {"clip.vision.embedding_length": uint32(128)},
        {"clip.vision.image_std": numbers([0.1, 0.0, 0.1], MetadataType.FLOAT32)},
        {"clip.vision.image_std": numbers([0.1, 0.1], MetadataType.FLOAT32)},
        {"clip.vision.image_mean": string("grey")},
        {"phidelity.vision.num_crops": uint32(0)},
        {"phidelity.vision.hd_transform_order": string("glb")},
    ],
    ids=lambda metadata: str({key: value.value for key, value in metadata.items()}),
)
def test_settings_that_cannot_be_are_refused(vision_model, tmp_path, metadata):
    path = rewritten(vision_model.companion, tmp_path / "odd.mmproj.gguf", metadata=metadata)
    with pytest.raises(EngineError, match="damaged") as caught:
        Companion(path)
    assert caught.value.code == "model_invalid" and caught.value.remedy


def test_missing_weights_are_named(vision_model, tmp_path):
    path = rewritten(vision_model.companion, tmp_path / "odd.mmproj.gguf", leave_out=("mm.sub_GN",))
    with pytest.raises(EngineError, match="sub_GN"):
        Companion(path)


def test_other_files_are_refused(vision_model, tmp_path):
    cut = tmp_path / "cut.mmproj.gguf"
    cut.write_bytes(vision_model.companion.read_bytes()[:300_000])
    for path, code in (
        (vision_model.path, "model_unsupported"),
        (cut, "model_invalid"),
        (tmp_path / "none.gguf", "model_not_found"),
    ):
        with pytest.raises(EngineError) as caught:
            Companion(path)
        assert caught.value.code == code and caught.value.remedy


def test_the_fingerprint_follows_the_weights_not_the_file(vision_model, tmp_path):
    first = Companion(vision_model.companion).fingerprint
    copy = rewritten(vision_model.companion, tmp_path / "copy.mmproj.gguf")
    tuned = rewritten(vision_model.companion, tmp_path / "tuned.mmproj.gguf", double="mm.hd.2.bias")
    assert Companion(copy).fingerprint == first != Companion(tuned).fingerprint
