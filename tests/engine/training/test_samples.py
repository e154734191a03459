"""Samples in one row do not see each other, in any architecture."""

import numpy as np
import pytest
import torch

from engine.training.base import load_weights, open_base
from engine.training.samples import IGNORED, Item, PackedRow, Sample, fingerprint, pack
from tests.helpers.checkpoints import make_phi3, make_phimoe

LINE = 40


def sample(length, seed=0, learned=4):
    ids = np.random.default_rng(seed).integers(300, 32000, length).tolist()
    return Sample(tuple(ids), (*[IGNORED] * (length - learned), *ids[length - learned :]))


def items(*lengths):
    return [Item((sample(length, number),)) for number, length in enumerate(lengths)]


CHECKPOINTS = {
    "mini": lambda folder: make_phi3(folder),
    "window": lambda folder: make_phi3(folder, "mini-4k", sliding_window=16),
    "longrope": lambda folder: make_phi3(folder, "mini-128k", original_max_position_embeddings=LINE),
    "phi-4-mini": lambda folder: make_phi3(folder, "phi-4-mini", original_max_position_embeddings=LINE),
    "phimoe": lambda folder: make_phimoe(folder, original_max_position_embeddings=LINE),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_packed_and_separate_logits_are_equal(name, tmp_path):
    base = open_base(str(CHECKPOINTS[name](tmp_path / name)), tmp_path)
    model = load_weights(base, torch.float32)
    all_items = items(30, 21, 25, LINE + 15, LINE + 3)
    seen = 0
    with torch.no_grad():
        for row_items in pack(all_items, 110, base.longrope_line):
            row = PackedRow.of(row_items)
            packed = model(input_ids=row.ids, position_ids=row.positions, use_cache=False).logits[0]
            start = 0
            for item in row_items:
                ids = torch.tensor([item.samples[0].ids])
                alone = model(input_ids=ids, use_cache=False).logits[0]
                end = start + len(item.samples[0])
                assert (packed[start:end] - alone).norm() / alone.norm() < 1e-5
                start, seen = end, seen + 1
    assert seen == len(all_items)


def test_no_row_is_on_both_sides_of_the_longrope_line():
    rows = pack(items(30, 41, 39, 60, 12), 200, LINE)
    sides = [{len(item.samples[0]) > LINE for item in row} for row in rows]
    assert sides == [{True}, {False}] and sum(map(len, rows)) == 5
    assert len(pack(items(30, 41, 39, 60, 12), 200)) == 1


def test_rows_are_not_longer_than_asked_and_nothing_is_lost():
    all_items = items(90, 50, 40, 33, 20, 7, 150)
    rows = pack(all_items, 100)
    assert sorted(sum(item.tokens for item in row) for row in rows)[:-1] <= [100] * (len(rows) - 1)
    assert sorted(item.tokens for row in rows for item in row) == sorted(item.tokens for item in all_items)


def test_row_says_whose_each_token_is():
    row = PackedRow.of([Item((sample(3, learned=1), sample(2, learned=1)))])
    assert row.owners.tolist() == [0, 0, 0, 1, 1] and row.positions.tolist() == [[0, 1, 2, 0, 1]]
    assert (row.labels != IGNORED).tolist() == [False, False, True, False, True]
    assert (row.n_samples, row.tokens) == (2, 5)


def test_first_token_is_never_learned():
    with pytest.raises(ValueError):
        Sample((1, 2), (1, 2))


def test_fingerprint_sees_ids_labels_and_order():
    one, two = items(5, 6)
    other_labels = Item((Sample(one.samples[0].ids, (IGNORED,) * 5),))
    prints = {fingerprint(each) for each in ([one, two], [two, one], [one], [other_labels, two])}
    assert len(prints) == 4 and fingerprint([one, two]) == fingerprint(items(5, 6))
