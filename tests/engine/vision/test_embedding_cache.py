"""Keep, find, forget and mistrust embeddings."""

import os

import numpy as np
import pytest

from engine.vision.embedding_cache import EmbeddingCache, cache_key


def values(seed, rows=10, columns=8):
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


ENTRY = values(0).nbytes


def test_keys_depend_on_everything_that_matters():
    keys = {cache_key(*parts) for parts in (("a", 4, "m"), ("b", 4, "m"), ("a", 16, "m"), ("a", 4, "n"))}
    assert len(keys) == 4 and cache_key("a", 4, "m") in keys


@pytest.mark.parametrize("on_disk", [True, False])
def test_what_was_put_is_found(tmp_path, on_disk):
    cache = EmbeddingCache(tmp_path / "cache" if on_disk else None)
    assert cache.get("a") is None
    cache.put("a", values(1))
    assert np.array_equal(cache.get("a"), values(1))
    with pytest.raises(ValueError):
        cache.get("a")[0] = 0


def test_entries_survive_a_restart(tmp_path):
    EmbeddingCache(tmp_path).put("a", values(1))
    assert np.array_equal(EmbeddingCache(tmp_path).get("a"), values(1))


def test_memory_keeps_the_latest(tmp_path):
    cache = EmbeddingCache(None, memory_bytes=2 * ENTRY)
    cache.put("a", values(1))
    cache.put("b", values(2))
    cache.get("a")
    cache.put("c", values(3))
    assert cache.get("b") is None and cache.get("a") is not None and cache.get("c") is not None


def test_the_disk_keeps_the_latest(tmp_path):
    cache = EmbeddingCache(tmp_path, memory_bytes=0, disk_bytes=3 * ENTRY)
    for number, key in enumerate("ab"):
        cache.put(key, values(number))
        os.utime(next(tmp_path.glob(f"{key}.*")), (number, number))
    assert cache.get("a") is not None  # used now, so b is the oldest
    cache.put("c", values(3))
    assert cache.get("b") is None and cache.get("a") is not None and cache.get("c") is not None
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * ENTRY


def test_an_entry_larger_than_the_disk_limit_stays_off_the_disk(tmp_path):
    EmbeddingCache(tmp_path, disk_bytes=10).put("a", values(1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other", "longer"])
def test_damaged_entries_count_as_missing(tmp_path, damage):
    EmbeddingCache(tmp_path).put("a", values(1))
    path = next(tmp_path.iterdir())
    data = bytearray(path.read_bytes())
    data[-5] ^= damage == "flipped"
    damaged = {"empty": b"", "cut": data[:-8], "flipped": data, "other": b"x" * len(data), "longer": data + b"1234"}
    path.write_bytes(damaged[damage])
    cache = EmbeddingCache(tmp_path)
    assert cache.get("a") is None and not path.exists()
    cache.put("a", values(1))
    assert EmbeddingCache(tmp_path).get("a") is not None


def test_a_disk_that_refuses_costs_nothing_but_time(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    cache = EmbeddingCache(blocked / "cache")
    cache.put("a", values(1))
    assert np.array_equal(cache.get("a"), values(1))
    assert EmbeddingCache(blocked / "cache").get("a") is None


def test_everything_can_be_forgotten(tmp_path):
    cache = EmbeddingCache(tmp_path)
    cache.put("a", values(1))
    (tmp_path / "b.embeddings123.part").write_bytes(b"left over")
    cache.clear()
    assert cache.get("a") is None and not list(tmp_path.iterdir())
