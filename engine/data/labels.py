"""Say which tokens of a conversation a model learns: its answers, and the token that ends each.

Where an answer begins and ends is found by rendering the conversation up to there with the model's own template, never
by searching a text for markers, which may be tokenised differently or stand in what a user wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from engine.chat.template import ChatTemplate
from engine.errors import EngineError
from engine.protocol import Message

MASKED = -100
PHI3_STOP_IDS = frozenset((32000, 32001, 32007))

Span = tuple[int, int]

_PROBE_QUESTION, _PROBE_ANSWER = Message("user", "Hello"), Message("assistant", "Good day")


@dataclass(frozen=True, slots=True)
class LabelledTokens:
    """Hold the ids of a text and, for each, what is learned there: the id itself, or -100 where it is masked."""

    ids: list[int]
    labels: list[int]

    @property
    def learned(self) -> int:
        """Count the tokens that are learned."""
        return sum(label != MASKED for label in self.labels)

    def cut(self, max_tokens: int) -> LabelledTokens:
        """Keep the first `max_tokens`; raises EngineError `input_invalid` when nothing that is learned is left."""
        if len(self.ids) <= max_tokens:
            return self
        kept = LabelledTokens(self.ids[:max_tokens], self.labels[:max_tokens])
        if not kept.learned:
            raise _refusal(f"The answer begins after the first {max_tokens:,} tokens.", "Allow longer rows.")
        return kept


class Labeller:
    """Label conversations for one model.

    Attributes:
        end_of_turn: the id that ends an answer, `<|end|>` (32007) for Phi-3.
    """

    def __init__(
        self, template: ChatTemplate, encode_prompt: Callable[[str], list[int]], stop_ids: Collection[int]
    ) -> None:
        """Take the template, how a rendered text becomes ids, and the ids at which the model's answers stop.

        Raises EngineError `template_invalid` when the template does not end answers with one of `stop_ids`: a model
        trained with it would never stop.
        """
        self._template = template
        self._encode = encode_prompt
        self._stop_ids = frozenset(stop_ids)
        self._closing = self._find_closing()
        closing_ids = encode_prompt(self._closing)
        if not closing_ids or closing_ids[0] not in self._stop_ids:
            sentence = "The model's chat template does not end answers with a token that stops the model."
            raise EngineError("template_invalid", sentence, "Choose another model.", repr(self._closing))
        self.end_of_turn = closing_ids[0]

    def label(self, messages: Sequence[Message], *, learn_from: int = 0) -> LabelledTokens:
        """Give the ids of a conversation, of which the answers among `messages[learn_from:]` are learned.

        Raises EngineError `input_invalid` when no answer is there to learn or the template changes what was said,
        `template_invalid` when it fails.
        """
        answers = [index for index in range(learn_from, len(messages)) if messages[index].role == "assistant"]
        if not answers:
            raise _refusal("The conversation has no answer to learn.", "Leave this row out.")
        self._check(messages)
        text = self._template.render(messages, add_generation_prompt=False)
        spans = [self._span(messages, index, text) for index in answers]
        ids, places = self._encode_whole(text, spans) or self._encode_in_pieces(text, spans)
        labels = [MASKED] * len(ids)
        for start, end in places:
            if ids[end : end + 1] != [self.end_of_turn]:
                raise _refusal("The end of an answer is not marked by its own token.", "Leave this row out.")
            labels[start : end + 1] = ids[start : end + 1]
        if messages[-1].role == "assistant":
            # Phi-3's template ends a conversation with a second stop token, which its training learns as well.
            after = next((i for i in range(end + 1, len(ids)) if ids[i] not in self._stop_ids), len(ids))
            labels[end + 1 : after] = ids[end + 1 : after]
        return LabelledTokens(ids, labels)

    def _find_closing(self) -> str:
        """Give what the template writes after the last answer, such as `<|end|>` and a line break."""
        before = self._template.render([_PROBE_QUESTION])
        whole = self._template.render([_PROBE_QUESTION, _PROBE_ANSWER], add_generation_prompt=False)
        if not whole.startswith(before + _PROBE_ANSWER.content):
            sentence = "The model's chat template writes an answer differently from how it asks for one."
            raise EngineError("template_invalid", sentence, "Choose another model.", repr(whole))
        return whole.removeprefix(before + _PROBE_ANSWER.content)

    def _check(self, messages: Sequence[Message]) -> None:
        if messages[0].role == "assistant":
            raise _refusal("The conversation begins with an answer.", "Leave this row out.")
        if any(message.pictures for message in messages):
            raise _refusal("The conversation has pictures, which this model does not see.", "Leave this row out.")
        others = [message for message in messages if message.role != "system"]
        spoken = any(message.role == "system" and message.content.strip() for message in messages)
        if spoken and self._template.render(others) == self._template.render(messages):
            raise _refusal("The model's chat template leaves system messages out.", "Remove them from the data.")

    def _span(self, messages: Sequence[Message], index: int, text: str) -> Span:
        """Give where the words of an answer begin and end in the rendered conversation."""
        before = self._template.render(messages[:index])
        until = self._template.render(messages[: index + 1], add_generation_prompt=False)
        answer = until.removeprefix(before).removesuffix(self._closing)
        kept = until == before + answer + self._closing
        if not kept or not text.startswith(before + answer) or answer.strip() != messages[index].content.strip():
            raise _refusal("The model's chat template changes what was said earlier.", "Leave this row out.")
        return len(before), len(before) + len(answer)

    def _encode_whole(self, text: str, spans: Sequence[Span]) -> tuple[list[int], list[Span]] | None:
        """Give the ids and where the answers lie in them; None where an answer's first words merge with the prompt."""
        ids = self._encode(text)
        places = []
        for start, end in spans:
            before, until = self._encode(text[:start]), self._encode(text[:end])
            if ids[: len(before)] != before or ids[: len(until)] != until:
                return None
            places.append((len(before), len(until)))
        return ids, places

    def _encode_in_pieces(self, text: str, spans: Sequence[Span]) -> tuple[list[int], list[Span]]:
        """Encode each answer by itself, which is how it is generated."""
        ids: list[int] = []
        places, done = [], 0
        for start, end in spans:
            ids += self._encode(text[done:start])
            answer = self._encode(text[start:end])
            places.append((len(ids), len(ids) + len(answer)))
            ids += answer
            done = end
        return ids + self._encode(text[done:]), places


def _refusal(sentence: str, remedy: str) -> EngineError:
    return EngineError("input_invalid", sentence, remedy)
