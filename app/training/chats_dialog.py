"""Let the user choose which chats become training data; nothing is chosen beforehand."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from app.storage.conversations import Conversation
from app.training.wording import when_text
from app.widgets.buttons import Button
from app.widgets.labels import Label, WrappedLabel

SIZE = (520, 520)


class ChatsDialog(QDialog):
    """List chats with check boxes."""

    def __init__(self, chats: Sequence[Conversation], parent: QWidget | None = None) -> None:
        """Ask about these chats."""
        super().__init__(parent)
        self.setWindowTitle(self.tr("Data from my chats"))
        self.resize(*SIZE)
        self._list = QListWidget()
        self._list.setAccessibleName(self.tr("Chats"))
        for chat in chats:
            item = QListWidgetItem(f"{chat.title}  ·  {when_text(chat.updated_at)}")
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable)
            item.setCheckState(Qt.CheckState.Unchecked)
            item.setData(Qt.ItemDataRole.UserRole, chat.id)
            self._list.addItem(item)
        self._list.itemChanged.connect(self._check)
        self._use = Button(self.tr("Use these chats"), "primary")
        self._use.clicked.connect(self.accept)
        cancel = Button(self.tr("Cancel"))
        cancel.clicked.connect(self.reject)
        foot = QHBoxLayout()
        foot.addStretch()
        foot.addWidget(cancel)
        foot.addWidget(self._use)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 20, 24, 16)
        layout.setSpacing(12)
        layout.addWidget(Label(self.tr("Data from my chats"), "title"))
        words = self.tr("Each chat you choose is copied into the run as it is shown, up to its last finished answer.")
        layout.addWidget(WrappedLabel(words, "muted"))
        layout.addWidget(self._list, 1)
        layout.addLayout(foot)
        self._check()

    @property
    def chosen(self) -> list[int]:
        """Return the numbers of the chosen chats."""
        items = (self._list.item(row) for row in range(self._list.count()))
        return [item.data(Qt.ItemDataRole.UserRole) for item in items if item.checkState() == Qt.CheckState.Checked]

    def choose(self, conversation_id: int) -> None:
        """Choose one chat."""
        for row in range(self._list.count()):
            if self._list.item(row).data(Qt.ItemDataRole.UserRole) == conversation_id:
                self._list.item(row).setCheckState(Qt.CheckState.Checked)

    def _check(self) -> None:
        self._use.setEnabled(bool(self.chosen))
