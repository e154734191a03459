"""Say what is wrong with a loaded file and could not be put right without a word."""

from __future__ import annotations

from collections.abc import Iterator

from converter.faults import Fault
from engine.chat.chat_format import ChatFormat
from engine.protocol import LoadNote
from engine.runtime.model_file import ModelFile

# The engine assembles the ids of a chat and knows the family's ends of turns by itself.
_CURED_AT_LOAD = ("name_marker", "end_of_turn")
_TEMPLATE = "chat_template"
_OWN_TEMPLATE = "Phi-3's own is used."


def load_notes(header: ModelFile, chat_format: ChatFormat) -> tuple[LoadNote, ...]:
    """Give the notes on a file with a model or a vocabulary of the Phi-3 family; other files get none."""
    return tuple(_notes(header, chat_format))


def _notes(header: ModelFile, chat_format: ChatFormat) -> Iterator[LoadNote]:
    for fault in header.faults:
        if fault.code not in _CURED_AT_LOAD or not chat_format.ids_are_exact:
            yield LoadNote(fault.code, _message(fault, chat_format), fault.repairable)
    if chat_format.template_problem and not any(fault.code == _TEMPLATE for fault in header.faults):
        yield LoadNote(_TEMPLATE, f"{chat_format.template_problem.message} {_OWN_TEMPLATE}")
    if (
        header.is_family
        and not chat_format.ids_are_exact
        and not any(fault.code == "tokenizer" for fault in header.faults)
    ):
        sentence = (
            "The file does not say which chat tokens swallow the white space after them: messages that begin with "
            "white space may be read otherwise than the model learned. Importing its checkpoint helps."
        )
        yield LoadNote("added_tokens", sentence)
    if not chat_format.splits_as_phi3:
        sentence = (
            "The tokenizer splits text otherwise than Phi-3's: answers suffer. Importing the checkpoint cures it."
        )
        yield LoadNote("tokenizer", sentence)


def _message(fault: Fault, chat_format: ChatFormat) -> str:
    own = fault.code == _TEMPLATE and chat_format.template_problem is not None
    return f"{fault.message} {_OWN_TEMPLATE}" if own else fault.message
