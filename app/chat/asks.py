"""Carry what the user asks for from the messages of the transcript to the controller."""

from PySide6.QtCore import QObject, Signal


class TranscriptAsks(QObject):
    """Be the one place where the widgets of messages send their clicks.

    Each carries the message's number, but for `stop_requested`: only one answer of a chat is being written.
    """

    regenerate_requested = Signal(int)
    edit_requested = Signal(int)
    edit_submitted = Signal(int, str)
    answer_edit_requested = Signal(int)
    answer_edited = Signal(int, str)
    version_requested = Signal(int, int)
    rating_requested = Signal(int, int)
    compare_requested = Signal(int)
    remedy_requested = Signal(int, str)
    stop_requested = Signal()
    picture_opened = Signal(int, int)
    height_changed = Signal(int)
