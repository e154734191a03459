"""Test that contexts grow, reuse, stop and cross LongRoPE's line without a change of the logits."""

import itertools

import pytest

from engine.errors import EngineError
from engine.runtime import context as context_module
from engine.runtime.cancellation import Cancellation
from tests.engine.conftest import LONGROPE_LINE
from tests.helpers.logits import reference_logits, relative_error


def quiet(stage, done, total):
    """Take progress and do nothing."""


def fresh_logits(load_session, path, ids):
    context = load_session(path).opened.context
    context.fill(ids, quiet)
    return context.logits()


def assert_same(first, second):
    assert relative_error(first[None], second[None]) < 1e-4


def test_logits_equal_the_reference_while_the_context_grows(load_session, tiny, token_ids):
    checkpoint, path = tiny
    context = load_session(path).opened.context
    assert context.cells == 1024
    assert context.fill(token_ids[:64], quiet) == 0
    reference = reference_logits(checkpoint, token_ids[:1025], slice(None))
    assert relative_error(context.logits()[None], reference[63:64]) < 1e-4
    assert context.fill(token_ids[:1023], quiet) == 64
    assert relative_error(context.logits()[None], reference[1022:1023]) < 1e-4
    for token in token_ids[1023:1025]:
        context.append(token, quiet)
    assert context.cells == 2048
    assert context.tokens == token_ids[:1025]
    assert relative_error(context.logits()[None], reference[1024:1025]) < 1e-4


def test_a_short_conversation_gives_memory_back(load_session, tiny, token_ids):
    context = load_session(tiny[1]).opened.context
    context.fill(token_ids[:1200], quiet)
    assert context.cells == 2048
    context.fill(token_ids[600:700], quiet)
    assert context.cells == 1024


def test_only_what_differs_is_evaluated_again(load_session, tiny, token_ids):
    context = load_session(tiny[1]).opened.context
    context.fill(token_ids[:200], quiet)
    changed = [*token_ids[:120], *token_ids[300:340]]
    evaluated = []
    assert context.fill(changed, lambda stage, done, total: evaluated.append((stage, total))) == 120
    assert set(evaluated) == {("prefill", 40)}
    assert_same(context.logits(), fresh_logits(load_session, tiny[1], changed))


def test_the_same_prompt_again_evaluates_its_last_token(load_session, tiny, token_ids):
    context = load_session(tiny[1]).opened.context
    context.fill(token_ids[:50], quiet)
    first = context.logits()
    assert context.fill(token_ids[:50], quiet) == 49
    assert_same(context.logits(), first)


@pytest.mark.parametrize("length", [LONGROPE_LINE - 1, LONGROPE_LINE, LONGROPE_LINE + 1, 700])
def test_longrope_equals_the_reference_on_both_sides_of_the_line(load_session, longrope, token_ids, length):
    checkpoint, path = longrope
    context = load_session(path).opened.context
    context.fill(token_ids[:length], quiet)
    reference = reference_logits(checkpoint, token_ids[:length], slice(-1, None))
    assert relative_error(context.logits()[None], reference) < 1e-3


def test_a_sequence_that_crosses_the_line_is_read_again(load_session, longrope, token_ids):
    checkpoint, path = longrope
    context = load_session(path).opened.context
    context.fill(token_ids[: LONGROPE_LINE - 1], quiet)
    stages = []
    for length in range(LONGROPE_LINE, LONGROPE_LINE + 3):
        context.append(token_ids[length - 1], lambda stage, done, total: stages.append((stage, total)))
        reference = reference_logits(checkpoint, token_ids[:length], slice(-1, None))
        assert relative_error(context.logits()[None], reference) < 1e-3
    assert set(stages) == {("reread", LONGROPE_LINE + 1)}


