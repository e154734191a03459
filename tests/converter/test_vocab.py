"""Test vocabularies: the ids llama.cpp gives with them equal the reference's."""

import json
import shutil

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from converter.checkpoint import Checkpoint
from converter.errors import ConversionError
from converter.ggml_types import file_type
from converter.gguf_stream import write_gguf
from converter.gguf_writer import uint32
from converter.metadata import general_metadata, general_name, marker_wanted, vocabulary_metadata
from converter.vocab import PHI3_TEMPLATE, load_vocabulary
from converter.vocab_pieces import BYTE, CONTROL, NORMAL, SPLIT_PATTERNS, UNUSED, USER_DEFINED, AddedToken
from tests.helpers.checkpoints import TOKENIZER, VOCABULARY
from tests.helpers.tokens import llama_tokens, vocabulary_of

LINES = (TOKENIZER / "lines.inp").read_text("utf-8").split("\n__ggml_vocab_test__\n")[:-1]
LINE_IDS = [[int(number) for number in line.split()] for line in (TOKENIZER / "lines.out").read_text().split("\n")[:-1]]
CHAT = "<|system|>\nBe  kind.<|end|>\n<|user|>\n Grüße 😀 你好<|end|>\n\n<|assistant|>\n  Hi<|end|>\n"


def make_checkpoint(folder, *files, **config):
    """Make a directory with a configuration, tokenizer files and no usable weights."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "phi3", "vocab_size": VOCABULARY, **config}))
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    for name in files:
        shutil.copy(TOKENIZER / name, folder / name)
    return folder


def vocabulary_file(folder, size=VOCABULARY):
    """Write a GGUF file with the vocabulary of a checkpoint and nothing else."""
    vocabulary = load_vocabulary(Checkpoint(folder), size)
    metadata = general_metadata("phi3", folder.name, file_type("f32"), vocabulary) | vocabulary_metadata(vocabulary)
    out = folder / "vocabulary.gguf"
    write_gguf(out, metadata | {"phi3.vocab_size": uint32(size)}, [])
    return out


ROUTES = {
    "sentencepiece": ("tokenizer.model", "tokenizer_config.json", "added_tokens.json"),
    "tokenizer.json alone": ("tokenizer.json", "tokenizer_config.json"),
    "both": ("tokenizer.model", "tokenizer.json", "tokenizer_config.json"),
}


@pytest.mark.parametrize("files", ROUTES.values(), ids=ROUTES.keys())
def test_all_46_lines_get_the_expected_ids(tmp_path, files):
    path = vocabulary_file(make_checkpoint(tmp_path / "model", *files))
    assert len(LINES) == 46
    with vocabulary_of(path) as vocabulary:
        for line, ids in zip(LINES, LINE_IDS, strict=True):
            assert llama_tokens(vocabulary, line) == ids, repr(line)


@pytest.mark.parametrize("files", ROUTES.values(), ids=ROUTES.keys())
def test_a_chat_gets_the_ids_of_the_reference_in_other_programs_too(tmp_path, files):
    reference = Tokenizer.from_file(str(TOKENIZER / "tokenizer.json"))
    with vocabulary_of(vocabulary_file(make_checkpoint(tmp_path / "My support bot", *files))) as vocabulary:
        assert llama_tokens(vocabulary, CHAT, special=True) == reference.encode(CHAT, add_special_tokens=False).ids


def test_types_flags_and_stops_of_phi3(tmp_path):
    folder = make_checkpoint(tmp_path / "model", *ROUTES["both"], eos_token_id=32000)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [32000, 32001, 32007]}))
    vocabulary = load_vocabulary(Checkpoint(folder), VOCABULARY)
    assert vocabulary.model == "llama" and vocabulary.prefix == "always" and vocabulary.add_bos
    kinds = {0: CONTROL, 2: USER_DEFINED, 3: BYTE, 260: NORMAL, 32007: CONTROL, 32063: UNUSED}
    assert {number: vocabulary.types[number] for number in kinds} == kinds
    assert vocabulary.tokens[32007] == "<|end|>" and vocabulary.tokens[32063] == "[PAD32063]"
    assert vocabulary.special_ids == {"bos": 1, "eos": 32000, "eot": 32007, "unknown": 0, "padding": 32000}
    assert vocabulary.stop_ids == (32000, 32001, 32007)
    flags = {token.content: token for token in vocabulary.added_tokens}
    assert flags["<|end|>"] == AddedToken(32007, "<|end|>", rstrip=True, special=True)
    assert flags["</s>"] == AddedToken(2, "</s>", rstrip=True, special=False)


def test_stops_of_phi3_are_known_without_a_generation_config(tmp_path):
    folder = make_checkpoint(tmp_path / "model", *ROUTES["both"])
    assert load_vocabulary(Checkpoint(folder), VOCABULARY).stop_ids == (32000, 32001, 32007)


def test_the_template_file_wins_over_the_settings(tmp_path):
    folder = make_checkpoint(tmp_path / "model", *ROUTES["both"])
    (folder / "chat_template.jinja").write_text("{{ 'file' }}")
    assert load_vocabulary(Checkpoint(folder), VOCABULARY).chat_template == "{{ 'file' }}"


def test_a_list_of_templates_gives_the_default_one(tmp_path):
    folder = make_checkpoint(tmp_path / "model", "tokenizer.json")
    templates = [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": templates}))
    assert load_vocabulary(Checkpoint(folder), VOCABULARY).chat_template == "d"


def test_a_phi3_vocabulary_without_template_gets_the_familys_and_says_so(tmp_path):
    vocabulary = load_vocabulary(Checkpoint(make_checkpoint(tmp_path / "model", "tokenizer.json")), VOCABULARY)
    assert vocabulary.chat_template == PHI3_TEMPLATE
    assert "template" in vocabulary.warnings[0]


def test_a_space_only_at_the_beginning_is_remembered(tmp_path):
    folder = make_checkpoint(tmp_path / "model", "tokenizer.json")
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    tokenizer["normalizer"] = None
    tokenizer["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert load_vocabulary(Checkpoint(folder), VOCABULARY).prefix == "first"
    with vocabulary_of(vocabulary_file(folder)) as vocabulary:
        reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
        assert llama_tokens(vocabulary, CHAT, special=True) == reference.encode(CHAT, add_special_tokens=False).ids


def test_tokens_beyond_the_embeddings_are_left_out_with_a_warning(tmp_path):
    vocabulary = load_vocabulary(Checkpoint(make_checkpoint(tmp_path / "model", "tokenizer.json")), 32005)
    assert len(vocabulary.tokens) == 32005
    assert "<|end|>" in vocabulary.warnings[0]


def test_no_tokenizer_is_none(tmp_path):
    assert load_vocabulary(Checkpoint(make_checkpoint(tmp_path / "model")), 8) is None


def test_a_token_twice_is_refused(tmp_path):
    folder = make_checkpoint(tmp_path / "model", "tokenizer.json")
    (folder / "added_tokens.json").write_text(json.dumps({"▁the": 32050}))
    with pytest.raises(ConversionError, match="twice"):
        load_vocabulary(Checkpoint(folder), VOCABULARY)


def test_a_damaged_sentencepiece_model_is_named(tmp_path, capfd):
    folder = make_checkpoint(tmp_path / "model")
    (folder / "tokenizer.model").write_bytes(b"nonsense")
    with pytest.raises(ConversionError, match=r"tokenizer\.model is damaged"):
        load_vocabulary(Checkpoint(folder), VOCABULARY)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", {"model": {"type": "BPE", "byte_fallback": True, "vocab": {"a": "x"}, "merges": []}}),
        ("tokenizer.json", {"model": {"type": "BPE", "vocab": {}, "merges": [5]}}),
        ("tokenizer.json", {"model": [], "added_tokens": 3}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": {}}}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"5": 1}}),
        ("added_tokens.json", {"<x>": "y"}),
        ("generation_config.json", {"eos_token_id": ["x"]}),
    ],
)
def test_damaged_tokenizer_files_are_a_plain_error(tmp_path, name, content):
    folder = make_checkpoint(tmp_path / "model", "tokenizer.model")
    (folder / name).write_text(json.dumps(content))
    with pytest.raises(ConversionError, match="tokenizer") as caught:
        load_vocabulary(Checkpoint(folder), VOCABULARY)
    assert caught.value.code in ("model_invalid", "model_unsupported")


def test_an_encoding_that_scores_cannot_express_is_refused(tmp_path):
    folder = make_checkpoint(tmp_path / "model", "tokenizer.json")
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    del tokenizer["model"]["merges"][1000]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ConversionError, match="cannot be expressed"):
        load_vocabulary(Checkpoint(folder), VOCABULARY)


BYTE_LEVEL_SPLITS = {
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
}


def _split(name):
    from tokenizers import Regex

    if name in BYTE_LEVEL_SPLITS:
        return BYTE_LEVEL_SPLITS[name]
    pattern = next(pattern for pattern, pre in SPLIT_PATTERNS.items() if pre == name)
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


@pytest.mark.parametrize("name", ["gpt-2", "smollm", *SPLIT_PATTERNS.values()])
def test_byte_level_vocabularies_get_the_ids_of_the_reference(tmp_path, name):
    """Phi-4 splits like `dbrx`, Phi-4-mini like GPT-4o; their patterns are tested with a small trained vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _split(name)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    folder = make_checkpoint(tmp_path / "model")
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = load_vocabulary(Checkpoint(folder), 610)
    assert (vocabulary.model, vocabulary.pre, vocabulary.special_ids["eot"]) == ("gpt2", name, 1)
    with vocabulary_of(vocabulary_file(folder, 610)) as loaded:
        for line in LINES:
            assert llama_tokens(loaded, line) == tokenizer.encode(line).ids, repr(line)


