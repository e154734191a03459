"""Turn texts and conversations into samples, with the template and the tokenizer that the chat uses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer

from engine.chat.template import ChatTemplate
from engine.data.labels import LabelledTokens, Labeller
from engine.errors import EngineError
from engine.protocol import Message
from engine.training.base import Base


class AnswerLabeller(Protocol):
    """Say what is learned of conversations."""

    def label(self, messages: Sequence[Message], *, learn_from: int = 0) -> LabelledTokens:
        """Give the ids of a conversation, of which the answers among `messages[learn_from:]` are learned."""


class ChatEncoding:
    """Give ids as the reference's tokenizer does.

    Attributes:
        template: the chat template, or None.
        stop_ids: tokens that end an answer.
        end_of_text: the token that ends a document, or None.
    """

    def __init__(self, base: Base) -> None:
        """Read the tokenizer of a checkpoint. Raises EngineError `model_invalid` or `template_invalid`."""
        vocabulary = base.vocabulary
        self._tokenizer = _read_tokenizer(base.folder)
        self.special_texts = {
            f"{role}_token": vocabulary.tokens[vocabulary.special_ids[key]] if key in vocabulary.special_ids else ""
            for role, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown"))
        }
        self.template = (
            None if vocabulary.chat_template is None else ChatTemplate(vocabulary.chat_template, self.special_texts)
        )
        self.stop_ids = vocabulary.stop_ids
        self.end_of_text = vocabulary.special_ids.get("eos")

    def labeller(self) -> AnswerLabeller:
        """Give what marks the answers of conversations. Raises EngineError `template_invalid`."""
        return Labeller(self._working_template(), self.encode_text, self.stop_ids)

    def encode_text(self, text: str) -> list[int]:
        """Give the ids of a text in which added tokens count as such."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> list[int]:
        """Give the ids of a conversation. Raises EngineError `template_invalid`."""
        return self.encode_text(self._working_template().render(messages, add_generation_prompt=add_generation_prompt))

    def decode(self, ids: Sequence[int]) -> str:
        """Give the text of ids without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def _working_template(self) -> ChatTemplate:
        if self.template is None:
            message = "The base has no chat template, so it cannot learn conversations."
            raise EngineError("template_invalid", message, "Choose an instruct model, or train on plain text.")
        return self.template


def _read_tokenizer(folder: Path) -> Tokenizer:
    try:
        if (folder / "tokenizer.json").is_file():
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        else:
            from transformers import AutoTokenizer  # only checkpoints with nothing but tokenizer.model need it

            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer
    except Exception as error:  # tokenizers raises bare Exception
        message = f"The tokenizer of {folder.name} cannot be read."
        raise EngineError("model_invalid", message, "Download its tokenizer files again.", str(error)) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
