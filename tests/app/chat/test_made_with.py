"""Check the line about what an answer was made with."""

import pytest

from app.chat.made_with import made_with_text
from app.chat.turns import made_with_of
from app.settings import Values
from app.storage.messages import AnswerStats, Message


def answer(stats: AnswerStats | None = None, **made_with: object) -> Message:
    return Message(3, 1, 2, "assistant", "Hi", 0.0, False, stats, 2, 2, made_with=made_with)


def test_model_adapter_and_values_are_named() -> None:
    made_with = made_with_of(Values(), {"temperature": 0.25, "adapter": "/models/Tone.lora.gguf", "adapter_scale": 0.5})
    text = made_with_text(answer(AnswerStats("stop", "Starter"), **made_with))
    assert text.startswith("Version 2 · Starter · adapter Tone.lora.gguf × 0.5 · temperature 0.25 · top-p ")


def test_what_was_not_kept_is_not_made_up() -> None:
    assert made_with_text(answer()) == "Version 2 · model not known"


@pytest.mark.parametrize("value", ["x", None, True, [1]])
def test_damaged_values_are_left_out(value: object) -> None:
    assert made_with_text(answer(temperature=value, adapter=value if value != "x" else 3)) == (
        "Version 2 · model not known"
    )
