"""Test where the picture parts of models and adapters lie."""

from pathlib import Path

from converter.companion_path import companion_path, tuned_companion_path


def test_picture_parts_lie_beside_what_they_belong_to():
    assert companion_path(Path("m/Phi-Q8_0.gguf")) == Path("m/Phi-Q8_0.mmproj.gguf")
    assert tuned_companion_path(Path("m/boats.lora.gguf")) == Path("m/boats.mmproj.gguf")
    assert tuned_companion_path(Path("m/boats.gguf")) == Path("m/boats.mmproj.gguf")
