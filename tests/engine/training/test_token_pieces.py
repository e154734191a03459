"""Check that the pieces of tokens give the text back."""

import pytest

from engine.training.base import open_base
from engine.training.chat_encoding import ChatEncoding
from engine.training.token_pieces import token_pieces

TEXT = "<|user|>Größe: 12 €, 漢字 🙂\n\tdone<|end|>"


def test_phi3s_tokens_give_the_text(tiny_base, tiny_encoding):
    piece = token_pieces(tiny_base.vocabulary)
    joined = b"".join(piece(token) for token in tiny_encoding.encode_text(TEXT)).decode()
    assert joined.replace(" ", "") == TEXT.replace(" ", "")
    assert joined.endswith("done<|end|>")


def test_the_starters_tokens_give_the_text(starter_cache, starter):
    base = open_base("starter", starter_cache)
    piece = token_pieces(base.vocabulary)
    text = TEXT.replace("<|user|>", "<|im_start|>").replace("<|end|>", "<|im_end|>")
    assert b"".join(piece(token) for token in ChatEncoding(base).encode_text(text)).decode() == text


@pytest.mark.parametrize("token", [-1, 10**6])
def test_an_id_outside_the_vocabulary_has_no_text(tiny_base, token):
    assert token_pieces(tiny_base.vocabulary)(token) == b""
