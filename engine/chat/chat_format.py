"""Turn conversations into token ids the way the model was trained to read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from converter.metadata import SOURCE_ARCHITECTURE_KEY, WITH_PICTURES
from engine.chat.added_tokens import METADATA_KEY, PHI3_ADDED_TOKENS, PromptEncoder, read_added_tokens
from engine.chat.template import PHI3_TEMPLATE, ChatTemplate
from engine.errors import EngineError
from engine.protocol import Message
from engine.vision.prompt import picture_prompt_ids, tag_pictures

_PROBE = (Message("user", "Hello"),)


class Tokens(Protocol):
    """Offer what a chat needs of a vocabulary."""

    size: int
    has_text: bool

    @property
    def special_texts(self) -> dict[str, str]:
        """Give the spelling of the tokens that templates refer to."""

    def encode(self, text: str, *, parse_special: bool = False, add_special: bool = False) -> list[int]:
        """Give the ids of a text."""

    @property
    def bos(self) -> int:
        """Give the id of the token that begins a text."""

    def text_of(self, token: int) -> str:
        """Give a token as the vocabulary spells it."""


class ChatFormat:
    """Join a model's chat template with its tokenizer.

    Attributes:
        problem: why conversations cannot be rendered, or None.
    """

    def __init__(
        self, template_source: str | None, added_tokens: str | None, vocabulary: Tokens, *, sees: bool = False
    ) -> None:
        """Take the template and the list of added tokens from the file's metadata; `sees` marks a vision model."""
        self._vocabulary = vocabulary
        self._sees = sees
        self.problem: EngineError | None = None
        is_phi3 = all(vocabulary.text_of(token.id) == token.content for token in PHI3_ADDED_TOKENS)
        self._template = self._choose_template(template_source, PHI3_TEMPLATE if is_phi3 else None)
        self._encode_prompt = self._choose_encoder(added_tokens, is_phi3)

    def encode(self, messages: Sequence[Message], picture_tokens: Sequence[int] = ()) -> list[int]:
        """Give the ids of a conversation up to where the answer begins; raises EngineError `template_invalid`.

        `picture_tokens` has one count per picture of the messages, in order; ids -k stand for picture k.
        """
        if self._template is None:
            assert self.problem is not None
            raise self.problem
        if not self._sees:
            return self._encode_prompt(self._template.render(messages))
        texts = tag_pictures([(message.content, len(message.pictures)) for message in messages])
        tagged = [replace(message, content=text) for message, text in zip(messages, texts, strict=True)]
        bos = self._vocabulary.bos
        return picture_prompt_ids(self._template.render(tagged), picture_tokens, self._encode_prompt, bos)

    def _choose_template(self, source: str | None, fallback: str | None) -> ChatTemplate | None:
        """Take the file's template if it works, else the family's own."""
        try:
            if not self._vocabulary.has_text:
                sentence = "The model's file has no tokenizer: it understands token ids, but no text."
                raise EngineError("model_invalid", sentence, "Import the checkpoint with its tokenizer files.")
            if source is None:
                sentence = "The model's file has no chat template."
                raise EngineError("template_invalid", sentence, "Choose a model that was trained for chats.")
            template = ChatTemplate(source, self._vocabulary.special_texts)
            template.render(_PROBE)
        except EngineError as error:
            if fallback is not None:
                return ChatTemplate(fallback, self._vocabulary.special_texts)
            self.problem = error
            return None
        return template

    def _choose_encoder(self, added_tokens: str | None, is_phi3: bool) -> Callable[[str], list[int]]:
        """Split at the reference's added tokens where they are known, else leave it to llama.cpp."""
        if added_tokens is not None:
            tokens = read_added_tokens(added_tokens, self._vocabulary.size)
            return PromptEncoder(tokens, self._vocabulary.encode).encode
        if is_phi3:
            return PromptEncoder(PHI3_ADDED_TOKENS, self._vocabulary.encode).encode
        return self._encode_natively

    def _encode_natively(self, prompt: str) -> list[int]:
        # A template that writes BOS itself must not get a second one.
        bos = self._vocabulary.special_texts["bos_token"]
        has_bos = bool(bos) and prompt.startswith(bos)
        return self._vocabulary.encode(prompt, parse_special=True, add_special=not has_bos)


def chat_format_of(
    metadata: Callable[[str], str | None], vocabulary: Tokens, *, has_companion: bool = False
) -> ChatFormat:
    """Make the chat format of a model from its metadata; raises EngineError `model_invalid`."""
    template, added_tokens = metadata("tokenizer.chat_template"), metadata(METADATA_KEY)
    sees = has_companion or metadata(SOURCE_ARCHITECTURE_KEY) in WITH_PICTURES
    return ChatFormat(template, added_tokens, vocabulary, sees=sees)
