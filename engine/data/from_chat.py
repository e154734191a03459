"""Make training data of the user's own chats: only what the user chose to give, and nothing of it by default."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine.data.example import Example, Place, RowError, RowProblem
from engine.protocol import Message, Role

UP, DOWN = 1, -1


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """Hold one message of a stored chat, which is a tree: versions of a message have the same parent.

    `parent` is the id of the message before, None for a first one; `shown` marks the version on display; `rating` is
    1 (good), -1 (bad) or 0; `edited_from` is the id of the version of which the user corrected the words; `finished`
    is false for an answer that was stopped or failed.
    """

    id: int
    parent: int | None
    role: Role
    text: str
    shown: bool = True
    rating: int = 0
    edited_from: int | None = None
    finished: bool = True
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatVote:
    """Hold the ids of two versions of an answer, of which the user found the first better."""

    chosen: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Chat:
    """Hold a stored chat; its messages come in the order in which they were made."""

    id: int
    messages: tuple[ChatMessage, ...]
    system_prompt: str = ""
    votes: tuple[ChatVote, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatChoice:
    """Say what of the chats is to be learned.

    Attributes:
        conversations: the conversations as they are shown, up to the last good answer.
        edited_conversations: the conversations that lead to an answer which the user corrected, shown or not.
        only_rated: of the conversations only the parts that end with an answer rated good.
        voted_pairs: the version that the user found better in a comparison before the other one.
        rated_pairs: a good answer before a bad one to the same question, unless a vote says otherwise.
        regenerated_pairs: the version that the user kept before earlier ones that were not rated good.
        edited_pairs: an answer that the user corrected before what the model had written.
    """

    conversations: bool = False
    edited_conversations: bool = False
    only_rated: bool = False
    voted_pairs: bool = False
    rated_pairs: bool = False
    regenerated_pairs: bool = False
    edited_pairs: bool = False


def chat_examples(chats: Sequence[Chat], choice: ChatChoice) -> Iterator[Example | RowProblem]:
    """Give the examples that the choice makes of some chats, each pair once; places number the chats."""
    for chat in chats:
        place = Place("chats", chat.id, "chat")
        try:
            yield from _examples(chat, choice, place)
        except RowError as error:
            yield RowProblem(place, str(error))


def _examples(chat: Chat, choice: ChatChoice, place: Place) -> list[Example]:
    tree = _Tree(chat)
    examples = []
    if choice.conversations and (messages := _conversation(tree.shown_path(), choice.only_rated)):
        examples.append(Example(place, tree.as_messages(messages)))
    if choice.edited_conversations:
        examples += [Example(place, tree.as_messages(path)) for path in _edited(tree)]
    for versions in tree.answers():
        before = tree.path_to(versions[0].parent)
        for better, worse in _pairs(versions, choice, frozenset(chat.votes)):
            ways = (Message("assistant", better.text),), (Message("assistant", worse.text),)
            examples.append(Example(place, tree.as_messages(before), *ways))
    return examples


def _conversation(path: Sequence[ChatMessage], only_rated: bool) -> Sequence[ChatMessage]:
    """Cut a conversation before its first bad answer and after its last good one."""
    bad = (index for index, step in enumerate(path) if step.role == "assistant" and not _is_good(step, False))
    path = path[: next(bad, len(path))]
    good = [index for index, step in enumerate(path) if step.role == "assistant" and _is_good(step, only_rated)]
    return path[: good[-1] + 1] if good else ()


def _edited(tree: _Tree) -> list[list[ChatMessage]]:
    """Give the ways to corrected answers, the longest of those that lie on each other; no bad answer is on them."""
    paths = [tree.path_to(answer.id) for answer in tree.corrected()]
    good = [path for path in paths if all(step.role == "user" or _is_good(step, False) for step in path)]
    passed = {step.id for path in good for step in path[:-1]}
    return [path for path in good if path[-1].id not in passed]


def _is_good(answer: ChatMessage, only_rated: bool) -> bool:
    is_whole = answer.finished and bool(answer.text.strip())
    return is_whole and (answer.rating == UP if only_rated else answer.rating != DOWN)


def _pairs(
    versions: Sequence[ChatMessage], choice: ChatChoice, votes: frozenset[ChatVote]
) -> Iterator[tuple[ChatMessage, ChatMessage]]:
    """Give better and worse versions of an answer, each two texts once."""
    seen: set[frozenset[str]] = set()
    for better in versions:
        for worse in versions:
            texts = frozenset((better.text.strip(), worse.text.strip()))
            if len(texts) < 2 or texts in seen or not better.finished or "" in texts:
                continue
            voted = choice.voted_pairs and ChatVote(better.id, worse.id) in votes
            against = choice.voted_pairs and ChatVote(worse.id, better.id) in votes
            if voted or (not against and _is_preferred(better, worse, choice, versions)):
                seen.add(texts)
                yield better, worse


def _is_replaced(edited: ChatMessage, versions: Iterable[ChatMessage]) -> bool:
    """Tell whether the user has corrected the same answer once more since."""
    return any(each.edited_from == edited.edited_from and each.id > edited.id for each in versions)


def _is_preferred(better: ChatMessage, worse: ChatMessage, choice: ChatChoice, versions: Sequence[ChatMessage]) -> bool:
    if choice.rated_pairs and better.rating == UP and worse.rating == DOWN:
        return True
    if better.rating < worse.rating or not worse.finished:
        return False
    if choice.edited_pairs and better.edited_from == worse.id and not _is_replaced(better, versions):
        return True
    kept = better.shown and better.id > worse.id and worse.edited_from is None and better.edited_from is None
    return choice.regenerated_pairs and kept and better.rating != DOWN and worse.rating != UP


class _Tree:
    """Find the ways through a chat."""

    def __init__(self, chat: Chat) -> None:
        self._system_prompt = chat.system_prompt
        self._by_id = {message.id: message for message in chat.messages}
        self._children: dict[int | None, list[ChatMessage]] = defaultdict(list)
        for message in chat.messages:
            # A message whose parent was lost begins anew; parents are made before their children.
            known = message.parent is not None and message.parent in self._by_id and message.parent < message.id
            self._children[message.parent if known else None].append(message)

    def shown_path(self) -> list[ChatMessage]:
        """Follow the shown versions, or the newest where none is shown."""
        path: list[ChatMessage] = []
        at: int | None = None
        while children := self._children.get(at):
            path.append(next((child for child in reversed(children) if child.shown), children[-1]))
            at = path[-1].id
        return path

    def path_to(self, message_id: int | None) -> list[ChatMessage]:
        """Follow the parents of a message back to the first one."""
        path: list[ChatMessage] = []
        step = self._by_id.get(message_id) if message_id is not None else None
        while step is not None:
            path.append(step)
            has_parent = step.parent is not None and step.parent < step.id
            step = self._by_id.get(step.parent) if has_parent and step.parent is not None else None
        return path[::-1]

    def answers(self) -> Iterator[list[ChatMessage]]:
        """Give the versions of every answer that a whole conversation leads to."""
        for parent, children in self._children.items():
            versions = [child for child in children if child.role == "assistant"]
            before = self.path_to(parent)
            in_order = all(one.role != other.role for one, other in pairwise(before))
            if len(versions) > 1 and before and before[-1].role == "user" and in_order:
                yield versions

    def corrected(self) -> list[ChatMessage]:
        """Give the answers in the user's words, of each answer the last."""
        edited = [each for each in self._by_id.values() if each.role == "assistant" and each.edited_from is not None]
        return [each for each in edited if not _is_replaced(each, edited)]

    def as_messages(self, path: Sequence[ChatMessage]) -> tuple[Message, ...]:
        """Give a way with the system prompt in front."""
        system = (Message("system", self._system_prompt),) if self._system_prompt.strip() else ()
        return (*system, *(Message(step.role, step.text, step.pictures) for step in path))