def test_a_longer_prompt_is_read_again_and_a_shorter_one_goes_back(load_session, longrope, token_ids):
    context = load_session(longrope[1]).opened.context
    seen = []
    for length in (200, 400, 200):
        context.fill(token_ids[:length], lambda stage, done, total: seen.append((stage, total)))
    assert [stage for stage, _ in itertools.groupby(seen)] == [("prefill", 200), ("reread", 400), ("reread", 200)]
    assert_same(context.logits(), fresh_logits(load_session, longrope[1], token_ids[:200]))


def test_a_cancelled_evaluation_leaves_a_context_that_can_go_on(load_session, tiny, token_ids):
    context = load_session(tiny[1]).opened.context
    cancellation = Cancellation()
    context.start(cancellation)

    def cancel_in_the_middle(stage, done, total):
        if done:
            cancellation.request()

    with pytest.raises(EngineError) as failure:
        context.fill(token_ids[:1200], cancel_in_the_middle)
    assert failure.value.code == "cancelled"
    held = len(context.tokens)
    assert 0 < held < 1200
    context.start(Cancellation())
    assert context.fill(token_ids[:1200], quiet) == held
    assert_same(context.logits(), fresh_logits(load_session, tiny[1], token_ids[:1200]))


def test_a_sliding_window_equals_the_reference_with_reuse_and_growth(load_session, windowed, token_ids):
    checkpoint, path = windowed
    session = load_session(path)
    assert session.opened.model.architecture == "granite_swa"
    context = session.opened.context
    context.fill(token_ids[:900], quiet)
    # Back before the window of what was evaluated, then over the size of the first context.
    turn = [*token_ids[:300], *token_ids[900:1000], *token_ids[:700]]
    assert context.fill(turn[:400], quiet) == 300
    reference = reference_logits(checkpoint, turn, slice(None))
    assert relative_error(context.logits()[None], reference[399:400]) < 1e-3
    assert context.fill(turn, quiet) == 400
    assert context.cells == 2048
    assert relative_error(context.logits()[None], reference[-1:]) < 1e-3


class AskedAfterTheCheck(Cancellation):
    """Ask for the end when Python has looked, so that only native code can notice."""

    def check(self):
        """Look, then ask."""
        super().check()
        self.request()


def test_native_code_stops_in_the_middle_of_a_batch(load_session, tiny, token_ids):
    context = load_session(tiny[1]).opened.context
    context.fill(token_ids[:10], quiet)
    context.start(AskedAfterTheCheck())
    with pytest.raises(EngineError) as failure:
        context.append(token_ids[10], quiet)
    assert failure.value.code == "cancelled"
    assert context.tokens == token_ids[:10]
    context.start(Cancellation())
    context.append(token_ids[10], quiet)
    assert_same(context.logits(), fresh_logits(load_session, tiny[1], token_ids[:11]))


def test_growth_without_memory_changes_nothing(load_session, tiny, token_ids, monkeypatch):
    context = load_session(tiny[1]).opened.context
    context.fill(token_ids[:1024], quiet)
    monkeypatch.setattr(context_module, "free_memory", lambda: 0)
    with pytest.raises(EngineError) as failure:
        context.append(token_ids[1024], quiet)
    assert failure.value.code == "out_of_memory"
    assert context.tokens == token_ids[:1024]
    monkeypatch.undo()
    context.append(token_ids[1024], quiet)
    assert_same(context.logits(), fresh_logits(load_session, tiny[1], token_ids[:1025]))


def test_a_context_that_could_not_be_opened_can_be_used_later(load_session, longrope, token_ids, monkeypatch):
    context = load_session(longrope[1]).opened.context
    context.fill(token_ids[:200], quiet)
    monkeypatch.setattr(context, "_open", lambda cells: (_ for _ in ()).throw(EngineError("out_of_memory", "No.")))
    with pytest.raises(EngineError):
        context.fill(token_ids[:400], quiet)
    monkeypatch.undo()
    context.start(Cancellation())
    assert context.fill(token_ids[:200], quiet) == 0
    assert_same(context.logits(), fresh_logits(load_session, longrope[1], token_ids[:200]))