def test_an_unknown_split_pattern_is_refused(tmp_path):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("x", "isolated"), pre_tokenizers.ByteLevel(use_regex=False)]
    )
    folder = make_checkpoint(tmp_path / "model")
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(ConversionError, match="unknown pattern"):
        load_vocabulary(Checkpoint(folder), 10)


PHI3_TOKENS = {"<unk>", "<s>", "</s>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"}


def _added(**rstrip):
    return tuple(AddedToken(number, f"<|{name}|>", rstrip=flag) for number, (name, flag) in enumerate(rstrip.items()))


def test_the_marker_is_wanted_where_the_chat_tokens_swallow_white_space():
    assert marker_wanted(PHI3_TOKENS, None)
    assert marker_wanted(PHI3_TOKENS, _added(user=True, assistant=True, system=True, end=True))
    assert not marker_wanted(PHI3_TOKENS, _added(user=False, assistant=True, system=False, end=False))
    assert not marker_wanted(PHI3_TOKENS - {"</s>"}, None)


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("My support bot", True, "My support bot (Phi-3)"),
        ("Phi-3-mini", True, "Phi-3-mini"),
        ("phi3 tuned", True, "phi3 tuned"),
        ("Phi-3-small", False, "Phi 3-small"),
        ("Starter", False, "Starter"),
    ],
)
def test_names_carry_the_marker_exactly_where_it_is_wanted(name, wanted, expected):
    assert general_name(name, wanted) == expected
