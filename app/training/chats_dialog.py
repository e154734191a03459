"""Let the user choose which chats become training data, and which kind; nothing is chosen beforehand."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import QLocale, Qt
from PySide6.QtWidgets import (
    QCheckBox,
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
        self._list.setProperty("kind", "checks")
        self._list.setAccessibleName(self.tr("Chats"))
        for chat in chats:
            item = QListWidgetItem(f"{chat.title}  ·  {when_text(chat.updated_at)}")
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable)
            item.setCheckState(Qt.CheckState.Unchecked)
            item.setData(Qt.ItemDataRole.UserRole, chat.id)
            self._list.addItem(item)
        self._kinds: dict[ChatDataKind, QRadioButton] = {kind: QRadioButton() for kind in self._names()}
        self._kinds["conversations"].setChecked(True)
        self._with_edits = QCheckBox()
        self._about = WrappedLabel("", "muted")
        self._use = Button(self.tr("Use these chats"), "primary")
        self._lay_out()
        self._list.itemChanged.connect(self._check)
        for button in (*self._kinds.values(), self._with_edits):
            button.toggled.connect(self._check)
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
        kind = next(kind for kind, button in self._kinds.items() if button.isChecked())
        return "preferences and edits" if kind == "preferences" and self._with_edits.isChecked() else kind

    def choose(self, conversation_id: int) -> None:
        """Choose one chat."""
        for row in range(self._list.count()):
            if self._list.item(row).data(Qt.ItemDataRole.UserRole) == conversation_id:
                self._list.item(row).setCheckState(Qt.CheckState.Checked)

    def choose_kind(self, kind: ChatDataKind) -> None:
        """Choose the kind of data."""
        with_edits = kind == "preferences and edits"
        self._with_edits.setChecked(with_edits)
        self._kinds["preferences" if with_edits else kind].setChecked(True)

    def _lay_out(self) -> None:
        cancel = Button(self.tr("Cancel"))
        cancel.clicked.connect(self.reject)
        kinds = QHBoxLayout()
        kinds.setSpacing(24)
        for button in self._kinds.values():
            kinds.addWidget(button)
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
        layout.addWidget(self._with_edits)
        layout.addLayout(foot)

    def _check(self) -> None:
        """Count what is chosen, and allow what gives something."""
        counts = sum((self._counts_of(chat) for chat in self.chosen), ChatCounts())
        locale = QLocale()
        for kind, name in self._names().items():
            self._kinds[kind].setText(f"{name} · {locale.toString(counts.of(kind))}")
        more = counts.of("preferences and edits") - counts.of("preferences")
        self._with_edits.setText(self.tr("Also my edits, before what they replaced · {}").format(locale.toString(more)))
        self._with_edits.setVisible(self._kinds["preferences"].isChecked())
        self._about.setText(self._about_kind())
        self._use.setEnabled(counts.of(self.kind) > 0)

    def _counts_of(self, conversation_id: int) -> ChatCounts:
        if conversation_id not in self._counts:
            self._counts[conversation_id] = self._count(conversation_id)
        return self._counts[conversation_id]

    def _names(self) -> dict[ChatDataKind, str]:
        return {
            "conversations": self.tr("Conversations"),
            "edits": self.tr("Edited answers"),
            "preferences": self.tr("Preferences"),
        }

    def _about_kind(self) -> str:
        if self.kind == "edits":
            return self.tr(
                "Each chat up to an answer that you edited, in your words; the answers before it are learned too."
            )
        if self._kinds["preferences"].isChecked():
            return self.tr(
                "Pairs of a better and a worse answer to the same question: from your comparisons, and of a version "
                "rated good with one rated bad. They are learned with DPO."
            )
        return self.tr(
            "Each chat as it is shown, up to its last finished answer; it ends before an answer that you rated bad."
        )
