"""Encode pictures from end to end: cache, cancelling, and logits of the whole model."""

import numpy as np
import pytest

from engine.errors import EngineError
from engine.vision.embedding_cache import EmbeddingCache
from engine.vision.encoder import PictureEncoder
from engine.vision.images import decode_picture
from engine.vision.prompt import picture_runs
from tests.engine.vision.language_model import last_logits
from tests.engine.vision.vectors import CASES, FOLDER

WITH_PICTURES = [case for case in CASES if case.pictures]


def ignore(done, total):
    pass


@pytest.mark.parametrize("case", WITH_PICTURES, ids=str)
def test_logits_are_the_references(encoder, vision_model, case):
    ids = case.arrays["input_ids"].tolist()
    embeddings = [encoder.encode(case.open(index), case.num_crops, ignore) for index in range(len(case.pictures))]
    assert [len(rows) for rows in embeddings] == [run.stop - run.start for run in picture_runs(ids)]
    logits = last_logits(vision_model.path, ids, embeddings)
    wanted = case.arrays["logits_stride16"]
    assert np.linalg.norm(logits[::16] - wanted) < 1e-3 * np.linalg.norm(wanted)
    assert logits.argmax() == case.arrays["top_ids"][0]
    assert np.abs(logits[case.arrays["top_ids"]] - case.arrays["top_logits"]).max() < 0.01


def test_a_picture_is_encoded_once_even_after_a_restart(vision_model, tmp_path):
    picture = WITH_PICTURES[0].open()
    calls = []
    first = PictureEncoder(vision_model.companion, EmbeddingCache(tmp_path), threads=2)
    embeddings = first.encode(picture, 4, lambda done, total: calls.append((done, total)))
    assert calls[0] == (0, 5) and calls[-1] == (5, 5)
    again = PictureEncoder(vision_model.companion, EmbeddingCache(tmp_path), threads=2)
    for encoder in (first, again):
        assert np.array_equal(encoder.encode(picture, 4, pytest.fail), embeddings)
    assert len(again.encode(picture, 1, ignore)) != len(embeddings)
    first.close()
    again.close()


def test_a_cancelled_picture_is_not_kept(vision_model, tmp_path):
    def cancel(done, total):
        if done >= 2:
            raise EngineError("cancelled", "Enough.")

    picture = WITH_PICTURES[0].open()
    encoder = PictureEncoder(vision_model.companion, EmbeddingCache(tmp_path), threads=2)
    with pytest.raises(EngineError, match="Enough"):
        encoder.encode(picture, 4, cancel)
    assert not list(tmp_path.iterdir())
    assert len(encoder.encode(picture, 4, ignore)) == 757
    encoder.close()
    encoder.close()
    assert len(encoder.encode(picture, 4, pytest.fail)) == 757


def test_what_the_model_wants_is_known(encoder):
    assert encoder.num_crops == 4 and encoder.embedding == 96


def test_the_same_picture_in_another_file_is_the_same(encoder):
    picture = decode_picture((FOLDER / "img2_336x336.png").read_bytes())
    encoder.encode(picture, 1, ignore)
    assert encoder.encode(decode_picture((FOLDER / "img2_336x336.png").read_bytes()), 1, pytest.fail) is not None
