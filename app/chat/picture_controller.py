"""Connect the pictures of the composer with their intake, the storage and the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QObject, QStandardPaths, Signal
from PySide6.QtWidgets import QFileDialog

from app.background import Background
from app.chat.model_controller import ModelController
from app.chat.page import ChatPage
from app.chat.picture_chip import PictureChip
from app.chat.services import ChatServices
from app.chat.turns import missing_pictures
from app.storage.errors import StorageError
from app.storage.messages import Message
from app.storage.pictures import AttachedPicture
from app.widgets.picture_sources import PictureSource, name_filter, picture_sources
from engine.errors import EngineError
from engine.pictures.stored_picture import Detail, StoredPicture

if TYPE_CHECKING:  # the window does not wait for it at its start
    from app.chat.picture_intake import PictureIntake


@dataclass
class _Arrival:
    """Be a picture on its way in: for which chat (None: the one not yet started), and its place while that is shown."""

    conversation_id: int | None
    name: str
    chip: PictureChip | None


class PictureController(QObject):
    """Keep the pictures of the draft that is shown, and of those that are not."""

    changed = Signal()
    # All pictures are in, and Send was pressed before they were.
    ready_to_send = Signal()
    models_requested = Signal()

    def __init__(self, page: ChatPage, services: ChatServices, models: ModelController) -> None:
        """Connect the composer's controls."""
        super().__init__(page)
        self._page = page
        self._services = services
        self._models = models
        self._tray = page.composer.tray
        self._conversation_id: int | None = None
        self._arrivals: dict[int, _Arrival] = {}
        self._chat_has_pictures = False
        self._waits_to_send = False
        self._background = Background(self)
        self._intake: PictureIntake | None = None
        composer, line = page.composer, page.composer.no_vision
        composer.attach_requested.connect(self.choose_files)
        composer.pictures_offered.connect(self.attach_from)
        self._tray.opened.connect(lambda index: self.view(self._tray.pictures, index))
        self._tray.removed.connect(self._removed)
        self._tray.changed.connect(self.changed)
        line.switch_requested.connect(models.load)
        line.import_requested.connect(self.models_requested)
        models.changed.connect(self.refresh_line)

    @property
    def attached(self) -> tuple[AttachedPicture, ...]:
        """Return the pictures of the draft that is shown."""
        return self._tray.pictures

    def show_draft(self, conversation_id: int | None) -> None:
        """Show the unsent pictures of a chat, also those that are still on their way."""
        self._conversation_id = conversation_id
        self.stop_waiting()
        self._tray.show_pictures(self._services.pictures.draft(conversation_id))
        for arrival in self._arrivals.values():
            mine = arrival.conversation_id == conversation_id
            arrival.chip = self._tray.add(arrival.name) if mine else None
        self.refresh_line()

    def save_draft(self, conversation_id: int | None) -> None:
        """Keep the pictures that are shown as the draft of a chat; raises StorageError."""
        self._services.pictures.save_draft(conversation_id, self.attached)

    def clear(self) -> None:
        """Show none: they have been sent."""
        self._tray.show_pictures(())
        self.refresh_line()

    def choose_files(self) -> None:
        """Ask for files and attach them."""
        folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
        title = self.tr("Attach pictures")
        chosen, _ = QFileDialog.getOpenFileNames(self._page, title, folder, name_filter())
        self.attach([PictureSource(Path(file).name, Path(file)) for file in chosen])

    def attach_from(self, mime: QMimeData) -> None:
        """Attach what was pasted or dropped."""
        sources = picture_sources(mime)
        if sources:
            self.attach(sources)
        else:
            sentence = self.tr("Only the address of the picture arrived: save the picture first, then attach the file.")
            self._tray.show_refusal(sentence)

    def attach(self, sources: Sequence[PictureSource]) -> None:
        """Take pictures in for the draft that is shown."""
        if sources:
            self._tray.show_refusal("")
        for source in sources:
            arrival = _Arrival(self._conversation_id, source.name, self._tray.add(source.name))
            self._arrivals[self._ready_intake().begin(source)] = arrival
        self.refresh_line()

    def may_send(self) -> bool:
        """Tell whether the draft can be sent now; if not, the user sees why."""
        if self._tray.is_waiting:
            self._waits_to_send = True
            self._tray.set_waits_to_send(True)
            return False
        if self.attached and self._models.sees_pictures is False:
            self.refresh_line()
            self._page.composer.no_vision.take_focus()
            return False
        return True

    def stop_waiting(self) -> None:
        """Send nothing by itself any more."""
        self._waits_to_send = False
        self._tray.set_waits_to_send(False)

    def note_chat(self, has_pictures: bool) -> None:
        """Know whether the messages that are shown have pictures."""
        self._chat_has_pictures = has_pictures
        self.refresh_line()

    def set_detail(self, detail: Detail) -> None:
        """Show how finely the pictures of this chat are looked at."""
        self._tray.set_detail(detail)

    def view(self, pictures: Sequence[AttachedPicture], index: int) -> None:
        """Show pictures large."""
        from app.chat.picture_viewer import PictureViewer

        viewer = PictureViewer(pictures, index, self._background, self._page.window())
        viewer.finished.connect(viewer.deleteLater)
        viewer.open()

    def view_message(self, path: Sequence[Message], message_id: int, index: int) -> None:
        """Show a picture of a message large; from there the arrows lead to all others of the chat."""
        before = sum(len(message.pictures) for message in path if message.id < message_id)
        self.view([picture for message in path for picture in message.pictures], before + index)

    def notices(self, path: Sequence[Message]) -> list[str]:
        """Say which pictures of a chat its next answer will not be about."""
        if not any(message.pictures for message in path):
            return []
        if self._models.sees_pictures is False:
            sentence = self.tr("{0} sees no pictures: this answer is to the words alone.")
            return [sentence.format(self._models.title)]
        if missing_pictures(path):
            return [self.tr("A picture of this chat is no longer on the disk and was left out.")]
        return []

    def refresh_line(self) -> None:
        """Say that the model sees no pictures, while there are some."""
        line = self._page.composer.no_vision
        drafted = not self._tray.is_empty
        if self._models.sees_pictures is not False or not (drafted or self._chat_has_pictures):
            line.hide()
            return
        model = self._models.title
        if drafted:
            sentence = self.tr("{0} sees no pictures. Remove them, or use a model that does.").format(model)
        else:
            sentence = self.tr("{0} sees no pictures: it reads only the words of this chat.").format(model)
        choice = self._models.vision_choice()
        line.show_line(sentence, choice.title if choice else "", choice.path if choice else "")

    def close(self) -> None:
        """Leave out what is still on its way in."""
        if self._intake is not None:
            self._intake.close()
        self._background.close()

    def _ready_intake(self) -> "PictureIntake":
        """Make the intake when the first picture comes."""
        if self._intake is None:
            from app.chat.picture_intake import PictureIntake

            self._intake = PictureIntake(self._services.pictures.folder, self)
            self._intake.taken.connect(self._taken)
            self._intake.refused.connect(self._refused)
        return self._intake

    def _taken(self, ticket: int, stored: StoredPicture) -> None:
        arrival = self._arrivals.pop(ticket)
        picture = AttachedPicture(stored, self._services.pictures.folder, arrival.name, arrival.name)
        if arrival.chip is None:
            self._keep_elsewhere(arrival.conversation_id, picture)
            return
        self._tray.arrive(arrival.chip, picture)
        self.changed.emit()
        self.refresh_line()
        if self._waits_to_send and not self._tray.is_waiting:
            self.stop_waiting()
            self.ready_to_send.emit()

    def _refused(self, ticket: int, error: EngineError) -> None:
        arrival = self._arrivals.pop(ticket)
        sentence = " ".join(filter(None, [error.message, error.remedy]))
        if arrival.chip is None:
            self._services.notices.say(sentence)
            return
        # What was to be sent with it is not sent without it unless the user says so.
        self.stop_waiting()
        self._tray.drop(arrival.chip)
        self._tray.show_refusal(sentence)
        self.refresh_line()

    def _keep_elsewhere(self, conversation_id: int | None, picture: AttachedPicture) -> None:
        """Put a picture that has arrived late into the draft of a chat that is not shown."""
        if conversation_id is not None and self._services.conversations.get(conversation_id) is None:
            return
        pictures = self._services.pictures
        try:
            pictures.save_draft(conversation_id, [*pictures.draft(conversation_id), picture])
        except StorageError as error:
            self._services.notices.say(error.message)

    def _removed(self, chip: PictureChip) -> None:
        for ticket, arrival in list(self._arrivals.items()):
            if arrival.chip is chip:
                self._ready_intake().cancel(ticket)
                del self._arrivals[ticket]
        if self._waits_to_send and not self._tray.is_waiting:
            self.stop_waiting()
        self.changed.emit()
        self.refresh_line()
