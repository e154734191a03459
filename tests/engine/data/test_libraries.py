"""Test that the chat application does without the libraries of the training extra."""

import subprocess
import sys

import pytest

from engine.data import libraries
from engine.data.examination import CheckOptions, installed_checks
from engine.data.libraries import how_to_install, is_installed, training_library
from engine.errors import EngineError

HEAVY = ("torch", "transformers", "llama_cpp", "pyarrow", "datasketch", "scipy", "py3langid", "pypdfium2", "PySide6")


def test_importing_the_package_imports_no_heavy_library():
    script = (
        "import pkgutil, importlib, sys, engine.data, engine.commands.data\n"
        "[importlib.import_module(m.name) for m in pkgutil.iter_modules(engine.data.__path__, 'engine.data.')]\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


def test_a_missing_library_is_one_sentence():
    assert training_library("json.decoder", "Reading").JSONDecoder
    with pytest.raises(EngineError) as failure:
        training_library("phidelity_no_such.thing", "Counting stars")
    assert failure.value.code == "model_unsupported"
    assert failure.value.message == "Counting stars needs the package phidelity_no_such, which is not installed."
    assert failure.value.remedy


def test_the_remedy_suits_the_program(monkeypatch):
    assert how_to_install() == "Install the training extra."
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert how_to_install().endswith("phidelity-engine training-environment install")


def test_checks_without_their_library_are_left_out(monkeypatch):
    assert is_installed("json")
    assert not is_installed("phidelity_no_such")
    monkeypatch.setattr("engine.data.examination.is_installed", lambda package: False)
    assert installed_checks() == CheckOptions(guess_language=False, near_threshold=None)
    assert libraries.is_installed("json")
