"""Show the chats of the profile with a search box, for the sidebar."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QLineEdit,
    QListView,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.chat.item_models import ConversationListModel, Heading, Row
from app.storage.search import SearchHit
from app.theme import Theme
from app.widgets.labels import Label

SEARCH_DELAY_MS = 150
ROW_HEIGHT = 40
HEADING_HEIGHT = 40
HIT_HEIGHT = 52
SIDE = 10


class ConversationList(QWidget):
    """Choose, search, rename, export and delete chats."""

    opened = Signal(int)
    message_opened = Signal(int, int)
    rename_requested = Signal(int)
    export_requested = Signal(int)
    delete_requested = Signal(int)

    def __init__(self, theme: Theme, model: ConversationListModel, parent: QWidget | None = None) -> None:
        """Show the chats of `model`."""
        super().__init__(parent)
        self._model = model
        self._current: int | None = None
        self._search = _SearchBox(self)
        self._delay = QTimer(self, singleShot=True, interval=SEARCH_DELAY_MS)
        self._delay.timeout.connect(self.refresh)
        self._search.textChanged.connect(lambda: self._delay.start())
        self._search.left.connect(self._leave_search)
        self._view = _ListView(self)
        self._view.setModel(model)
        self._view.setItemDelegate(_RowPainter(theme, self._view))
        self._view.clicked.connect(self._open)
        self._view.activated.connect(self._open)
        self._view.customContextMenuRequested.connect(self._show_menu)
        self._view.delete_requested.connect(self._delete_current)
        self._nothing = Label(self.tr("Nothing found."), "small")
        self._nothing.setContentsMargins(20, 8, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        search_row = QVBoxLayout()
        search_row.setContentsMargins(SIDE, 0, SIDE, 0)
        search_row.addWidget(self._search)
        layout.addLayout(search_row)
        layout.addWidget(self._nothing)
        layout.addWidget(self._view, 1)
        theme.changed.connect(self._view.doItemsLayout)
        self.refresh()

    def refresh(self) -> None:
        """Read the chats again, or search again."""
        query = self._search.text().strip()
        if query:
            self._model.search(query)
        else:
            self._model.reload()
        self._nothing.setVisible(bool(query) and self._model.rowCount() == 0)
        self.set_current(self._current)

    def set_current(self, conversation_id: int | None) -> None:
        """Mark the chat that is shown."""
        self._current = conversation_id
        row = None if conversation_id is None else self._model.row_of(conversation_id)
        if row is None:
            self._view.clearSelection()
            self._view.setCurrentIndex(QModelIndex())
        else:
            self._view.setCurrentIndex(self._model.index(row))

    def focus_search(self) -> None:
        """Let the user type a search."""
        self._search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self._search.selectAll()

    def _leave_search(self) -> None:
        self._search.clear()
        self.refresh()

    def _open(self, index: QModelIndex) -> None:
        row = self._model.item(index)
        if isinstance(row, SearchHit) and row.message_id is not None:
            self.message_opened.emit(row.conversation_id, row.message_id)
            return
        conversation_id = self._model.conversation_id(index)
        if conversation_id is not None:
            self.opened.emit(conversation_id)

    def _show_menu(self, place: QPoint) -> None:
        index = self._view.indexAt(place)
        conversation_id = self._model.conversation_id(index)
        if conversation_id is None:
            return
        menu = QMenu(self)
        menu.addAction(self.tr("Rename…"), lambda: self.rename_requested.emit(conversation_id))
        menu.addAction(self.tr("Export as Markdown…"), lambda: self.export_requested.emit(conversation_id))
        menu.addSeparator()
        menu.addAction(self.tr("Move to trash"), lambda: self.delete_requested.emit(conversation_id))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self._view.viewport().mapToGlobal(place))

    def _delete_current(self) -> None:
        conversation_id = self._model.conversation_id(self._view.currentIndex())
        if conversation_id is not None:
            self.delete_requested.emit(conversation_id)


class _SearchBox(QLineEdit):
    """Take the words to look for, and show the shortcut while empty."""

    left = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setPlaceholderText(self.tr("Search chats"))
        self.setAccessibleName(self.tr("Search chats"))
        self._shortcut = Label(self.tr("Ctrl K"), "muted", self)
        self._shortcut.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.textChanged.connect(lambda text: self._shortcut.setVisible(not text))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the shortcut at the right."""
        super().resizeEvent(event)
        size = self._shortcut.sizeHint()
        self._shortcut.setGeometry(
            QRect(QPoint(self.width() - size.width() - 11, (self.height() - size.height()) // 2), size)
        )

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave the search on Esc, and go to the list on Down."""
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        elif event.key() == Qt.Key.Key_Down:
            self.focusNextChild()
        else:
            super().keyPressEvent(event)


class _ListView(QListView):
    """Be the list; Shift+Delete moves a chat to the trash, a bare key never does."""

    delete_requested = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Chats"))
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setMouseTracking(True)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Open on Enter."""
        if event.key() == Qt.Key.Key_Delete and event.modifiers() == Qt.KeyboardModifier.ShiftModifier:
            self.delete_requested.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.activated.emit(self.currentIndex())
        else:
            super().keyPressEvent(event)


class _RowPainter(QStyledItemDelegate):
    """Draw headings, chats and search hits."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme

    def sizeHint(self, _option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Return the height of a row."""
        item = index.model().item(index)  # type: ignore[attr-defined]
        height = HEADING_HEIGHT if isinstance(item, Heading) else HIT_HEIGHT if _snippet(item) else ROW_HEIGHT
        return QSize(100, self._theme.pixels(height))

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw a row."""
        item = index.model().item(index)  # type: ignore[attr-defined]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if isinstance(item, Heading):
            self._paint_heading(painter, option.rect, item)
        else:
            self._paint_ground(painter, option)
            room = option.rect.adjusted(2 * SIDE, 0, -2 * SIDE, 0)
            if snippet := _snippet(item):
                middle = room.center().y()
                self._line(
                    painter, QRect(room.left(), middle - 20, room.width(), 20), item.title or self.tr("Untitled")
                )
                painter.setPen(QColor(self._theme.colors.muted))
                painter.setFont(self._theme.font(12))
                self._line(painter, QRect(room.left(), middle + 1, room.width(), 18), snippet, pen=False)
            else:
                self._line(painter, room, item.title or self.tr("Untitled"))
        painter.restore()

    def _paint_heading(self, painter: QPainter, rect: QRect, item: Heading) -> None:
        font = self._theme.font(11)
        font.setLetterSpacing(font.SpacingType.AbsoluteSpacing, 0.6)
        painter.setFont(font)
        painter.setPen(QColor(self._theme.colors.muted))
        room = rect.adjusted(2 * SIDE, 0, -SIDE, -8)
        painter.drawText(room, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, item.text.upper())

    def _paint_ground(self, painter: QPainter, option: QStyleOptionViewItem) -> None:
        colors = self._theme.colors
        ground = QRectF(option.rect.adjusted(SIDE, 1, -SIDE, -1)).adjusted(0.5, 0.5, -0.5, -0.5)
        focused = option.state & QStyle.StateFlag.State_HasFocus
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(QPen(QColor(colors.accent if focused else colors.line)))
            painter.setBrush(QColor(colors.panel))
            painter.drawRoundedRect(ground, 8, 8)
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colors.hover))
            painter.drawRoundedRect(ground, 8, 8)

    def _line(self, painter: QPainter, room: QRect, text: str, *, pen: bool = True) -> None:
        """Draw one line of text, shortened to the room."""
        if pen:
            painter.setPen(QColor(self._theme.colors.text))
            painter.setFont(self._theme.font())
        words = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)


def _snippet(item: Row) -> str:
    """Return the words around what a search found in a message, or nothing."""
    return item.snippet if isinstance(item, SearchHit) and item.message_id is not None else ""
