"""Test that files made wrong on purpose are read right all the same, and say so where that is not certain."""

import json
import lzma

import pytest
from tokenizers import Tokenizer

from converter.convert import convert
from converter.gguf_file import MetadataType, read_header
from converter.gguf_writer import boolean, numbers, string, strings, uint32
from converter.repair import repair
from engine.protocol import Chat, Load, Message, Sampling
from engine.runtime.cancellation import Cancellation
from engine.runtime.session import Session
from tests.converter.test_starter import llama_layout
from tests.helpers.checkpoints import TOKENIZER, make_phi3
from tests.helpers.fixtures import DATA, unpack_checkpoint
from tests.helpers.gguf_files import edited
from tests.helpers.other_families import CHATML, llama_like, qwen_like

FLAGS = ("phidelity.tokenizer.added_tokens", "phidelity.tokenizer.prefix")
ENDS = ("tokenizer.ggml.eot_token_id", "phidelity.tokenizer.stop_ids")
TEMPLATE = "tokenizer.chat_template"
CONVERSATIONS = [
    [("user", "Hi")],
    [
        ("system", " Be  kind.\n"),
        ("user", "\n\t Grüße 😀\u3000你好 "),
        ("assistant", "  ひらがな\n\n"),
        ("user", "\xa0 👩\u200d👧 x"),
    ],
    [("user", "a <|end|> b"), ("assistant", ""), ("user", "\r\n한국어 \u200b")],
]


def phi3_text(turns):
    """Render a conversation as the family's template does."""
    return "".join(f"<|{role}|>\n{content}<|end|>\n" for role, content in turns) + "<|assistant|>\n"


def reference_ids(turns, tokenizer):
    return tokenizer.encode(phi3_text(turns), add_special_tokens=False).ids


def session_ids(session, turns):
    return session.opened.prompts.encode([Message(role, content) for role, content in turns], 0)


