"""Keep what the user thinks of answers: ratings, and votes between two versions that are not told apart."""

from collections.abc import Sequence
from itertools import combinations
from random import Random

from PySide6.QtCore import QObject, Signal

from app.chat.compare_dialog import CompareDialog, Verdict
from app.chat.page import ChatPage
from app.chat.services import ChatServices
from app.storage.errors import StorageError
from app.storage.messages import Message
from app.storage.votes import Vote


class Judgement(QObject):
    """Store ratings, and ask which of two versions is better."""

    rated = Signal(int)

    def __init__(self, page: ChatPage, services: ChatServices, chance: Random | None = None) -> None:
        """Listen to the messages of a page; `chance` decides which versions are compared and which stands left."""
        super().__init__(page)
        self._page = page
        self._services = services
        self._chance = chance or Random()
        page.transcript.asks.rating_requested.connect(self.rate)
        page.transcript.asks.compare_requested.connect(self.compare)

    def rate(self, message_id: int, rating: int) -> None:
        """Keep a rating, or take it back."""
        try:
            self._services.messages.rate(message_id, rating)
        except StorageError as error:
            self._services.notices.show_error(error)
        self.rated.emit(message_id)

    def compare(self, message_id: int) -> CompareDialog | None:
        """Ask which of two versions of an answer is better; None when there are no two different ones."""
        services = self._services
        found = [services.messages.get(each) for each in services.messages.versions(message_id)]
        versions = [version for version in found if version is not None and not version.streaming]
        conversation_id = versions[0].conversation_id if versions else 0
        pair = pair_to_compare(versions, services.votes.of_chat(conversation_id), self._chance)
        if pair is None:
            services.notices.say(self.tr("There are no two versions with different words to compare."))
            return None
        parent_id = pair[0].parent_id
        question = services.messages.get(parent_id) if parent_id is not None else None
        dialog = CompareDialog(self._page.theme, question.text if question else "", *pair, self._page)
        dialog.decided.connect(lambda verdict: self._vote(dialog, *pair, verdict))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        return dialog

    def _vote(self, dialog: CompareDialog, left: Message, right: Message, verdict: Verdict) -> None:
        """Keep a vote, then say which version was which."""
        chosen, rejected = (right, left) if verdict == "right" else (left, right)
        try:
            self._services.votes.add(chosen.id, rejected.id, equal=verdict == "equal", blind=True)
        except StorageError as error:
            self._services.notices.show_error(error)
        else:
            dialog.reveal(verdict)


def pair_to_compare(
    versions: Sequence[Message], votes: Sequence[Vote], chance: Random
) -> tuple[Message, Message] | None:
    """Draw two versions with different words, in an order by chance; those not yet compared come first."""
    told = [version for version in versions if version.text.strip()]
    pairs = [pair for pair in combinations(told, 2) if pair[0].text.strip() != pair[1].text.strip()]
    if not pairs:
        return None
    voted = {frozenset((vote.chosen_id, vote.rejected_id)) for vote in votes}
    fresh = [(one, other) for one, other in pairs if frozenset((one.id, other.id)) not in voted]
    one, other = chance.choice(fresh or pairs)
    return (one, other) if chance.random() < 0.5 else (other, one)
