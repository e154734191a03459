"""Check what Windows shows of the programs."""

import ast
from pathlib import Path

import pytest

from engine.version import VERSION
from release.windows.version_resource import DESCRIPTIONS, version_numbers, write_version_resource


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("0.1.0", (0, 1, 0, 0)), ("12.34", (12, 34, 0, 0)), ("1.2.3rc4", (1, 2, 3, 0)), ("1.2.3.4", (1, 2, 3, 4))],
)
def test_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert version_numbers(version) == numbers


def test_what_is_no_version_is_refused() -> None:
    with pytest.raises(ValueError, match="'next' is no version"):
        version_numbers("next")


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_the_resource_is_an_expression_with_this_version(name: str, tmp_path: Path) -> None:
    text = Path(write_version_resource(name, tmp_path / "new" / "resource")).read_text("utf-8")
    calls = [node for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Call)]
    assert {call.func.id for call in calls} == {
        "VSVersionInfo", "FixedFileInfo", "StringFileInfo", "StringTable", "StringStruct", "VarFileInfo", "VarStruct",
    }  # fmt: skip
    strings = {call.args[0].value: call.args[1].value for call in calls if call.func.id == "StringStruct"}
    assert strings["ProductVersion"] == strings["FileVersion"] == VERSION
    assert strings["OriginalFilename"] == f"{name}.exe"
    (fixed,) = (call for call in calls if call.func.id == "FixedFileInfo")
    assert {word.arg: ast.literal_eval(word.value) for word in fixed.keywords}["filevers"] == version_numbers(VERSION)
