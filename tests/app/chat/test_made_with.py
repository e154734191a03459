"""Check the line about what an answer was made with."""

import pytest

from app.chat.made_with import made_with_text
from app.chat.turns import made_with_of, with_adapters
from app.settings import Values
from app.storage.messages import AnswerStats, Message
from engine.protocol import Adapter


def answer(stats: AnswerStats | None = None, **made_with: object) -> Message:
    return Message(3, 1, 2, "assistant", "Hi", 0.0, False, stats, 2, 2, made_with=made_with)


def test_model_adapters_and_values_are_named() -> None:
    adapters = [Adapter("/models/Tone.lora.gguf", 0.5), Adapter("/models/Poet.gguf")]
    made_with = made_with_of(Values(), with_adapters({"temperature": 0.25}, adapters))
    text = made_with_text(answer(AnswerStats("stop", "Starter"), **made_with))
    words = "Version 2 · Starter · adapter Tone.lora.gguf × 0.5 · adapter Poet.gguf × 1 · temperature 0.25 · top-p "
    assert text.startswith(words)


def test_the_one_adapter_of_an_older_answer_is_named() -> None:
    text = made_with_text(answer(adapter="Tone.lora.gguf", adapter_scale=0.5))
    assert text == "Version 2 · model not known · adapter Tone.lora.gguf × 0.5"


def test_what_was_not_kept_is_not_made_up() -> None:
    assert made_with_text(answer()) == "Version 2 · model not known"


@pytest.mark.parametrize("value", ["x", None, True, [1]])
def test_damaged_values_are_left_out(value: object) -> None:
    damaged = answer(temperature=value, adapter=value if value != "x" else 3)
    assert made_with_text(damaged) == "Version 2 · model not known"
    assert made_with_text(answer(adapters=value)) == "Version 2 · model not known"


def test_an_edited_answer_was_made_by_the_user() -> None:
    assert made_with_text(answer(edited_from=2)) == "Version 2 · edited by you"
