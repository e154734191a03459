"""Rename, export and delete chats."""

import re
from pathlib import Path

from PySide6.QtCore import QObject, QStandardPaths, Signal
from PySide6.QtWidgets import QFileDialog, QInputDialog, QLineEdit, QWidget

from app.chat.services import ChatServices
from app.storage.export import to_markdown

FILE_NAME_LENGTH = 80


class ConversationActions(QObject):
    """Do what the menus of a chat offer."""

    changed = Signal(int)
    trashed = Signal(int)
    restored = Signal(int)

    def __init__(self, services: ChatServices, window: QWidget) -> None:
        """Ask over `window`."""
        super().__init__(window)
        self._services = services
        self._window = window

    def rename(self, conversation_id: int) -> None:
        """Ask for another title."""
        conversation = self._services.conversations.get(conversation_id)
        if conversation is None:
            return
        dialog = QInputDialog(self._window)
        dialog.setWindowTitle(self.tr("Rename chat"))
        dialog.setLabelText(self.tr("Title"))
        dialog.setTextValue(conversation.title)
        dialog.setTextEchoMode(QLineEdit.EchoMode.Normal)
        dialog.resize(420, dialog.height())
        if dialog.exec() and dialog.textValue().strip():
            self._services.conversations.rename(conversation_id, " ".join(dialog.textValue().split()))
            self.changed.emit(conversation_id)

    def delete(self, conversation_id: int) -> None:
        """Move a chat to the trash and offer to bring it back."""
        self._services.conversations.trash(conversation_id)
        self.trashed.emit(conversation_id)
        undo = lambda: self._restore(conversation_id)  # noqa: E731
        self._services.notices.say(self.tr("Chat moved to the trash."), self.tr("Undo"), undo)

    def export(self, conversation_id: int) -> None:
        """Ask where to, and write the chat as Markdown."""
        conversation = self._services.conversations.get(conversation_id)
        if conversation is None:
            return
        folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        proposed = Path(folder) / f"{file_name(conversation.title)}.md"
        chosen, _ = QFileDialog.getSaveFileName(
            self._window, self.tr("Export chat"), str(proposed), self.tr("Markdown (*.md)")
        )
        if chosen:
            self.export_to(conversation_id, Path(chosen))

    def export_to(self, conversation_id: int, path: Path) -> None:
        """Write the shown messages of a chat to a file."""
        conversation = self._services.conversations.get(conversation_id)
        if conversation is None:
            return
        text = to_markdown(conversation, self._services.messages.path(conversation_id))
        try:
            path.write_text(text, "utf-8")
        except OSError as error:
            sentence = self.tr("The chat could not be written to {0} ({1}).").format(path.name, error.strerror)
            self._services.notices.say(sentence)
        else:
            self._services.notices.say(self.tr("Chat written to {0}.").format(path.name))

    def _restore(self, conversation_id: int) -> None:
        self._services.conversations.restore(conversation_id)
        self.restored.emit(conversation_id)


def file_name(title: str) -> str:
    """Turn a title into a name that every file system takes."""
    name = re.sub(r'[<>:"/\\|?*\x00-\x1f]+', " ", title).strip(" .")[:FILE_NAME_LENGTH].strip()
    return name or "chat"
