"""Connect the chat page with the storage and the engine."""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal

from app.chat.conversation_actions import ConversationActions
from app.chat.conversation_list import ConversationList
from app.chat.generation import Generation
from app.chat.judgement import Judgement
from app.chat.model_controller import ModelController
from app.chat.outcome import Remedy
from app.chat.own_values import OwnValues
from app.chat.page import ChatPage
from app.chat.picture_controller import PictureController
from app.chat.services import ChatServices
from app.chat.turns import adapters_of, made_with_of, sampling_of, turns_of
from app.storage.conversations import Conversation, title_from
from app.storage.errors import StorageError
from app.storage.messages import Message
from engine.protocol import Chat, CountResult
from engine.protocol import Message as Turn

DRAFT_PAUSE_MS = 300


class ChatController(QObject):
    """Keep what the chat page shows in line with the current chat, and let answers be written."""

    models_requested = Signal()
    settings_requested = Signal()
    # A chat has come to be shown, so the chat page should be.
    chat_shown = Signal()
    answer_ended = Signal()

    def __init__(self, page: ChatPage, chats: ConversationList, services: ChatServices) -> None:
        """Connect everything and show an empty chat."""
        super().__init__(page)
        self.models = ModelController(page, services)
        self.pictures = PictureController(page, services, self.models)
        self.actions = ConversationActions(services, page)
        self.judgement = Judgement(page, services)
        self.own = OwnValues(page, services, self.pictures, lambda: self._current)
        self._page = page
        self._chats = chats
        self._services = services
        self._current: Conversation | None = None
        self._path: list[Message] = []
        self._generations: dict[int, Generation] = {}
        self._draft_pause = QTimer(self, singleShot=True, interval=DRAFT_PAUSE_MS)
        self._draft_pause.timeout.connect(self.save_draft)
        self._connect_page()
        self._connect_actions()
        self._show(None)

    @property
    def current(self) -> Conversation | None:
        """Return the chat that is shown, None before its first message."""
        return self._current

    def open_latest(self) -> None:
        """Show the chat that was used last, if there is one."""
        latest = self._services.conversations.page(1)
        services = self._services
        if latest and not (services.conversations.draft(None) or services.pictures.draft(None)):
            self.open(latest[0].id)

    def new_chat(self) -> None:
        """Show an empty chat."""
        self.save_draft()
        self.own.begin()
        self._show(None)

    def open(self, conversation_id: int) -> None:
        """Show a chat."""
        conversation = self._services.conversations.get(conversation_id)
        if conversation is not None and (self._current is None or self._current.id != conversation_id):
            self.save_draft()
            self._show(conversation)
        self.chat_shown.emit()

    def open_at(self, conversation_id: int, message_id: int) -> None:
        """Show a chat from one of its messages on."""
        self.open(conversation_id)
        self._page.transcript.show_message(message_id)

    def send(self, text: str) -> None:
        """Add a message to the chat that is shown and let it be answered."""
        if self._busy():
            return
        if not self.pictures.may_send():
            self._page.composer.set_text(text)
            return
        attached = self.pictures.attached
        if not (text or attached):
            return
        try:
            conversation = self._current or self._create(text or attached[0].alt_text)
            parent = self._path[-1].id if self._path else None
            question = self._services.messages.add(conversation.id, parent, "user", text, pictures=attached)
        except StorageError as error:
            self._services.notices.show_error(error)
            return
        self._page.composer.set_text("")
        self.pictures.clear()
        self.save_draft()
        self._answer(conversation, question.id)

    def _send_draft(self) -> None:
        self.send(self._page.composer.text().strip())

    def stop(self) -> None:
        """End the answer that is being written in the chat that is shown, and send nothing by itself."""
        self.pictures.stop_waiting()
        generation = self._generation()
        if generation is not None:
            generation.stop()

    def regenerate(self, message_id: int) -> None:
        """Let an answer be written anew, as another version."""
        answer = self._services.messages.get(message_id)
        if answer is not None and answer.parent_id is not None and self._current is not None and not self._busy():
            self._answer(self._current, answer.parent_id)

    def edit(self, message_id: int, text: str) -> None:
        """Put another version, with the same pictures, beside a message of the user, and let it be answered."""
        message = self._services.messages.get(message_id)
        if message is None or self._current is None or self._busy():
            return
        messages = self._services.messages
        question = messages.add(self._current.id, message.parent_id, "user", text, pictures=message.pictures)
        self._answer(self._current, question.id)

    def edit_answer(self, message_id: int, text: str) -> None:
        """Put an answer in the user's words beside what the model wrote; nothing is asked of the model."""
        if self._current is None or self._busy():
            return
        try:
            self._services.messages.add_edited(message_id, text)
        except StorageError as error:
            self._services.notices.show_error(error)
            return
        self._reload(keep_place=True)
        self._show_tokens()
        self._chats.refresh()

    def switch_version(self, message_id: int, step: int) -> None:
        """Show the version before or after this one."""
        versions = self._services.messages.versions(message_id)
        place = versions.index(message_id) + step if message_id in versions else -1
        if 0 <= place < len(versions) and not self._busy():
            self._services.messages.select_version(versions[place])
            self._reload(keep_place=True)

    def last_answer(self) -> str:
        """Return the text of the last answer."""
        return next((message.text for message in reversed(self._path) if message.role == "assistant"), "")

    def save_draft(self) -> None:
        """Keep what is written and attached in the composer."""
        self._draft_pause.stop()
        conversation_id = self._current.id if self._current else None
        try:
            self._services.conversations.save_draft(conversation_id, self._page.composer.text())
            self.pictures.save_draft(conversation_id)
        except StorageError as error:
            self._services.notices.say(error.message)

    def close(self) -> None:
        """Keep everything that was written and shown."""
        for generation in list(self._generations.values()):
            generation.abandon()
        self._page.panel.finish_typing()
        self.save_draft()
        self.pictures.close()

    def _create(self, text: str) -> Conversation:
        """Make the chat of a first message."""
        conversations = self._services.conversations
        path = self._services.bridge.state.path or None
        created = conversations.create(title_from(text), model=path, system_prompt=self.own.system_prompt)
        self.own.give_to(created.id)
        conversations.save_draft(None, "")
        self._services.pictures.save_draft(None, ())
        self._current = conversations.get(created.id)
        assert self._current is not None
        return self._current

    def _answer(self, conversation: Conversation, question_id: int) -> None:
        """Make the answer's place in the storage and ask the engine for it."""
        services = self._services
        if services.bridge.state.kind == "none":
            self.models.load_again()
        self.models.see_with(self.own.companion)
        fresh = services.conversations.get(conversation.id) or conversation
        sampling, max_tokens = sampling_of(services.settings.values, fresh.sampling)
        answer = services.messages.add(
            conversation.id,
            question_id,
            "assistant",
            streaming=True,
            model=self.models.model_name or None,
            made_with=made_with_of(services.settings.values, fresh.sampling),
        )
        self._reload()
        request = Chat(self._turns(fresh), sampling, max_tokens, num_crops=self.own.num_crops)
        notices = self.pictures.notices(self._path)
        answering = services.bridge.chat(request, adapters_of(fresh.sampling))
        generation = Generation(services.bridge, services.messages, answering, answer.id, notices)
        transcript = self._page.transcript
        if notices:
            transcript.set_notice(answer.id, " ".join(notices))
        generation.text_stored.connect(transcript.append_text)
        generation.status_changed.connect(transcript.set_status)
        generation.noticed.connect(transcript.set_notice)
        generation.storage_failed.connect(lambda error: services.notices.say(error.message))
        generation.ended.connect(lambda _: self._ended(conversation.id, generation))
        self._generations[conversation.id] = generation
        self._show_busy()
        self._chats.set_current(conversation.id)
        self._chats.refresh()

    def _turns(self, conversation: Conversation) -> tuple[Turn, ...]:
        """Return what the model is told of the chat that is shown; one that sees no pictures gets the words alone."""
        with_pictures = self.models.sees_pictures is not False
        return turns_of(conversation.system_prompt, self._path, with_pictures=with_pictures)

    def _ended(self, conversation_id: int, generation: Generation) -> None:
        """Show how an answer ended, if its chat is the one that is shown."""
        self._generations.pop(conversation_id, None)
        result = generation.result
        if self._current is not None and self._current.id == conversation_id:
            self._show_again(generation.message_id)
            self._show_busy()
            if result is not None:
                self._page.top_bar.meter.set_tokens(result.context_tokens, result.context)
        self.models.note_answer(result)
        self._chats.refresh()
        self.answer_ended.emit()

    def _show_again(self, message_id: int) -> None:
        """Show what has become of a message of the chat that is shown."""
        message = self._services.messages.get(message_id)
        if message is not None:
            self._path = [message if step.id == message.id else step for step in self._path]
            self._page.transcript.update_message(message)

    def _show(self, conversation: Conversation | None) -> None:
        """Make a chat the one that is shown."""
        self._page.panel.finish_typing()
        self._current = conversation
        conversation_id = conversation.id if conversation else None
        self._page.composer.set_text(self._services.conversations.draft(conversation_id))
        self.pictures.show_draft(conversation_id)
        self._draft_pause.stop()
        self._page.top_bar.set_has_chat(conversation is not None)
        self.own.show()
        self._reload()
        self._chats.set_current(conversation_id)
        self._show_tokens()
        self._page.composer.take_focus()

    def _reload(self, *, keep_place: bool = False) -> None:
        """Read the shown messages of the chat again."""
        self._path = self._services.messages.path(self._current.id) if self._current else []
        self._page.show_messages(bool(self._path))
        self._page.transcript.set_messages(self._path, keep_place=keep_place)
        self._page.top_bar.set_has_chat(self._current is not None)
        self.pictures.note_chat(any(message.pictures for message in self._path))
        self._show_busy()

    def _show_busy(self) -> None:
        busy = self._busy()
        self._page.composer.set_busy(busy)
        self._page.transcript.set_busy(busy)

    def _show_tokens(self) -> None:
        """Count the shown chat, as far as the engine is free to."""
        meter = self._page.top_bar.meter
        meter.set_tokens(None, 0)
        state = self._services.bridge.state
        if self._current is None or not self._path or self._generations or state.kind != "ready":
            return
        shown = self._current.id
        turns = self._turns(self._current)

        def show(result: CountResult) -> None:
            if self._current is not None and self._current.id == shown and not self._busy():
                meter.set_tokens(result.prompt_tokens, result.context)

        if turns:
            self._services.bridge.count(turns, self.own.num_crops, show)

    def _generation(self) -> Generation | None:
        return self._generations.get(self._current.id) if self._current else None

    def _busy(self) -> bool:
        return self._generation() is not None

    def _read_current(self) -> None:
        if self._current is not None:
            self._current = self._services.conversations.get(self._current.id)

    def _apply_remedy(self, message_id: int, remedy: Remedy) -> None:
        match remedy:
            case "models":
                self.models_requested.emit()
            case "settings":
                self.settings_requested.emit()
            case "retry":
                if self._services.bridge.state.kind == "failed":
                    self.models.load_again()
                self.regenerate(message_id)

    def _edit_last(self) -> None:
        if self._path and not self._busy():
            self._page.transcript.edit_question_of(self._path[-1].id)

    def _chat_changed(self, conversation_id: int) -> None:
        if self._current is not None and self._current.id == conversation_id:
            self._read_current()
        self._chats.refresh()

    def _chat_trashed(self, conversation_id: int) -> None:
        if conversation_id in self._generations:
            self._generations[conversation_id].stop()
        if self._current is not None and self._current.id == conversation_id:
            self.new_chat()
        self._chats.refresh()

    def _chat_restored(self, conversation_id: int) -> None:
        self._chats.refresh()
        self.open(conversation_id)

    def _connect_page(self) -> None:
        page = self._page
        page.composer.send_requested.connect(self.send)
        page.composer.stop_requested.connect(self.stop)
        page.composer.edit_last_requested.connect(self._edit_last)
        page.composer.text_changed.connect(self._draft_pause.start)
        self.own.stored.connect(self._read_current)
        self.own.detail_changed.connect(self._show_tokens)
        self.pictures.changed.connect(self._draft_pause.start)
        self.pictures.ready_to_send.connect(self._send_draft)
        self.pictures.models_requested.connect(self.models_requested)
        page.empty_state.prompt_chosen.connect(self.send)
        page.empty_state.import_requested.connect(self.models_requested)
        asks = page.transcript.asks
        asks.stop_requested.connect(self.stop)
        asks.regenerate_requested.connect(self.regenerate)
        asks.edit_submitted.connect(self.edit)
        asks.answer_edited.connect(self.edit_answer)
        asks.version_requested.connect(self.switch_version)
        asks.remedy_requested.connect(self._apply_remedy)
        self.judgement.rated.connect(self._show_again)
        asks.picture_opened.connect(lambda message_id, index: self.pictures.view_message(self._path, message_id, index))
        self.models.models_requested.connect(self.models_requested)
        self.models.ready.connect(self._show_tokens)

    def _connect_actions(self) -> None:
        actions, bar = self.actions, self._page.top_bar
        for ask, action in (
            (bar.rename_requested, actions.rename),
            (bar.export_requested, actions.export),
            (bar.delete_requested, actions.delete),
        ):
            ask.connect(partial(self._with_current, action))
        self._chats.opened.connect(self.open)
        self._chats.message_opened.connect(self.open_at)
        self._chats.rename_requested.connect(actions.rename)
        self._chats.export_requested.connect(actions.export)
        self._chats.delete_requested.connect(actions.delete)
        actions.changed.connect(self._chat_changed)
        actions.trashed.connect(self._chat_trashed)
        actions.restored.connect(self._chat_restored)

    def _with_current(self, action: Callable[[int], None]) -> None:
        if self._current is not None:
            action(self._current.id)
