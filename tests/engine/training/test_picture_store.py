"""Feature maps of pictures are made once, kept, made again where they got lost, and refused where they cannot be."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from engine.errors import EngineError
from engine.training.base import with_pictures
from engine.training.picture_store import COMPANION_FILE
from tests.engine.vision.vectors import FOLDER

PICTURE = FOLDER / "img2_336x336.png"


@pytest.fixture
def open_store(seeing_base, tmp_path):
    stores = []

    def open_again(num_crops=1):
        base = with_pictures(replace(seeing_base, pictures=None), tmp_path / "kept", num_crops, 1, lambda _: None)
        stores.append(base.pictures)
        return base.pictures

    yield open_again
    for store in stores:
        store.close()


def test_kept_features_are_not_made_again(open_store, tmp_path):
    store = open_store()
    seen = store.look(PICTURE)
    progress = []
    store.prepare([seen.number, seen.number], lambda done, total: progress.append((done, total)))
    assert progress[-1] == (2, 2)
    again, made = open_store(), len(progress)
    assert again.look(PICTURE).number == seen.number
    again.prepare([seen.number], lambda done, total: progress.append((done, total)))
    assert len(progress) == made
    assert np.array_equal(again.features(seen.number).maps, store.features(seen.number).maps)


def test_lost_and_damaged_features_are_made_again(open_store, tmp_path):
    store = open_store()
    seen = store.look(PICTURE)
    first = store.features(seen.number).maps.copy()
    kept = next((tmp_path / "kept").glob("*.embeddings"))
    kept.write_bytes(kept.read_bytes()[:100])
    again = open_store()
    again.look(PICTURE)
    assert np.array_equal(again.features(seen.number).maps, first)


def test_damaged_tower_is_written_again(open_store, tmp_path):
    open_store()
    companion = tmp_path / "kept" / COMPANION_FILE
    whole = companion.read_bytes()
    companion.write_bytes(whole[:1000])
    assert open_store().hd_transform_order == "sub_glb" and companion.read_bytes() == whole


def test_other_detail_is_another_picture(open_store):
    assert open_store(1).look(PICTURE).number != open_store(4).look(PICTURE).number


def test_picture_that_changes_is_named(open_store, tmp_path):
    store, picture = open_store(), tmp_path / "p.png"
    shutil.copy(PICTURE, picture)
    seen = store.look(picture)
    shutil.copy(FOLDER / "img0_640x480.png", picture)
    with pytest.raises(EngineError) as failure:
        store.prepare([seen.number], lambda *_: None)
    assert failure.value.code == "picture_invalid" and "p.png" in failure.value.message


def test_too_little_disk_is_said_before_the_first_picture(open_store, monkeypatch):
    store = open_store()
    seen = store.look(PICTURE)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(EngineError) as failure:
        store.prepare([seen.number], lambda *_: None)
    assert failure.value.code == "disk_full" and "crops" in (failure.value.remedy or "")


def test_pictures_can_be_stopped(open_store):
    store = open_store()
    seen = store.look(PICTURE)

    def stop(done, total):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        store.prepare([seen.number], stop)
