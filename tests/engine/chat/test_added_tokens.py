"""Test that prompts are split at added tokens as the library `tokenizers` does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken as ReferenceToken
from tokenizers import Tokenizer, models

from engine.chat.added_tokens import PHI3_ADDED_TOKENS, AddedToken, PromptEncoder, read_added_tokens
from engine.errors import EngineError
from tests.helpers.checkpoints import TOKENIZER

PIECES = [
    "a",
    "b",
    " ",
    "\n",
    "\t",
    "\x0b",
    "\x1c",
    "\x85",
    "\xa0",
    "\u200b",
    "\u3000",
    "<",
    "<x",
    "<x>",
    "<xy>",
    "<l>",
]
CHARACTERS = sorted({character for piece in PIECES for character in piece})
TOKENS = (
    AddedToken(100, "<x>"),
    AddedToken(101, "<xy>", rstrip=True),
    AddedToken(102, "<l>", lstrip=True),
    AddedToken(103, "<x><l>", lstrip=True, rstrip=True),
)


def reference():
    """Make a tokenizer whose base vocabulary is the characters themselves."""
    vocabulary = {character: index for index, character in enumerate(CHARACTERS)}
    fillers = {f"filler {index}": index for index in range(len(vocabulary), 100)}
    tokenizer = Tokenizer(models.BPE(vocab={**vocabulary, **fillers}, merges=[]))
    tokenizer.add_tokens(
        [ReferenceToken(t.content, lstrip=t.lstrip, rstrip=t.rstrip, normalized=False) for t in TOKENS]
    )
    return tokenizer


REFERENCE = reference()


@given(st.lists(st.sampled_from([*CHARACTERS, *(token.content for token in TOKENS)]), max_size=12).map("".join))
def test_splitting_equals_tokenizers(prompt):
    encoder = PromptEncoder(TOKENS, lambda text: [CHARACTERS.index(character) for character in text])
    assert encoder.encode(prompt) == REFERENCE.encode(prompt).ids


def test_a_vocabulary_without_added_tokens_is_not_split():
    assert PromptEncoder((), lambda text: [len(text)]).encode("abc") == [3]


def test_phi_3s_built_in_flags_are_those_of_its_tokenizer():
    entries = json.loads((TOKENIZER / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    assert {token.id: token for token in read_added_tokens(json.dumps(entries), 32064)} == {
        token.id: token for token in PHI3_ADDED_TOKENS
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}x",
        "3",
        "[3]",
        '[{"id": 1}]',
        '[{"id": 99999, "content": "<x>", "lstrip": false, "rstrip": false}]',
        '[{"id": -1, "content": "<x>", "lstrip": false, "rstrip": false}]',
        '[{"id": 1, "content": "", "lstrip": false, "rstrip": false}]',
    ],
)
def test_a_damaged_list_is_a_known_error(text):
    with pytest.raises(EngineError) as failure:
        read_added_tokens(text, 32064)
    assert failure.value.code == "model_invalid"
