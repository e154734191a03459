"""Turn what llama.cpp logs when it cannot load a model into a known error."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.errors import EngineError

_AGAIN = "Get the file again, or convert the checkpoint again."
_OTHER_MODEL = "Choose another model."
_LESS_MEMORY = "Close other programs, or choose a smaller context or a smaller model."

# The first pattern that matches a line decides; groups go into the sentence.
_CAUSES: tuple[tuple[str, str, str, str], ...] = (
    (r"un(?:known|supported) model architecture: '([^']*)'", "model_unsupported",
     "The engine does not know the architecture {0!r}.", _OTHER_MODEL),
    (r"unknown (?:pre-tokenizer type|tokenizer)(?: type)?: '([^']*)'", "model_unsupported",
     "The engine does not know the tokenizer {0!r}.", _OTHER_MODEL),
    (r"(?:failed|unable) to allocate|out of memory|bad_alloc", "out_of_memory",
     "There is not enough memory for this model.", _LESS_MEMORY),
    (r"(?:missing tensor '([^']*)'|tensor '([^']*)' not found)", "model_invalid",
     "The model lacks the weights {0!r}.", _AGAIN),
    (r"tensor '([^']*)' has wrong shape", "model_invalid",
     "The weights {0!r} do not have the shape that the file announces.", _AGAIN),
    (r"wrong number of tensors", "model_invalid", "The model has other weights than its architecture.", _AGAIN),
    (r"tensor '([^']*)' data is not within the file bounds", "model_invalid",
     "The file is incomplete: the weights {0!r} are cut off.", _AGAIN),
    (r"key (\S+) has wrong", "model_invalid", "The file's setting {0!r} has the wrong type.", _AGAIN),
    (r"key not found in model: (\S+)", "model_invalid", "The file lacks the setting {0!r}.", _AGAIN),
)  # fmt: skip


def explain_load_failure(file_name: str, problems: Sequence[str]) -> EngineError:
    """Give the plain cause among the logged problems, and the problems themselves as details."""
    details = "\n".join(problems) or None
    for line in problems:
        for pattern, code, sentence, remedy in _CAUSES:
            if match := re.search(pattern, line):
                return EngineError(code, sentence.format(*filter(None, match.groups())), remedy, details)
    return EngineError("model_invalid", f"{file_name} cannot be loaded; it may be damaged.", _AGAIN, details)
