"""Guess the language of texts, with a model that comes in the library's package."""

from __future__ import annotations

from engine.data.example import Example
from engine.data.libraries import training_library

UNSURE = "?"

_MOST_CHARACTERS = 2000
_FEWEST_LETTERS = 20
_CONFIDENCE = 0.8


class LanguageGuesser:
    """Hold the model, which takes a second to load."""

    def __init__(self) -> None:
        """Load it; raises EngineError `model_unsupported` when the library is missing."""
        langid = training_library("py3langid.langid", "Telling languages apart")
        self._identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)

    def guess(self, example: Example) -> str:
        """Give the code of an example's language (ISO 639-1), `?` where it is too short or too mixed to tell."""
        text = " ".join(example.texts())[:_MOST_CHARACTERS]
        if sum(character.isalpha() for character in text) < _FEWEST_LETTERS:
            return UNSURE
        language, confidence = self._identifier.classify(text)
        return str(language) if confidence >= _CONFIDENCE else UNSURE