@pytest.fixture(scope="module")
def mini_tokenizer():
    return Tokenizer.from_file(str(TOKENIZER / "tokenizer.json"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Make a model with Phi-3's vocabulary as small as it can be."""
    folder = make_phi3(tmp_path_factory.mktemp("small") / "model", hidden_size=32, intermediate_size=32)
    return convert(folder, folder.parent / "small.gguf", outtype="bf16").path


@pytest.fixture
def load(native_log):
    """Load a file; give the session and the notes."""
    sessions = []

    def load(path):
        sessions.append(Session(native_log))
        result = sessions[-1].load(Load(str(path)), Cancellation(), lambda fraction: None)
        return sessions[-1], {note.code: note for note in result.model.notes}

    yield load
    for session in sessions:
        session.unload()


NAME = {"general.name": string("My support bot")}
FOREIGN = {TEMPLATE: string(CHATML)}
BROKEN = {TEMPLATE: string("{% for m in messages %}")}
UNTYPED = {"tokenizer.ggml.token_type": numbers([1] * 3 + [6] * 256 + [1] * (32064 - 259), MetadataType.INT32)}
WRONG_FILES = {
    "as converted": ({}, (), {}),
    "a name without marker": (NAME, FLAGS, {}),
    "no ends of turns": ({"tokenizer.ggml.eos_token_id": uint32(2)}, (*FLAGS, *ENDS), {}),
    "no template": ({}, (*FLAGS, TEMPLATE), {"chat_template": True}),
    "a template of another family": (FOREIGN, FLAGS, {"chat_template": True}),
    "a template that is no program": (BROKEN, FLAGS, {"chat_template": False}),
    "chat tokens that are not marked as such": (UNTYPED, FLAGS, {}),
    "everything at once": ({**NAME, **FOREIGN}, (*FLAGS, *ENDS), {"chat_template": True}),
}


@pytest.mark.parametrize(("changes", "without", "expected"), WRONG_FILES.values(), ids=WRONG_FILES.keys())
def test_chats_get_the_references_ids(load, small, tmp_path, mini_tokenizer, changes, without, expected):
    session, notes = load(edited(small, tmp_path / "m.gguf", changes, without))
    assert {code: note.repairable for code, note in notes.items()} == expected
    assert all("Phi-3's own is used" in note.message for note in notes.values())
    for turns in CONVERSATIONS:
        assert session_ids(session, turns) == reference_ids(turns, mini_tokenizer)
    assert all(session.opened.model.vocabulary.is_end(token) for token in (32000, 32001, 32007))


def test_what_is_noted_as_repairable_is_cured(load, small, tmp_path):
    wrong = edited(small, tmp_path / "wrong.gguf", {**NAME, **FOREIGN}, (*FLAGS, *ENDS))
    repair(wrong, tmp_path / "repaired.gguf")
    assert load(tmp_path / "repaired.gguf")[1] == {}


def test_a_fault_of_the_weights_is_noted_with_its_cure(load, small, tmp_path):
    window = {"phi3.attention.sliding_window": uint32(100)}
    _, notes = load(edited(small, tmp_path / "m.gguf", window))
    assert notes["sliding_window"].repairable
    assert "sliding window of 100 tokens" in notes["sliding_window"].message


def test_a_tokenizer_that_splits_otherwise_is_noted(load, small, tmp_path):
    _, notes = load(edited(small, tmp_path / "m.gguf", {"tokenizer.ggml.add_space_prefix": boolean(False)}, FLAGS))
    assert not notes["tokenizer"].repairable
    assert set(notes) == {"tokenizer"}


def test_phi_3_visions_tokens_have_flags_of_their_own(load, tmp_path):
    folder = unpack_checkpoint("phi3v-tiny", tmp_path)
    made = convert(folder, tmp_path / "vision.gguf", outtype="bf16").path
    # As others convert it: the language model alone.
    session, _ = load(edited(made, tmp_path / "m.gguf", {}, (*FLAGS, "phidelity.source.architecture")))
    tokenizer = Tokenizer.from_str(lzma.decompress((DATA / "phi3v-tiny" / "tokenizer.json.xz").read_bytes()).decode())
    for turns in CONVERSATIONS:
        assert session_ids(session, turns) == reference_ids(turns, tokenizer)


def test_a_tokenizer_of_the_family_without_flags_is_noted(load, small, tmp_path):
    """Phi-4-mini has these chat tokens at other places, and nothing tells how they treat white space."""
    tokens = read_header(small).get("tokenizer.ggml.tokens").decoded()
    tokens[32001], tokens[32002] = tokens[32002], tokens[32001]
    changes = {"tokenizer.ggml.tokens": strings(tokens)}
    _, notes = load(edited(small, tmp_path / "m.gguf", changes, FLAGS))
    assert not notes["added_tokens"].repairable


@pytest.mark.parametrize("make", [llama_like, qwen_like])
def test_a_name_with_phi_3_does_not_keep_another_family_from_loading(load, tmp_path, make):
    """In llama.cpp it does: the name makes it look for tokens that the vocabulary does not have."""
    plain = make(tmp_path / "plain.gguf")
    session, notes = load(edited(plain, tmp_path / "m.gguf", {"general.name": string("My phi-3 merge")}))
    assert notes == {}
    assert session.opened.model.name == "My phi-3 merge"
    assert session_ids(session, CONVERSATIONS[1]) == session_ids(load(plain)[0], CONVERSATIONS[1])


def test_a_phi_3_vocabulary_is_known_in_the_layout_of_another_family(load, small, tmp_path, mini_tokenizer):
    vocabulary = {key: value for key, value in read_header(small).metadata.items() if key.startswith("tokenizer.")}
    path = llama_layout(tmp_path / "m.gguf", vocabulary=32064, **(vocabulary | FOREIGN))
    session, notes = load(path)
    assert {code: note.repairable for code, note in notes.items()} == {"chat_template": False}
    assert session_ids(session, CONVERSATIONS[1]) == reference_ids(CONVERSATIONS[1], mini_tokenizer)


@pytest.mark.parametrize(
    ("make", "ids", "end"),
    [
        (qwen_like, [258, *b"user\n", 256, *b" \xf0\x9f\x98\x80", 259, 10, 258, *b"assistant\n"], 259),
        (llama_like, [1, 259, 264, 267, 268, 269, 270, 265, 263], 2),
    ],
)
def test_other_families_keep_their_templates_and_get_no_note(load, tmp_path, make, ids, end):
    session, notes = load(make(tmp_path / "m.gguf"))
    assert notes == {}
    assert session_ids(session, [("user", "Hi 😀")])[: len(ids)] == ids
    assert session.opened.model.vocabulary.is_end(end)
    result = session.chat(
        Chat((Message("user", "Hi"),), Sampling(temperature=0), max_tokens=3),
        Cancellation(),
        arrived=0.0,
        on_text=lambda text, ids: None,
        on_dropped=lambda count: None,
        on_progress=lambda *progress: None,
    )
    assert result.completion_tokens <= 3
    assert json.dumps(result.text)
