"""Check how an answer is shown, whole and while it is being written."""

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QPlainTextEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.chat import text_view
from app.chat.answer_view import AnswerView
from app.chat.asks import TranscriptAsks
from app.chat.code_block import CodeBlock
from app.chat.message_editor import MessageEditor
from app.chat.prose import ProseView
from app.chat.table_view import TableView
from app.storage.messages import BAD, GOOD, UNRATED, AnswerStats, Message
from app.theme import Theme

TEXT = """Before **it** with a [link](https://example.org):

1. first
2. second

```python
print("x")
```

> quoted

| a | b |
|---|---|
| 1 | 2 |

After.
"""
ANSWER = Message(7, 1, 6, "assistant", TEXT, 0.0, False, AnswerStats("stop", None, 1, 1, 1, 18.44, 912.0), 2, 2)


@pytest.fixture
def asks() -> TranscriptAsks:
    return TranscriptAsks()


@pytest.fixture
def parent(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.resize(800, 1200)
    widget.show()
    return widget


def make(theme: Theme, asks: TranscriptAsks, parent: QWidget, message: Message = ANSWER) -> AnswerView:
    view = AnswerView(theme, asks, message, parent)
    view.setGeometry(0, 0, 684, view.height_for(684))
    view.show()
    return view


def shown_text(view: AnswerView) -> str:
    children = [child for child in view.findChildren(QWidget) if isinstance(child, text_view.TextView)]
    return "\n".join(child.toPlainText() for child in children if child.isVisible())


def button(view: QWidget, text: str) -> QPushButton:
    return next(b for b in view.findChildren(QPushButton) if b.text() == text and b.isVisible())


def test_every_kind_of_block_is_shown(theme: Theme, asks: TranscriptAsks, parent: QWidget) -> None:
    view = make(theme, asks, parent)
    text = shown_text(view)
    for piece in ("Before it with a link:", "1.\tfirst", 'print("x")', "quoted", "After."):
        assert piece in text
    assert len(view.findChildren(CodeBlock)) == 1
    assert len(view.findChildren(TableView)) == 1
    assert len(view.findChildren(ProseView)) == 3


def test_the_line_below_has_speed_versions_and_copy(theme: Theme, asks: TranscriptAsks, parent: QWidget) -> None:
    view = make(theme, asks, parent)
    labels = [child.text() for child in view.findChildren(QWidget) if hasattr(child, "text")]
    assert "18.4 tok/s · first token 0.9 s" in labels
    assert "2 / 2" in labels
    heard: list[tuple[int, int]] = []
    asks.version_requested.connect(lambda *args: heard.append(args))
    button(view, "‹").click()
    assert heard == [(7, -1)]
    assert not button(view, "›").isEnabled()
    copy = next(b for b in view.findChildren(QPushButton) if b.accessibleName() == "Copy this answer")
    copy.click()
    assert QGuiApplication.clipboard().text() == TEXT
    code = next(b for b in view.findChildren(QPushButton) if b.accessibleName() == "Copy this code")
    code.click()
    assert QGuiApplication.clipboard().text() == 'print("x")'


def test_a_growing_answer_keeps_the_widgets_of_what_is_written(
    theme: Theme, asks: TranscriptAsks, parent: QWidget
) -> None:
    view = make(theme, asks, parent, replace(ANSWER, text="", streaming=True, stats=None))
    code: list[CodeBlock] = []
    for start in range(0, len(TEXT), 5):
        view.append(TEXT[start : start + 5])
        view.height_for(684)
        code = code or view.findChildren(CodeBlock)
    whole = make(theme, asks, parent)
    assert shown_text(view) == shown_text(whole)
    assert view.findChildren(CodeBlock)[0] is code[0]
    assert view.text == TEXT


def test_links_open_on_a_click_and_only_in_the_browser(
    theme: Theme, asks: TranscriptAsks, parent: QWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(text_view.QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    view = make(theme, asks, parent)
    assert opened == []
    prose = view.findChildren(ProseView)[0]
    prose.anchorClicked.emit(QUrl("https://example.org"))
    prose.anchorClicked.emit(QUrl("file:///etc/passwd"))
    assert opened == ["https://example.org"]


def test_a_failed_answer_keeps_its_text_and_offers_the_remedy(
    theme: Theme, asks: TranscriptAsks, parent: QWidget
) -> None:
    stats = AnswerStats("worker_died", notice="The model stopped unexpectedly.")
    view = make(theme, asks, parent, replace(ANSWER, text="So far", stats=stats))
    assert "So far" in shown_text(view)
    heard: list[tuple[int, str]] = []
    asks.remedy_requested.connect(lambda *args: heard.append(args))
    button(view, "Try again").click()
    assert heard == [(7, "retry")]


def test_a_wait_is_told_until_the_first_word(theme: Theme, asks: TranscriptAsks, parent: QWidget) -> None:
    view = make(theme, asks, parent, replace(ANSWER, text="", streaming=True, stats=None))
    view.set_status("Reading the conversation, 40 %", 0.4)
    labels = [c.text() for c in view.findChildren(QWidget) if hasattr(c, "text") and c.isVisible()]
    assert "Reading the conversation, 40 %" in labels
    heard: list[str] = []
    asks.stop_requested.connect(lambda: heard.append("stop"))
    button(view, "Cancel").click()
    assert heard == ["stop"]
    view.append("Now")
    labels = [c.text() for c in view.findChildren(QWidget) if hasattr(c, "text") and c.isVisible()]
    assert "Reading the conversation, 40 %" not in labels


def test_a_new_theme_repaints_the_text(theme: Theme, asks: TranscriptAsks, parent: QWidget) -> None:
    view = make(theme, asks, parent)
    before = shown_text(view)
    theme.set_mode("dark")
    view.redraw()
    assert shown_text(view) == before
    prose = view.findChildren(ProseView)[0]
    color = prose.document().begin().begin().fragment().charFormat().foreground().color().name()
    assert color == theme.colors.text


def test_ratings_are_asked_for_and_a_second_click_takes_them_back(
    theme: Theme, asks: TranscriptAsks, parent: QWidget
) -> None:
    view = make(theme, asks, parent, replace(ANSWER, rating=GOOD))
    good, bad = button(view, "Good"), button(view, "Bad")
    assert good.isChecked()
    assert not bad.isChecked()
    assert [good.accessibleName(), bad.accessibleName()] == ["Rate this answer as good", "Rate this answer as bad"]
    heard: list[tuple[int, int]] = []
    asks.rating_requested.connect(lambda *args: heard.append(args))
    bad.click()
    good.click()
    assert heard == [(7, BAD), (7, UNRATED)]
    view.show_message(replace(ANSWER, rating=BAD))
    assert bad.isChecked()
    assert not good.isChecked()


def test_only_an_answer_with_versions_offers_a_comparison(theme: Theme, asks: TranscriptAsks, parent: QWidget) -> None:
    heard: list[int] = []
    asks.compare_requested.connect(heard.append)
    view = make(theme, asks, parent)
    compare = button(view, "Compare")
    compare.click()
    assert heard == [7]
    view.set_busy(True)
    assert not compare.isEnabled()
    view.show_message(replace(ANSWER, version=1, versions=1))
    assert compare.isHidden()


def test_an_answer_can_be_shown_alone(theme: Theme, asks: TranscriptAsks, parent: QWidget) -> None:
    view = AnswerView(theme, asks, ANSWER, parent, with_actions=False)
    view.show()
    texts = [child.text() for child in view.findChildren(QPushButton) if child.isVisible()]
    assert texts == ["Copy"]  # of the block of code


def test_an_answer_is_edited_in_its_place(qtbot: QtBot, theme: Theme, asks: TranscriptAsks, parent: QWidget) -> None:
    view = make(theme, asks, parent)
    height = view.height_for(684)
    edited: list[tuple[int, str]] = []
    asks.answer_edited.connect(lambda message, text: edited.append((message, text)))
    view.begin_edit()
    view.height_for(684)
    editor = view.findChild(MessageEditor)
    field = editor.findChild(QPlainTextEdit)
    assert field.toPlainText() == TEXT  # the source, not what is drawn
    assert not view.findChild(ProseView).isVisible()
    field.setPlainText("New.")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert edited == []  # answers have lines
    view.set_busy(True)
    qtbot.keyClick(field, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert edited == [] and view.editing
    view.set_busy(False)
    qtbot.keyClick(field, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert edited == [(7, "New.")]
    assert not view.editing
    assert view.findChild(ProseView).isVisible()
    assert view.height_for(684) == height


def test_nothing_changed_is_no_version(qtbot: QtBot, theme: Theme, asks: TranscriptAsks, parent: QWidget) -> None:
    view = make(theme, asks, parent)
    view.begin_edit()
    with qtbot.assertNotEmitted(asks.answer_edited):
        view._editor._submit()
    view.begin_edit()
    qtbot.keyClick(view.findChildren(QPlainTextEdit)[-1], Qt.Key.Key_Escape)
    assert not view.editing


def test_an_edited_answer_says_so(theme: Theme, asks: TranscriptAsks, parent: QWidget) -> None:
    view = make(theme, asks, parent, replace(ANSWER, stats=None, made_with={"edited_from": 6}))
    assert "edited by you" in [label.text() for label in view.findChildren(QLabel)]
