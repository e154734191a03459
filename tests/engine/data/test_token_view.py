"""Test what is shown of the tokens of an example."""

from tokenizers import Tokenizer

from engine.chat.added_tokens import PHI3_ADDED_TOKENS, PromptEncoder
from engine.chat.template import PHI3_TEMPLATE, ChatTemplate
from engine.data.labels import MASKED, PHI3_STOP_IDS, LabelledTokens, Labeller
from engine.data.token_view import TokenPiece, token_view
from engine.protocol import Message
from tests.helpers.checkpoints import TOKENIZER

PIECES = {1: b"a", 2: b"\xe6", 3: b"\xbc\xa2", 4: b"<|end|>"}


def test_learned_tokens_are_told_from_masked_ones():
    tokens = LabelledTokens([1, 4], [MASKED, 4])
    assert token_view(tokens, PIECES.__getitem__) == [TokenPiece(1, "a", False), TokenPiece(4, "<|end|>", True)]


def test_a_character_of_several_tokens_belongs_to_the_last():
    tokens = LabelledTokens([1, 2, 3, 2], [1, 2, 3, 2])
    assert [piece.text for piece in token_view(tokens, PIECES.__getitem__)] == ["a", "", "漢", "\ufffd"]


def test_no_tokens_show_nothing():
    assert token_view(LabelledTokens([], []), PIECES.__getitem__) == []


def test_a_conversation_of_phi_3():
    reference = Tokenizer.from_file(str(TOKENIZER / "tokenizer.json"))
    encoder = PromptEncoder(PHI3_ADDED_TOKENS, lambda text: reference.encode(text, add_special_tokens=False).ids)
    labeller = Labeller(ChatTemplate(PHI3_TEMPLATE, {}), encoder.encode, PHI3_STOP_IDS)
    tokens = labeller.label([Message("user", "Hi"), Message("assistant", "Hello")])

    def piece(token):
        return reference.id_to_token(token).replace("▁", " ").encode()

    pieces = token_view(tokens, piece)
    assert [(piece.text, piece.learned) for piece in pieces] == [
        ("<|user|>", False),
        (" Hi", False),
        ("<|end|>", False),
        ("<|assistant|>", False),
        (" Hello", True),
        ("<|end|>", True),
    ]
