"""Test that llama.cpp's messages become causes in plain words."""

import pytest

from engine.runtime.load_failure import explain_load_failure


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("llama_model_load: error loading model: unknown model architecture: 'x'", "model_unsupported", "'x'"),
        ("error loading model vocabulary: unknown pre-tokenizer type: 'y'", "model_unsupported", "'y'"),
        ("ggml_backend_cpu_buffer: failed to allocate buffer of size 9", "out_of_memory", "memory"),
        ("llama_model_load: error loading model: missing tensor 'output.weight'", "model_invalid", "'output.weight'"),
        ("key not found in model: phi3.context_length", "model_invalid", "'phi3.context_length'"),
        ("something else", "model_invalid", "m.gguf"),
    ],
)
def test_causes(line, code, words):
    error = explain_load_failure("m.gguf", ["a harmless warning", line])
    assert error.code == code
    assert words in error.message
    assert error.remedy
    assert line in error.details
