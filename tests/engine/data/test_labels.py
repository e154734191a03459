"""Test which tokens are learned, against transformers' own masks and with real vocabularies."""

import importlib.resources
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from engine.chat.added_tokens import PHI3_ADDED_TOKENS, PromptEncoder
from engine.chat.template import PHI3_TEMPLATE, ChatTemplate
from engine.data.labels import MASKED, PHI3_STOP_IDS, LabelledTokens, Labeller
from engine.errors import EngineError
from engine.protocol import Message
from engine.runtime.cancellation import Cancellation
from engine.runtime.model import LanguageModel
from engine.runtime.model_file import ModelFile
from tests.helpers.checkpoints import TOKENIZER

REFERENCE = Tokenizer.from_file(str(TOKENIZER / "tokenizer.json"))
HUB_TEMPLATE = json.loads((TOKENIZER / "tokenizer_config.json").read_text("utf-8"))["chat_template"]
SPECIAL = {"bos_token": "<s>", "eos_token": "<|endoftext|>"}
MEDIUM_TEMPLATE = (
    "{% for message in messages %}{% if (message['role'] == 'user') %}"
    "{{'<|user|>' + '\n' + message['content'] + '<|end|>' + '\n' + '<|assistant|>' + '\n'}}"
    "{% elif (message['role'] == 'assistant') %}{{message['content'] + '<|end|>' + '\n'}}{% endif %}{% endfor %}"
)
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TALK = (
    Message("system", "Be brief."),
    Message("user", "Name a colour."),
    Message("assistant", "Blue."),
    Message("user", "Another?"),
    Message("assistant", "Dark red."),
)


def encode(text):
    """Give the ids of a text without special tokens."""
    return REFERENCE.encode(text, add_special_tokens=False).ids


def labeller(template=PHI3_TEMPLATE, stop_ids=PHI3_STOP_IDS):
    encoder = PromptEncoder(PHI3_ADDED_TOKENS, encode)
    return Labeller(ChatTemplate(template, SPECIAL), encoder.encode, stop_ids)


def learned(tokens):
    """Give the runs of learned ids."""
    runs, run = [], []
    for label in [*tokens.labels, MASKED]:
        if label != MASKED:
            run.append(label)
        elif run:
            runs.append(run)
            run = []
    return runs


def test_answers_and_their_ends_are_learned_and_nothing_else():
    tokens = labeller().label(TALK)
    assert tokens.ids == PromptEncoder(PHI3_ADDED_TOKENS, encode).encode(
        "<|system|>\nBe brief.<|end|>\n<|user|>\nName a colour.<|end|>\n<|assistant|>\nBlue.<|end|>\n"
        "<|user|>\nAnother?<|end|>\n<|assistant|>\nDark red.<|end|>\n"
    )
    assert learned(tokens) == [[*encode("Blue."), 32007], [*encode("Dark red."), 32007]]
    assert tokens.learned == len(encode("Blue.")) + len(encode("Dark red.")) + 2


def test_the_hub_template_learns_the_final_stop_token_too():
    assert learned(labeller(HUB_TEMPLATE).label(TALK))[-1] == [*encode("Dark red."), 32007, 32000]


@pytest.fixture(scope="module")
def trl_tokenizer():
    """Give Phi-3's tokenizer with the training template of TRL, which marks what is learned."""
    template = importlib.resources.files("trl").joinpath("chat_templates/phi3_training.jinja").read_text("utf-8")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(TOKENIZER / "tokenizer.json"), eos_token="<|endoftext|>")
    tokenizer.chat_template = template
    return tokenizer


TEXTS = st.text(st.sampled_from("ab é漢😀'\n\t.▁1"), min_size=1, max_size=12).filter(lambda text: text.strip())


def test_labels_equal_the_mask_of_trls_template(trl_tokenizer):
    subject = labeller(HUB_TEMPLATE)

    @settings(max_examples=100, deadline=None)
    @given(
        st.booleans(), st.lists(TEXTS.map(str.strip), min_size=2, max_size=6).filter(lambda turns: len(turns) % 2 == 0)
    )
    def check(has_system, contents):
        turns = [Message("assistant" if index % 2 else "user", text) for index, text in enumerate(contents)]
        messages = [*([Message("system", "Be kind.")] if has_system else []), *turns]
        expected = trl_tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.content} for message in messages],
            return_assistant_tokens_mask=True,
            return_dict=True,
        )
        tokens = subject.label(messages)
        assert tokens.ids == expected["input_ids"]
        assert [int(label != MASKED) for label in tokens.labels] == expected["assistant_masks"]

    check()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab \n.é"), max_size=6), min_size=2, max_size=6))
