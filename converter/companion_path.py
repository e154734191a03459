"""Name the files in which the picture parts of models and adapters lie."""

from pathlib import Path

SUFFIX = ".mmproj.gguf"


def companion_path(model: Path) -> Path:
    """Return where the companion of the model file `model` lies: NAME.mmproj.gguf beside NAME.gguf."""
    return model.with_name(model.name.removesuffix(".gguf") + SUFFIX)


def tuned_companion_path(adapter: Path) -> Path:
    """Return where the companion trained with an adapter lies: NAME.mmproj.gguf beside NAME.lora.gguf."""
    return adapter.with_name(adapter.name.removesuffix(".gguf").removesuffix(".lora") + SUFFIX)
