"""Split a rendered prompt at the added tokens of a tokenizer, each with its own strip flags, as `tokenizers` does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.errors import EngineError

METADATA_KEY = "phidelity.tokenizer.added_tokens"

# Unicode's White_Space; Python's str.isspace knows more.
_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACES_BEFORE = re.compile(f"[{_SPACE}]*\\Z")
_SPACES_AFTER = re.compile(f"[{_SPACE}]*")


@dataclass(frozen=True, slots=True)
class AddedToken:
    """Describe a token outside of the base vocabulary; the flags say on which side it swallows white space."""

    id: int
    content: str
    lstrip: bool = False
    rstrip: bool = False


_PHI3_STRIPPING = {
    2: "</s>",
    32001: "<|assistant|>",
    32002: "<|placeholder1|>",
    32003: "<|placeholder2|>",
    32004: "<|placeholder3|>",
    32005: "<|placeholder4|>",
    32006: "<|system|>",
    32007: "<|end|>",
    32008: "<|placeholder5|>",
    32009: "<|placeholder6|>",
    32010: "<|user|>",
}
_PHI3_PLAIN = {0: "<unk>", 1: "<s>", 32000: "<|endoftext|>"}

# The tokenizer_config.json of microsoft/Phi-3-mini-4k-instruct, which the language models of the family share.
PHI3_ADDED_TOKENS = (
    *(AddedToken(token, content) for token, content in _PHI3_PLAIN.items()),
    *(AddedToken(token, content, rstrip=True) for token, content in _PHI3_STRIPPING.items()),
)

# The tokenizer.json of microsoft/Phi-3-vision-128k-instruct: three do not strip there, and there are more of them.
_PLAIN_IN_VISION = ("<|system|>", "<|end|>", "<|user|>")
PHI3_VISION_ADDED_TOKENS = (
    *(replace(token, rstrip=token.rstrip and token.content not in _PLAIN_IN_VISION) for token in PHI3_ADDED_TOKENS),
    *(AddedToken(32004 + number, f"<|placeholder{number}|>", rstrip=True) for number in range(7, 40)),
    AddedToken(32044, "<|image|>", rstrip=True),
)


def family_added_tokens(text_of: Callable[[int], str]) -> tuple[AddedToken, ...] | None:
    """Give the added tokens of a Phi-3 vocabulary, known by their ids and spellings; None for other vocabularies."""
    for tokens in (PHI3_VISION_ADDED_TOKENS, PHI3_ADDED_TOKENS):
        if all(text_of(token.id) == token.content for token in tokens):
            return tokens
    return None


def read_added_tokens(text: str, vocabulary_size: int) -> tuple[AddedToken, ...]:
    """Read the list that the converter stores in a file's metadata; raises EngineError `model_invalid`."""
    try:
        tokens = tuple(
            AddedToken(int(entry["id"]), str(entry["content"]), bool(entry["lstrip"]), bool(entry["rstrip"]))
            for entry in json.loads(text)
        )
        if not all(token.content and 0 <= token.id < vocabulary_size for token in tokens):
            raise ValueError("a token is outside of the vocabulary")
    except (ValueError, KeyError, TypeError) as error:
        sentence = "The file's list of added tokens is damaged."
        raise EngineError("model_invalid", sentence, "Convert the checkpoint again.", str(error)) from error
    return tokens


class PromptEncoder:
    """Give the ids of prompts as the reference's tokenizer does."""

    def __init__(self, tokens: Sequence[AddedToken], encode_text: Callable[[str], list[int]]) -> None:
        """Take the added tokens, and how a text between them is encoded."""
        self._encode_text = encode_text
        self._tokens = {token.content: token for token in tokens}
        # The longest of the tokens that start at the same place is meant.
        contents = sorted(self._tokens, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, contents)) or r"(?!)")

    def encode(self, prompt: str) -> list[int]:
        """Give the ids of a rendered prompt."""
        ids: list[int] = []
        done = 0
        for match in self._pattern.finditer(prompt):
            token = self._tokens[match.group()]
            start, end = match.span()
            if token.lstrip:
                found = _SPACES_BEFORE.search(prompt, done, start)
                start = found.start() if found else start
            if token.rstrip and (after := _SPACES_AFTER.match(prompt, end)):
                end = after.end()
            ids += self._text_ids(prompt[done:start])
            ids.append(token.id)
            done = end
        return ids + self._text_ids(prompt[done:])

    def _text_ids(self, text: str) -> list[int]:
        return self._encode_text(text) if text else []
