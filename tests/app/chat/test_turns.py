"""Check what the engine is told of a chat."""

from app.chat.outcome import Outcome, outcome_of
from app.chat.turns import sampling_of, shown_sampling, turns_of
from app.settings import Values
from app.storage.messages import AnswerStats, Message
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


def test_a_chats_own_values_come_before_the_settings() -> None:
    values = Values(temperature=0.3, top_p=0.5, max_tokens=100, seed=7)
    sampling, length = sampling_of(values, {"temperature": 1.0, "max_tokens": 0, "top_p": "broken"})
    assert (sampling.temperature, sampling.top_p, sampling.seed, length) == (1.0, 0.5, 7, 0)
    assert shown_sampling(values, {})["max_tokens"] == 100
    assert sampling_of(values, {"temperature": -5, "max_tokens": -1}) == (values.sampling(), 100)


def test_how_an_answer_ended_is_told_in_words() -> None:
    assert outcome_of(message("assistant", "x")) is None
    assert outcome_of(message("assistant", "x", stats=AnswerStats("stop"))) is None
    assert outcome_of(message("assistant", "x", stats=AnswerStats("stop", notice="Left out."))) == Outcome("Left out.")
    stopped = outcome_of(message("assistant", "x", stats=AnswerStats("cancelled")))
    assert stopped == Outcome("You stopped this answer.")
    failed = outcome_of(message("assistant", "x", stats=AnswerStats("out_of_memory", notice="No memory.")))
    assert failed == Outcome("No memory.", failed=True, remedy="settings")
