"""Let the user choose which chats become training data, and which kind; nothing is chosen beforehand."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import QLocale, Qt
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from app.storage.conversations import Conversation
from app.training.chat_data import ChatCounts, ChatDataKind
from app.training.wording import when_text
from app.widgets.buttons import Button
from app.widgets.labels import Label, WrappedLabel

SIZE = (540, 560)


class ChatsDialog(QDialog):
    """List chats with check boxes, and say how much the chosen ones give."""

    def __init__(
        self, chats: Sequence[Conversation], count: Callable[[int], ChatCounts], parent: QWidget | None = None
    ) -> None:
        """Ask about these chats; `count` reads what one of them gives, and is asked once for each that is chosen."""
        super().__init__(parent)
        self._count, self._counts = count, dict[int, ChatCounts]()
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
        self._conversations, self._preferences = QRadioButton(), QRadioButton()
        self._conversations.setChecked(True)
        self._about = WrappedLabel("", "muted")
        self._use = Button(self.tr("Use these chats"), "primary")
        self._lay_out()
        self._list.itemChanged.connect(self._check)
        self._preferences.toggled.connect(self._check)
        self._use.clicked.connect(self.accept)
        self._check()

    @property
    def chosen(self) -> list[int]:
        """Return the numbers of the chosen chats."""
        items = (self._list.item(row) for row in range(self._list.count()))
        return [item.data(Qt.ItemDataRole.UserRole) for item in items if item.checkState() == Qt.CheckState.Checked]

    @property
    def kind(self) -> ChatDataKind:
        """Return the chosen kind of data."""
        return "preferences" if self._preferences.isChecked() else "conversations"

    def choose(self, conversation_id: int) -> None:
        """Choose one chat."""
        for row in range(self._list.count()):
            if self._list.item(row).data(Qt.ItemDataRole.UserRole) == conversation_id:
                self._list.item(row).setCheckState(Qt.CheckState.Checked)

    def choose_kind(self, kind: ChatDataKind) -> None:
        """Choose the kind of data."""
        (self._preferences if kind == "preferences" else self._conversations).setChecked(True)

    def _lay_out(self) -> None:
        cancel = Button(self.tr("Cancel"))
        cancel.clicked.connect(self.reject)
        kinds = QHBoxLayout()
        kinds.setSpacing(24)
        kinds.addWidget(self._conversations)
        kinds.addWidget(self._preferences)
        kinds.addStretch()
        foot = QHBoxLayout()
        foot.addStretch()
        foot.addWidget(cancel)
        foot.addWidget(self._use)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 20, 24, 16)
        layout.setSpacing(12)
        layout.addWidget(Label(self.tr("Data from my chats"), "title"))
        words = self.tr("Only the chats you choose are copied into the run, with their pictures.")
        layout.addWidget(WrappedLabel(words, "muted"))
        layout.addWidget(self._list, 1)
        layout.addLayout(kinds)
        layout.addWidget(self._about)
        layout.addLayout(foot)

    def _check(self) -> None:
        """Count what is chosen, and allow what gives something."""
        counts = sum((self._counts_of(chat) for chat in self.chosen), ChatCounts())
        locale = QLocale()
        self._conversations.setText(self.tr("Conversations · {}").format(locale.toString(counts.conversations)))
        self._preferences.setText(self.tr("Preferences · {}").format(locale.toString(counts.preferences)))
        self._about.setText(self._about_kind())
        self._use.setEnabled(counts.of(self.kind) > 0)

    def _counts_of(self, conversation_id: int) -> ChatCounts:
        if conversation_id not in self._counts:
            self._counts[conversation_id] = self._count(conversation_id)
        return self._counts[conversation_id]

    def _about_kind(self) -> str:
        if self.kind == "preferences":
            return self.tr(
                "Pairs of a better and a worse answer to the same question: from your comparisons, and of a version "
                "rated good with one rated bad. They are learned with DPO."
            )
        return self.tr(
            "Each chat as it is shown, up to its last finished answer; it ends before an answer that you rated bad."
        )