def test_every_answer_ends_with_its_stop_token(contents):
    messages = [Message("assistant" if index % 2 else "user", text) for index, text in enumerate(contents)]
    tokens = labeller().label(messages)
    answers = len(contents) // 2
    assert sum(label == 32007 for label in tokens.labels) == answers
    assert all(label in (MASKED, token) for label, token in zip(tokens.labels, tokens.ids, strict=True))


def test_mediums_template_is_labelled_and_refuses_system_messages():
    subject = labeller(MEDIUM_TEMPLATE)
    assert learned(subject.label(TALK[1:])) == [[*encode("Blue."), 32007], [*encode("Dark red."), 32007]]
    with pytest.raises(EngineError, match="leaves system messages out"):
        subject.label(TALK)


def test_only_the_answer_behind_a_prompt_is_learned():
    assert learned(labeller().label(TALK, learn_from=3)) == [[*encode("Dark red."), 32007]]


def test_a_marker_that_a_user_wrote_is_not_taken_for_an_answer():
    messages = [Message("user", "What does <|assistant|>\nx<|end|> mean?"), Message("assistant", "A turn.")]
    assert learned(labeller().label(messages)) == [[*encode("A turn."), 32007]]


@pytest.mark.parametrize(
    "messages",
    [
        [Message("user", "Hi")],
        [Message("system", "Be brief."), Message("user", "Hi")],
        [Message("assistant", "Hi")],
        [Message("user", "What is it?", ("a.png",)), Message("assistant", "A cat.")],
    ],
)
def test_rows_without_anything_to_learn_are_refused(messages):
    with pytest.raises(EngineError) as failure:
        labeller().label(messages)
    assert failure.value.code == "input_invalid"


@pytest.mark.parametrize(
    "template",
    [
        "{% for message in messages %}{{ message.content }}\n{% endfor %}",
        "{{ messages[0].content }}",
        "{% for m in messages %}{{ m.role }}: {{ m.content | upper }}<|end|>{% endfor %}",
        "{{ raise_exception('no') }}",
    ],
)
def test_templates_that_cannot_teach_a_model_to_stop_are_refused(template):
    with pytest.raises(EngineError) as failure:
        labeller(template)
    assert failure.value.code == "template_invalid"


def test_a_template_that_forgets_earlier_answers_refuses_the_row():
    forgetful = (
        "{% for m in messages %}<|{{ m.role }}|>\n"
        "{{ m.content if loop.last or m.role != 'assistant' else '' }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    )
    subject = labeller(forgetful)
    assert learned(subject.label(TALK[1:3])) == [[*encode("Blue."), 32007]]
    with pytest.raises(EngineError, match="changes what was said"):
        subject.label(TALK)


def test_what_is_cut_still_has_something_to_learn():
    tokens = LabelledTokens([1, 2, 3, 4], [MASKED, MASKED, 3, 4])
    assert tokens.cut(9) is tokens
    assert tokens.cut(3) == LabelledTokens([1, 2, 3], [MASKED, MASKED, 3])
    with pytest.raises(EngineError, match="first 2 tokens"):
        tokens.cut(2)


@pytest.fixture(scope="module")
def starter_model(native_log, starter):
    model = LanguageModel(
        ModelFile.read(starter),
        adapters=(),
        log=native_log,
        cancellation=Cancellation(),
        on_progress=lambda fraction: None,
    )
    yield model
    model.close()


def test_the_starters_own_template_and_vocabulary(starter_model):
    vocabulary = starter_model.vocabulary

    def encode_prompt(text):
        return vocabulary.encode(text, parse_special=True)

    end = vocabulary.find("<|im_end|>")
    template = ChatTemplate(starter_model.metadata("tokenizer.chat_template"), vocabulary.special_texts)
    subject = Labeller(template, encode_prompt, {end})
    assert subject.end_of_turn == end
    tokens = subject.label(TALK)
    assert tokens.ids == encode_prompt(template.render(TALK, add_generation_prompt=False))
    assert learned(tokens) == [[*encode_prompt("Blue."), end], [*encode_prompt("Dark red."), end]]


def test_an_answer_that_would_merge_with_the_prompt_is_encoded_by_itself(starter_model):
    vocabulary = starter_model.vocabulary

    def encode_prompt(text):
        return vocabulary.encode(text, parse_special=True)

    subject = Labeller(ChatTemplate(CHATML, {}), encode_prompt, {vocabulary.find("<|im_end|>")})
    messages = [Message("user", "Hi"), Message("assistant", "\n\nHello"), Message("user", "Bye")]
    tokens = subject.label(messages)
    prompt = encode_prompt("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    assert encode_prompt(subject._template.render(messages))[: len(prompt)] != prompt
    assert tokens.ids[: len(prompt)] == prompt
    assert learned(tokens) == [[*encode_prompt("\n\nHello"), subject.end_of_turn]]
