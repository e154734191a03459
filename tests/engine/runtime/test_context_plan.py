"""Test the sizes of contexts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runtime.context_plan import FIRST_CELLS, LARGEST_STEP, ContextPlan, batch_size


def padded(number):
    return -(-number // 256) * 256


@given(st.integers(1, 200_000), st.data())
def test_a_context_holds_the_conversation_and_grows_with_it(limit, data):
    plan = ContextPlan(limit)
    tokens = data.draw(st.integers(1, limit))
    cells = plan.cells_for(tokens)
    assert tokens <= cells <= padded(limit)
    assert cells <= max(FIRST_CELLS, 2 * tokens, tokens + LARGEST_STEP)
    assert cells % 256 == 0


@given(st.integers(1, 200_000), st.integers(1, 10_000), st.data())
def test_each_side_of_the_line_has_contexts_that_llama_cpp_takes_for_it(limit, line, data):
    plan = ContextPlan(limit, line, padded(line))
    tokens = data.draw(st.integers(1, limit))
    cells = plan.cells_for(tokens)
    assert cells >= tokens
    assert (cells > plan.short_cells) == plan.is_long(tokens) == (tokens > line)


def test_the_figures_of_phi_3_mini_128k():
    plan = ContextPlan(131072, 4096, 4096)
    assert [plan.cells_for(tokens) for tokens in (1, 1025, 4096, 4097, 9000, 17000, 131072)] == [
        1024,
        2048,
        4096,
        8192,
        16384,
        32768,
        131072,
    ]


@pytest.mark.parametrize(("widest", "expected"), [(576 * 3072, 512), (3072 * 16384, 128), (5120 * 35840, 64)])
def test_larger_models_read_prompts_in_smaller_pieces(widest, expected):
    assert batch_size(widest, on_gpu=False) == expected
    assert batch_size(widest, on_gpu=True) == 512
