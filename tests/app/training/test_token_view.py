"""Check the view of what is learned."""

import pytest
from PySide6.QtGui import QColor, QTextCursor
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.theme import Theme
from app.training.token_view import TokenView
from engine.training.preview_protocol import TokenRow, TokenRows


@pytest.fixture
def view(qtbot: QtBot, theme: Theme) -> TokenView:
    made = TokenView(theme)
    qtbot.addWidget(made)
    return made


def test_learned_text_is_coloured(view: TokenView, theme: Theme) -> None:
    view.show_rows(TokenRows(0, 1, [TokenRow([("<|user|>\nHi <b>", False), ("there<|end|>", True)])]))
    assert view.text().strip() == "<|user|>⏎\nHi <b>there<|end|>"
    cursor = QTextCursor(view._text.document().find("there"))
    assert cursor.charFormat().background().color() == QColor(theme.colors.accent_background)
    cursor = QTextCursor(view._text.document().find("Hi"))
    assert cursor.charFormat().foreground().color() == QColor(theme.colors.muted)


def test_a_row_without_tokens_says_why(view: TokenView) -> None:
    view.show_rows(TokenRows(0, 1, [TokenRow(problem="The answer begins too late.")]))
    assert "The answer begins too late." in view.text()


def test_pages_can_be_turned(view: TokenView) -> None:
    asked: list[int] = []
    view.page_requested.connect(asked.append)
    before, after = (
        next(each for each in view.findChildren(QPushButton) if each.accessibleName() == name)
        for name in ("Examples before", "Next examples")
    )
    view.show_rows(TokenRows(0, 5, [TokenRow([("a", True)])] * 3))
    assert (before.isEnabled(), after.isEnabled()) == (False, True)
    after.click()
    view.show_rows(TokenRows(3, 5, [TokenRow([("a", True)])] * 2))
    assert (before.isEnabled(), after.isEnabled()) == (True, False)
    before.click()
    assert asked == [3, 0]
