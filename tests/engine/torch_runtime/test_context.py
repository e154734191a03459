"""A conversation on PyTorch grows, reuses, stops and crosses LongRoPE's line without a change of the logits."""

import itertools

import numpy as np
import pytest

from engine.errors import EngineError
from engine.runtime.cancellation import Cancellation
from engine.torch_runtime import context as context_module
from tests.helpers.fixtures import DATA
from tests.helpers.logits import relative_error


def quiet(stage, done, total):
    """Take progress and do nothing."""


def vectors(case):
    """Give ids, positions and logits of a reference."""
    reference = np.load(DATA / "phi3small-tiny" / "ref" / f"{case}.npz")
    return reference["input_ids"].ravel().tolist(), reference["positions"].tolist(), reference["logits"]


def fresh_logits(load_session, path, ids):
    context = load_session(path).opened.context
    context.fill(ids, quiet)
    return context.logits()


def assert_same(first, second):
    assert relative_error(first[None], second[None]) < 1e-5


def test_logits_equal_the_reference_while_the_context_grows(load_session, small):
    ids, positions, logits = vectors("seq3000")
    context = load_session(small[1]).opened.context
    assert context.cells == 1024
    filled = 0
    for position, expected in zip(positions, logits, strict=True):
        assert context.fill(ids[: position + 1], quiet) == filled
        filled = len(context.tokens)
        assert filled == position + 1
        assert relative_error(context.logits()[None], expected[None]) < 1e-5
    assert context.cells == 4096


def test_single_tokens_continue_a_prompt(load_session, small):
    ids, positions, logits = vectors("seq3000")
    context = load_session(small[1]).opened.context
    context.fill(ids[:1085], quiet)
    for position in range(1085, 1089):
        context.append(ids[position], quiet)
        if position in positions:
            assert relative_error(context.logits()[None], logits[positions.index(position)][None]) < 1e-5
    assert context.tokens == ids[:1089]


def test_a_short_conversation_gives_memory_back(load_session, small):
    ids, _, _ = vectors("seq3000")
    context = load_session(small[1]).opened.context
    context.fill(ids[:1200], quiet)
    assert context.cells == 2048
    context.fill(ids[600:700], quiet)
    assert context.cells == 1024


def test_only_what_differs_is_evaluated_again(load_session, small):
    ids, _, _ = vectors("seq3000")
    context = load_session(small[1]).opened.context
    context.fill(ids[:200], quiet)
    changed = [*ids[:120], *ids[300:340]]
    evaluated = []
    assert context.fill(changed, lambda stage, done, total: evaluated.append((stage, total))) == 120
    assert set(evaluated) == {("prefill", 40)}
    assert_same(context.logits(), fresh_logits(load_session, small[1], changed))
    assert context.fill(changed, quiet) == len(changed) - 1


def test_a_conversation_that_crosses_the_line_is_read_again(load_session, small_longrope):
    ids, _, _ = vectors("longrope_seq3000")
    context = load_session(small_longrope[1]).opened.context
    context.fill(ids[:1023], quiet)
    stages = []
    for token in ids[1023:1026]:
        context.append(token, lambda stage, done, total: stages.append((stage, total)))
    assert set(stages) == {("reread", 1025)}
    assert_same(context.logits(), fresh_logits(load_session, small_longrope[1], ids[:1026]))


def test_both_sides_of_the_line_equal_the_reference(load_session, small_longrope):
    context = load_session(small_longrope[1]).opened.context
    ids, positions, logits = vectors("longrope_seq3000")
    beyond = [index for index, position in enumerate(positions) if position >= 1024]
    assert len(beyond) > 5
    for index in beyond:
        context.fill(ids[: positions[index] + 1], quiet)
        assert relative_error(context.logits()[None], logits[index][None]) < 1e-4
    seen = []
    ids, positions, logits = vectors("longrope_seq200")
    context.fill(ids, lambda stage, done, total: seen.append(stage))
    assert relative_error(context.logits()[None], logits[positions.index(199)][None]) < 1e-5
    context.fill(ids[:190], lambda stage, done, total: seen.append(stage))
    assert [stage for stage, _ in itertools.groupby(seen)] == ["prefill"]


def test_a_longer_prompt_is_read_again_and_a_shorter_one_goes_back(load_session, small_longrope):
    ids, _, _ = vectors("longrope_seq3000")
    context = load_session(small_longrope[1]).opened.context
    seen = []
    for length in (200, 1100, 200):
        context.fill(ids[:length], lambda stage, done, total: seen.append((stage, total)))
    assert [stage for stage, _ in itertools.groupby(seen)] == [("prefill", 200), ("reread", 1100), ("reread", 200)]
    assert_same(context.logits(), fresh_logits(load_session, small_longrope[1], ids[:200]))


class AskedWithinABatch(Cancellation):
    """Ask for the end some matrix products after an evaluation has begun."""

    def __init__(self, products):
        super().__init__()
        self.left = products

    def check(self):
        """Count, then look."""
        self.left -= 1
        if self.left == 0:
            self.request()
        super().check()


@pytest.mark.parametrize("products", [2, 9])
def test_a_stop_within_a_batch_leaves_the_context_as_it_was(load_session, small, products):
    ids, _, _ = vectors("seq3000")
    context = load_session(small[1]).opened.context
    context.fill(ids[:100], quiet)
    context.start(AskedWithinABatch(products))
    with pytest.raises(EngineError) as failure:
        context.fill(ids[:200], quiet)
    assert failure.value.code == "cancelled"
    assert context.tokens == ids[:100]
    context.start(Cancellation())
    assert context.fill(ids[:200], quiet) == 100
    assert_same(context.logits(), fresh_logits(load_session, small[1], ids[:200]))


def test_a_stop_between_batches_keeps_what_was_read(load_session, small):
    ids, _, _ = vectors("seq3000")
    context = load_session(small[1]).opened.context
    cancellation = Cancellation()
    context.start(cancellation)
    with pytest.raises(EngineError) as failure:
        context.fill(ids, lambda stage, done, total: cancellation.request() if done else None)
    assert failure.value.code == "cancelled"
    held = len(context.tokens)
    assert 0 < held < 3000
    context.start(Cancellation())
    assert context.fill(ids[:1100], quiet) == held
    assert_same(context.logits(), fresh_logits(load_session, small[1], ids[:1100]))


def test_growth_without_memory_changes_nothing(load_session, small, monkeypatch):
    ids, _, _ = vectors("seq3000")
    context = load_session(small[1]).opened.context
    context.fill(ids[:1024], quiet)
    monkeypatch.setattr(context_module, "free_memory", lambda: 0)
    with pytest.raises(EngineError) as failure:
        context.append(ids[1024], quiet)
    assert failure.value.code == "out_of_memory"
    assert context.tokens == ids[:1024]
    monkeypatch.undo()
    context.append(ids[1024], quiet)
    assert_same(context.logits(), fresh_logits(load_session, small[1], ids[:1025]))


def test_an_allocation_that_fails_is_a_lack_of_memory(load_session, small, monkeypatch):
    context = load_session(small[1]).opened.context
    context.fill([1, 2, 3], quiet)

    def fail(*arguments, **options):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(context._model.phi3small, "evaluate", fail)
    with pytest.raises(EngineError) as failure:
        context.append(4, quiet)
    assert failure.value.code == "out_of_memory"
    assert context.tokens == [1, 2, 3]
