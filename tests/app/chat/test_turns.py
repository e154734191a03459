"""Check what the engine is told of a chat."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.chat.outcome import Outcome, outcome_of
from app.chat.turns import (
    adapters_of,
    detail_of,
    missing_pictures,
    sampling_of,
    shown_sampling,
    turns_of,
    with_adapters,
)
from app.settings import Values
from app.storage.messages import AnswerStats, Message
from app.storage.pictures import AttachedPicture
from engine.pictures.stored_picture import StoredPicture
from engine.protocol import Adapter
from engine.protocol import Message as Turn


def message(role: str, text: str, *, streaming: bool = False, stats: AnswerStats | None = None) -> Message:
    return Message(1, 1, None, role, text, 0.0, streaming, stats)


def test_empty_answers_are_left_out_and_their_questions_joined() -> None:
    path = [
        message("user", "a"),
        message("assistant", ""),
        message("user", "b"),
        message("assistant", "c"),
        message("user", "d"),
        message("assistant", "", streaming=True),
    ]
    assert turns_of(" be kind ", path) == (
        Turn("system", "be kind"),
        Turn("user", "a\n\nb"),
        Turn("assistant", "c"),
        Turn("user", "d"),
    )
    assert turns_of("  ", path)[0].role == "user"


def picture(folder: Path, letter: str, *, there: bool = True) -> AttachedPicture:
    made = AttachedPicture(StoredPicture(letter * 64, ".png", 4, 3, 757, 1921), folder, f"{letter}.png", f"An {letter}")
    if there:
        made.file.write_bytes(b"x")
    return made


def test_pictures_go_with_their_turn_in_order(tmp_path: Path) -> None:
    a, b, c = (picture(tmp_path, letter) for letter in "abc")
    path = [
        replace(message("user", "one"), pictures=(a, b)),
        message("assistant", ""),
        replace(message("user", ""), pictures=(c,)),
    ]
    assert turns_of("", path) == (Turn("user", "one", (str(a.file), str(b.file), str(c.file))),)
    assert turns_of("", path[2:]) == (Turn("user", "", (str(c.file),)),)
    assert missing_pictures(path) == 0


def test_a_model_without_eyes_is_told_the_words_alone(tmp_path: Path) -> None:
    a, b = picture(tmp_path, "a"), picture(tmp_path, "b")
    path = [
        replace(message("user", "one"), pictures=(a,)),
        message("assistant", "ok"),
        replace(message("user", ""), pictures=(a, b)),
    ]
    turns = turns_of("", path, with_pictures=False)
    assert turns == (Turn("user", "one"), Turn("assistant", "ok"), Turn("user", "[An a]\n[An b]"))


def test_pictures_that_are_gone_are_left_out(tmp_path: Path) -> None:
    there, gone = picture(tmp_path, "a"), picture(tmp_path, "b", there=False)
    path = [replace(message("user", "one"), pictures=(gone, there)), replace(message("user", ""), pictures=(gone,))]
    assert turns_of("", path) == (Turn("user", "one\n\n[An b]", (str(there.file),)),)
    assert missing_pictures(path) == 2


def test_the_detail_of_a_chat_comes_before_the_settings() -> None:
    assert detail_of(Values(), {}) == "fast"
    assert detail_of(Values(picture_detail="fine"), {}) == "fine"
    assert detail_of(Values(picture_detail="fine"), {"picture_detail": "fast"}) == "fast"
    assert detail_of(Values(), {"picture_detail": 7}) == "fast"


def test_a_chats_own_values_come_before_the_settings() -> None:
    values = Values(temperature=0.3, top_p=0.5, max_tokens=100, seed=7)
    sampling, length = sampling_of(values, {"temperature": 1.0, "max_tokens": 0, "top_p": "broken"})
    assert (sampling.temperature, sampling.top_p, sampling.seed, length) == (1.0, 0.5, 7, 0)
    assert shown_sampling(values, {})["max_tokens"] == 100
    assert sampling_of(values, {"temperature": -5, "max_tokens": -1}) == (values.sampling(), 100)


def test_the_adapters_of_a_chat_are_kept_beside_its_values() -> None:
    own = with_adapters({"temperature": 1.0}, [Adapter("bot.gguf", 0.5), Adapter("poet.gguf")])
    assert adapters_of(own) == (Adapter("bot.gguf", 0.5), Adapter("poet.gguf", 1.0))
    assert sampling_of(Values(), own)[0].temperature == 1.0
    assert adapters_of(with_adapters(own, [])) == ()


def test_a_chat_of_before_there_were_several_keeps_its_adapter() -> None:
    own = {"temperature": 1.0, "adapter": "bot.gguf", "adapter_scale": 0.5}
    assert adapters_of(own) == (Adapter("bot.gguf", 0.5),)
    assert adapters_of({"adapter": "bot.gguf"}) == (Adapter("bot.gguf"),)
    assert with_adapters(own, [Adapter("a")]) == {"temperature": 1.0, "adapters": [{"path": "a", "scale": 1.0}]}


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"adapter": 3},
        {"adapter": ""},
        {"adapter": "a", "adapter_scale": "big"},
        {"adapter": "a", "adapter_scale": 1e9},
        {"adapter": "a", "adapter_scale": float("nan")},
        {"adapters": 3},
        {"adapters": ["a", None, {"path": "a"}, {"path": 1, "scale": 1.0}]},
    ],
)
def test_damaged_adapters_are_left_out(damaged: dict[str, object]) -> None:
    assert adapters_of(damaged) == ()


def test_how_an_answer_ended_is_told_in_words() -> None:
    assert outcome_of(message("assistant", "x")) is None
    assert outcome_of(message("assistant", "x", stats=AnswerStats("stop"))) is None
    assert outcome_of(message("assistant", "x", stats=AnswerStats("stop", notice="Left out."))) == Outcome("Left out.")
    stopped = outcome_of(message("assistant", "x", stats=AnswerStats("cancelled")))
    assert stopped == Outcome("You stopped this answer.")
    failed = outcome_of(message("assistant", "x", stats=AnswerStats("out_of_memory", notice="No memory.")))
    assert failed == Outcome("No memory.", failed=True, remedy="settings")
