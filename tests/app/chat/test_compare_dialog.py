"""Check that two answers are shown without telling which is which, until the user has voted."""

from dataclasses import replace

import pytest
from PySide6.QtWidgets import QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.chat.compare_dialog import CompareDialog
from app.chat.text_view import TextView
from app.storage.messages import GOOD, AnswerStats, Message
from app.theme import Theme

LEFT = Message(7, 1, 6, "assistant", "Sunny and **warm**.", 0.0, False, AnswerStats("stop", "Starter"), 2, 2)
RIGHT = replace(LEFT, id=8, text="Grey.", stats=AnswerStats("length", "Phi-3-mini", first_token_ms=900.0), version=1)


@pytest.fixture
def dialog(qtbot: QtBot, theme: Theme) -> CompareDialog:
    made = CompareDialog(theme, "How is\nLisbon?", LEFT, replace(RIGHT, rating=GOOD, made_with={"temperature": 0.5}))
    qtbot.addWidget(made)
    made.show()
    return made


def shown(dialog: CompareDialog) -> str:
    labels = [
        child.text() for kind in (QLabel, QPushButton) for child in dialog.findChildren(kind) if child.isVisible()
    ]
    texts = [view.toPlainText() for view in dialog.findChildren(TextView) if view.isVisible()]
    return "\n".join([*labels, *texts])


def button(dialog: QWidget, text: str) -> QPushButton:
    return next(b for b in dialog.findChildren(QPushButton) if b.text() == text and b.isVisible())


def test_only_the_words_are_shown_before_the_vote(dialog: CompareDialog) -> None:
    text = shown(dialog)
    assert "How is Lisbon?" in text
    assert "Sunny and warm." in text
    assert "Grey." in text
    for secret in ("Starter", "Phi-3-mini", "Version", "0.9 s", "0.5", "longest length", "Good", "/ 2"):
        assert secret not in text


@pytest.mark.parametrize(
    ("words", "verdict", "said"),
    [
        ("Left is better", "left", "You found the left answer better."),
        ("Right is better", "right", "You found the right answer better."),
        ("Equal", "equal", "You found both answers equal."),
    ],
)
def test_a_vote_is_told_and_then_the_versions_are_named(
    dialog: CompareDialog, words: str, verdict: str, said: str
) -> None:
    heard: list[str] = []
    dialog.decided.connect(heard.append)
    button(dialog, words).click()
    assert heard == [verdict]
    assert "Starter" not in shown(dialog)
    dialog.reveal(heard[0])  # type: ignore[arg-type]
    text = shown(dialog)
    assert said in text
    assert "Version 2 · Starter" in text
    assert "Version 1 · Phi-3-mini · temperature 0.5" in text
    assert words not in text
    button(dialog, "Close").click()
    assert not dialog.isVisible()


def test_a_long_answer_scrolls_and_a_new_theme_repaints(qtbot: QtBot, theme: Theme) -> None:
    made = CompareDialog(theme, "Long?", replace(LEFT, text="Many words.\n\n" * 80), RIGHT)
    qtbot.addWidget(made)
    made.show()
    bars = [side._answer.verticalScrollBar() for side in (made._left, made._right)]
    assert bars[0].maximum() > 0
    assert bars[1].maximum() == 0
    theme.set_mode("dark")
    color = made._right.findChildren(TextView)[0].document().begin().begin().fragment().charFormat().foreground()
    assert color.color().name() == theme.colors.text
