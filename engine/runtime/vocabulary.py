"""Turn text into token ids and back with the vocabulary of a loaded model."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp.llama_cpp as llama

from engine.chat.added_tokens import family_added_tokens

_TYPE_NONE = 0
_TYPE_SENTENCEPIECE = 1
_ROLES_OF_PHI3 = ("<|user|>", "<|assistant|>", "<|end|>")
# Phi-3 stops at these too (generation_config.json); llama.cpp knows only some of them.
_ENDS_OF_PHI3 = ("<|end|>", "<|endoftext|>", "<|assistant|>")


class Vocabulary:
    """Wrap llama.cpp's vocabulary; it lives as long as its model.

    Attributes:
        size: number of tokens.
        has_text: whether the tokens stand for text; without a tokenizer there are only ids.
        adds_space: whether a text gets a space in front when it is encoded.
    """

    def __init__(self, handle: Any, *, add_space_prefix: bool, stop_ids: frozenset[int] = frozenset()) -> None:
        """Take the handle.

        `add_space_prefix` says whether a text gets a space in front when it is encoded; `stop_ids` end answers besides
        those that llama.cpp knows.
        """
        self._handle = handle
        self.size = int(llama.llama_vocab_n_tokens(handle))
        kind = int(llama.llama_vocab_type(handle))
        # llama.cpp aborts the process when it is asked about the text of a vocabulary that has none.
        self.has_text = kind != _TYPE_NONE
        self.adds_space = kind == _TYPE_SENTENCEPIECE and add_space_prefix
        self._more_ends = stop_ids | self._ends_of_phi3()

    def encode(self, text: str, *, parse_special: bool = False, add_special: bool = False) -> list[int]:
        """Give the ids of a text; `parse_special` recognises special tokens in it, `add_special` adds BOS and EOS."""
        if not self.has_text:
            return []
        data = text.encode("utf-8", errors="replace")
        room = len(data) + 8
        ids = (llama.llama_token * room)()
        count = int(llama.llama_tokenize(self._handle, data, len(data), ids, room, add_special, parse_special))
        if count < 0:
            ids = (llama.llama_token * -count)()
            count = int(llama.llama_tokenize(self._handle, data, len(data), ids, -count, add_special, parse_special))
        return list(ids[:count])

    def piece(self, token: int) -> bytes:
        """Give the bytes that a token adds to a text: none for special tokens, maybe a part of a character."""
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = int(llama.llama_token_to_piece(self._handle, token, buffer, room, 0, False))
            if count >= 0:
                return buffer.raw[:count]
            room = -count

    def text_of(self, token: int) -> str:
        """Give a token as the vocabulary spells it; empty for ids outside of it."""
        if not self.has_text or not 0 <= token < self.size:
            return ""
        spelled = llama.llama_vocab_get_text(self._handle, token) or b""
        return str(spelled.decode("utf-8", errors="replace"))

    def find(self, special: str) -> int | None:
        """Give the id of a special token by its spelling."""
        ids = self.encode(special, parse_special=True)
        return ids[0] if len(ids) == 1 and self.text_of(ids[0]) == special else None

    @property
    def bos(self) -> int:
        """Give the id of the token that begins a text; -1 where there is none."""
        return int(llama.llama_vocab_bos(self._handle))

    def is_end(self, token: int) -> bool:
        """Tell whether an answer ends with this token."""
        return token in self._more_ends or bool(llama.llama_vocab_is_eog(self._handle, token))

    def _ends_of_phi3(self) -> frozenset[int]:
        """Give the ends of turns of a vocabulary with Phi-3's roles; others use some of these tokens otherwise."""
        known = {token.content: token.id for token in family_added_tokens(self.text_of) or ()}
        found = {piece: known.get(piece, self.find(piece)) for piece in (*_ROLES_OF_PHI3, *_ENDS_OF_PHI3)}
        if any(found[role] is None for role in _ROLES_OF_PHI3):
            return frozenset()
        return frozenset(token for piece in _ENDS_OF_PHI3 if (token := found[piece]) is not None)

    @property
    def special_texts(self) -> dict[str, str]:
        """Give the spelling of the tokens that chat templates refer to; empty where the vocabulary has none."""
        tokens = {
            "bos_token": llama.llama_vocab_bos(self._handle),
            "eos_token": llama.llama_vocab_eos(self._handle),
            "pad_token": llama.llama_vocab_pad(self._handle),
        }
        return {name: self.text_of(int(token)) for name, token in tokens.items()}
