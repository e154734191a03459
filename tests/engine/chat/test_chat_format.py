"""Test the ids of whole conversations with real vocabularies."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from engine.chat.added_tokens import METADATA_KEY, PHI3_ADDED_TOKENS
from engine.chat.chat_format import ChatFormat
from engine.chat.template import PHI3_TEMPLATE, ChatTemplate
from engine.errors import EngineError
from engine.protocol import Message
from engine.runtime.cancellation import Cancellation
from engine.runtime.model import LanguageModel
from engine.runtime.model_file import ModelFile
from tests.helpers.checkpoints import TOKENIZER

PIECES = [
    *("a", "Hello", " ", "  ", "\n", "\r\n", "\t", "\x0b", "\x1c", "\x85", "\xa0", "\u200b", "\u3000", "\ufeff"),
    *(
        "\x00",
        "é",
        "e\u0301",
        "ﬁ",
        "漢字",
        "ひらがな",
        "한국어",
        "😀",
        "👩‍👩‍👧",
        "🇩🇪",
        "▁",
        "<|",
        "|>",
        "<0x0A>",
        "1234",
        "'s",
    ),
    *(token.content for token in PHI3_ADDED_TOKENS),
]
REFERENCE = Tokenizer.from_file(str(TOKENIZER / "tokenizer.json"))
TEXTS = st.lists(st.sampled_from(PIECES), max_size=10).map("".join)


@pytest.fixture(scope="module")
def phi3(native_log, tiny):
    model = LanguageModel(
        ModelFile.read(tiny[1]),
        adapters=(),
        log=native_log,
        cancellation=Cancellation(),
        on_progress=lambda fraction: None,
    )
    yield model
    model.close()


@pytest.mark.parametrize("stored", [True, False])
def test_ids_of_conversations_equal_tokenizers(phi3, stored):
    added = phi3.metadata(METADATA_KEY) if stored else None
    template = phi3.metadata("tokenizer.chat_template")
    chat_format = ChatFormat(template, added, phi3.vocabulary)
    assert (added is not None) == stored

    @settings(max_examples=150, deadline=None)
    @given(st.lists(TEXTS, min_size=1, max_size=4))
    def check(contents):
        roles = ("system", "user", "assistant", "user")
        messages = [Message(role, content) for role, content in zip(roles, contents, strict=False)]
        prompt = ChatTemplate(template, {}).render(messages)
        assert chat_format.encode(messages) == REFERENCE.encode(prompt, add_special_tokens=False).ids

    check()


def test_the_ids_of_a_phi_3_turn(phi3):
    chat_format = ChatFormat(None, None, phi3.vocabulary)
    assert chat_format.encode([Message("user", "Hi")]) == [32010, 6324, 32007, 32001]


def test_the_lines_of_llama_cpps_own_test(phi3):
    lines = (TOKENIZER / "lines.inp").read_text("utf-8").split("\n__ggml_vocab_test__\n")
    expected = [[int(number) for number in line.split()] for line in (TOKENIZER / "lines.out").read_text().splitlines()]
    texts = lines[: len(expected)]
    assert len(texts) == len(expected) == 46
    # The expected ids begin with BOS where the tokenizer adds it.
    assert [phi3.vocabulary.encode(text) for text in texts] == [ids[1:] if ids[:1] == [1] else ids for ids in expected]


def test_phi_3_without_a_working_template_gets_its_own(phi3):
    for source in (None, "{% if %}", "{{ raise_exception('no') }}"):
        chat_format = ChatFormat(source, None, phi3.vocabulary)
        assert chat_format.problem is None
        assert chat_format.encode([Message("user", "Hi")]) == [32010, 6324, 32007, 32001]


def test_a_damaged_list_of_added_tokens_is_refused(phi3):
    with pytest.raises(EngineError):
        ChatFormat(PHI3_TEMPLATE, "[{}]", phi3.vocabulary)


class OtherVocabulary:
    """Stand for a vocabulary that is not Phi-3's, and note how it is asked."""

    size = 10
    has_text = True

    @property
    def special_texts(self):
        """Give the spelling of two tokens."""
        return {"bos_token": "<s>", "eos_token": "</s>"}

    def text_of(self, token):
        """Give a spelling that Phi-3 does not have."""
        return f"token {token}"

    def find(self, special):
        """Give no special token."""

    def encode(self, text, **options):
        """Give the question back."""
        return [text, options]


def test_other_vocabularies_are_left_to_llama_cpp_and_get_one_bos():
    with_bos = ChatFormat("{{ bos_token }}{{ messages[0].content }}", None, OtherVocabulary())
    assert with_bos.encode([Message("user", "Hi")]) == ["<s>Hi", {"parse_special": True, "add_special": False}]
    without = ChatFormat("{{ messages[0].content }}", None, OtherVocabulary())
    assert without.encode([Message("user", "Hi")]) == ["Hi", {"parse_special": True, "add_special": True}]


def test_other_models_without_a_template_say_so():
    chat_format = ChatFormat(None, None, OtherVocabulary())
    with pytest.raises(EngineError) as failure:
        chat_format.encode([Message("user", "Hi")])
    assert failure.value is chat_format.problem
    assert failure.value.code == "template_invalid"


def test_other_models_can_carry_a_list_of_added_tokens():
    added = json.dumps([{"id": 3, "content": "<u>", "lstrip": False, "rstrip": True}])
    chat_format = ChatFormat("<u> {{ messages[0].content }}", added, OtherVocabulary())
    assert chat_format.encode([Message("user", "Hi")]) == [3, "Hi", {}]
