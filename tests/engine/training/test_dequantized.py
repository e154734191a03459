"""The unpacked Starter is the same model: same ids, same logits; other files are refused in words."""

import numpy as np
import pytest
from tokenizers import Tokenizer

from engine.errors import EngineError
from engine.training.base import open_base
from engine.training.dequantized import dequantized_checkpoint
from tests.helpers.gguf_files import dequantized
from tests.helpers.logits import llama_logits, reference_logits, relative_error
from tests.helpers.tokens import llama_tokens, vocabulary_of

TEXTS = (
    "Hello, it's 2024 and ½ ²³ ٣ 12345  spaces\n\n\ttabs <|im_start|>user\nHi<|im_end|>\n",
    "日本語 ünïcödé 😀 'll DON'T we've\r\n  x \u00a0 \u200b end",
    "def f(x):\n    return x ** 2  # naïve\n\n\n",
)


@pytest.fixture(scope="module")
def checkpoint(starter, starter_cache):
    return dequantized_checkpoint(starter, starter_cache)


def test_tokenizer_gives_the_ids_of_llama_cpp(starter, checkpoint):
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    with vocabulary_of(starter) as vocabulary:
        for text in TEXTS:
            assert tokenizer.encode(text, add_special_tokens=False).ids == llama_tokens(vocabulary, text, special=True)


def test_logits_are_those_of_the_file(starter, checkpoint, tmp_path):
    ids = np.random.default_rng(0).integers(10, 49000, 24).tolist()
    exact = dequantized(starter, tmp_path / "f32.gguf")
    assert relative_error(reference_logits(checkpoint, ids), llama_logits(exact, ids)) < 1e-3


def test_second_use_makes_nothing_new(starter, checkpoint, starter_cache):
    before = (checkpoint / "model.safetensors").stat().st_mtime_ns
    assert dequantized_checkpoint(starter, starter_cache) == checkpoint
    assert (checkpoint / "model.safetensors").stat().st_mtime_ns == before
    assert checkpoint.name == starter.stem and not list(starter_cache.rglob("*.part"))


def test_starter_is_a_base(starter, starter_cache):
    base = open_base("starter", starter_cache)
    assert (base.name, base.architecture, base.longrope_line) == ("Starter", "phi3", 0)
    assert base.vocabulary.stop_ids == (2,)


def test_layouts_without_an_exact_equivalent_are_refused(windowed, tiny, tmp_path):
    for path in (windowed[1], tiny[1]):
        with pytest.raises(EngineError) as failure:
            dequantized_checkpoint(path, tmp_path)
        assert failure.value.code == "model_unsupported" and "checkpoint directory" in (failure.value.remedy or "")
    assert not list(tmp_path.iterdir())
