"""Test the guess at the language of an example."""

import pytest

from engine.data.example import Example, Place
from engine.data.languages import UNSURE, LanguageGuesser
from engine.protocol import Message


@pytest.fixture(scope="module")
def guesser():
    return LanguageGuesser()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Camels use the fat in their humps to keep them filled with energy for long periods of time.", "en"),
        ("Kamele nutzen das Fett in ihren Höckern, um lange Zeit ohne Nahrung auszukommen.", "de"),
        ("Les chameaux utilisent la graisse de leurs bosses pour tenir longtemps sans manger.", "fr"),
        ("骆驼利用驼峰中的脂肪来长时间保持能量，因此它们可以在沙漠中长时间不吃不喝地生存。", "zh"),
        ("2 + 2 = 4", UNSURE),
        ("Hi", UNSURE),
        ("", UNSURE),
    ],
)
def test_languages(guesser, text, language):
    assert guesser.guess(Example(Place("f", 1), text=text)) == language
    assert guesser.guess(Example(Place("f", 1), (Message("user", text), Message("assistant", text)))) == language
