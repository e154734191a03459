"""Give the list of chats to Qt's list view: headings by date with their chats, or what a search has found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from PySide6.QtCore import QAbstractListModel, QCoreApplication, QLocale, QModelIndex, QPersistentModelIndex, Qt

from app.storage.conversations import Conversation, Conversations
from app.storage.search import SearchHit

PAGE = 60
Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class Heading:
    """Be a line above a group of chats."""

    text: str


Row = Heading | Conversation | SearchHit


class ConversationListModel(QAbstractListModel):
    """List the chats that were used last, and more of them as the list is scrolled."""

    def __init__(self, conversations: Conversations) -> None:
        """Begin empty."""
        super().__init__()
        self._conversations = conversations
        self._loaded: list[Conversation] = []
        self._complete = True
        self._rows: list[Row] = []

    def reload(self) -> None:
        """Read as many chats again as there were."""
        limit = max(PAGE, len(self._loaded))
        self._loaded = self._conversations.page(limit)
        self._complete = len(self._loaded) < limit
        self._show(_grouped(self._loaded))

    def search(self, query: str) -> None:
        """Show what a search finds, each chat once."""
        hits = {hit.conversation_id: hit for hit in reversed(self._conversations.search(query))}
        self._complete = True
        self._show(list(reversed(hits.values())))

    def row_of(self, conversation_id: int | None) -> int | None:
        """Return where a chat is in the list."""
        return next((i for i, row in enumerate(self._rows) if _identity(row) == conversation_id), None)

    def item(self, index: Index) -> Row:
        """Return what stands at a place of the list."""
        return self._rows[index.row()]

    def conversation_id(self, index: Index) -> int | None:
        """Return the chat at a place of the list."""
        return _identity(self._rows[index.row()]) if index.isValid() else None

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Count headings and chats."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> str | None:
        """Return the words of a row, also for screen readers."""
        if not index.isValid() or role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return None
        row = self._rows[index.row()]
        return row.text if isinstance(row, Heading) else row.title

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Let chats be chosen, and headings not."""
        if index.isValid() and isinstance(self._rows[index.row()], Heading):
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemNeverHasChildren

    def canFetchMore(self, parent: Index) -> bool:
        """Tell whether there are older chats."""
        return not self._complete and not parent.isValid()

    def fetchMore(self, _parent: Index) -> None:
        """Read the next older chats."""
        older = self._conversations.page(PAGE, before=self._loaded[-1])
        self._complete = len(older) < PAGE
        self._loaded += older
        rows = _grouped(self._loaded)
        self.beginInsertRows(QModelIndex(), len(self._rows), len(rows) - 1)
        self._rows = rows
        self.endInsertRows()

    def _show(self, rows: Sequence[Row]) -> None:
        self.beginResetModel()
        self._rows = list(rows)
        self.endResetModel()


def _identity(row: Row) -> int | None:
    match row:
        case Conversation(id=conversation_id):
            return conversation_id
        case SearchHit(conversation_id=conversation_id):
            return conversation_id
    return None


def _grouped(conversations: Sequence[Conversation]) -> list[Row]:
    """Put headings between chats that are sorted by time."""
    rows: list[Row] = []
    today = date.today()
    last = None
    for conversation in conversations:
        heading = heading_for(conversation.updated_at, today)
        if heading != last:
            rows.append(Heading(heading))
            last = heading
        rows.append(conversation)
    return rows


def heading_for(moment: float, today: date) -> str:
    """Name the group of a moment: the last days, then months."""
    try:
        day = datetime.fromtimestamp(moment).date()
    except (ValueError, OverflowError, OSError):
        return _tr("Older")
    days = (today - day).days
    if days <= 0:
        return _tr("Today")
    if days == 1:
        return _tr("Yesterday")
    if days <= 7:
        return _tr("Last week")
    month = QLocale().standaloneMonthName(day.month)
    return month if day.year == today.year else f"{month} {day.year}"


def _tr(text: str) -> str:
    return QCoreApplication.translate("ConversationListModel", text)
