"""Turn conversations into token ids the way the model was trained to read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from converter.faults import SPECIAL_IN_TEMPLATE
from converter.metadata import SOURCE_ARCHITECTURE_KEY, WITH_PICTURES
from engine.chat.added_tokens import METADATA_KEY, AddedToken, PromptEncoder, family_added_tokens, read_added_tokens
from engine.chat.template import PHI3_TEMPLATE, ChatTemplate
from engine.errors import EngineError
from engine.protocol import Message
from engine.vision.prompt import picture_prompt_ids, tag_pictures

_PROBE = (Message("user", "Hello"),)
# Chat tokens of Phi-4-mini and Phi-4, which can swallow white space.
_STRIPPING_TOKENS = ("<|assistant|>", "<|im_sep|>")
# What the tokenizer.json of microsoft/Phi-3-mini-4k-instruct makes of a text with most of its rules in it.
_TEXT = "Hello,  漢 😀\n\t2"
_IDS_OF_TEXT = (15043, 29892, 259, 31652, 29871, 243, 162, 155, 131, 13, 12, 29906)


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

    def find(self, special: str) -> int | None:
        """Give the id of a special token by its spelling."""


class ChatFormat:
    """Join a model's chat template with its tokenizer.

    Attributes:
        problem: why conversations cannot be rendered, or None.
        template_problem: why Phi-3's own template stands in for the file's, or None where the file's is used.
        ids_are_exact: whether ids equal the reference's as far as is known; false for a vocabulary with chat tokens of
            the family of which nothing says whether they swallow white space.
        splits_as_phi3: whether a Phi-3 vocabulary splits text as Phi-3's tokenizer does; true for all others.
    """

    def __init__(
        self, template_source: str | None, added_tokens: str | None, vocabulary: Tokens, *, sees: bool = False
    ) -> None:
        """Take the template and the list of added tokens from the file's metadata; `sees` marks a vision model."""
        self._vocabulary = vocabulary
        self._sees = sees
        self.problem: EngineError | None = None
        self.template_problem: EngineError | None = None
        family = family_added_tokens(vocabulary.text_of)
        self._template = self._choose_template(template_source, family)
        stored = None if added_tokens is None else read_added_tokens(added_tokens, vocabulary.size)
        known = family if stored is None else stored
        self.ids_are_exact = known is not None or all(vocabulary.find(token) is None for token in _STRIPPING_TOKENS)
        self.splits_as_phi3 = stored is not None or family is None or vocabulary.encode(_TEXT) == list(_IDS_OF_TEXT)
        self._encode_prompt = self._encode_natively if known is None else PromptEncoder(known, vocabulary.encode).encode

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

    def _choose_template(self, source: str | None, family: Sequence[AddedToken] | None) -> ChatTemplate | None:
        """Take the file's template if it works with this vocabulary, else the one of the family that it belongs to."""
        try:
            if not self._vocabulary.has_text:
                sentence = "The model's file has no tokenizer: it understands token ids, but no text."
                raise EngineError("model_invalid", sentence, "Import the checkpoint with its tokenizer files.")
            if source is None:
                sentence = "The model's file has no chat template."
                raise EngineError("template_invalid", sentence, "Choose a model that was trained for chats.")
            template = ChatTemplate(source, self._vocabulary.special_texts)
            prompt = template.render(_PROBE)
            if family is not None:
                self._check_tokens(prompt, family)
        except EngineError as error:
            if family is None:
                self.problem = error
                return None
            self.template_problem = error
            return ChatTemplate(PHI3_TEMPLATE, self._vocabulary.special_texts)
        return template

    def _check_tokens(self, prompt: str, family: Sequence[AddedToken]) -> None:
        """Refuse a prompt with chat tokens that the vocabulary does not have: it was made for another model."""
        known = {token.content for token in family}
        for token in SPECIAL_IN_TEMPLATE.findall(prompt):
            if token not in known and self._vocabulary.find(token) is None:
                sentence = f"The chat template is another model's: it uses {token}, an unknown token."
                raise EngineError("template_invalid", sentence, "Repair the file.")

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
