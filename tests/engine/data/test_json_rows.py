"""Test that rows come out of JSON however it is written, and that damage costs only the rows it hits."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data import json_rows as module
from engine.data.example import RowError
from engine.data.json_rows import json_rows

ROWS = [{"text": "one\n{"}, {"text": 'two "[', "n": [1, {"a": None}]}, {"text": "drei ü"}]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=4), VALUES, min_size=1, max_size=4), max_size=6)


def read(text):
    """Give rows with their numbers, errors as their sentences."""
    return [(number, str(row) if isinstance(row, RowError) else row) for number, row in json_rows(io.StringIO(text))]


def rows(text):
    return [row for _, row in read(text)]


WRITERS = {
    "lines": lambda values: "".join(json.dumps(value) + "\n" for value in values),
    "lines without the last break": lambda values: "\n".join(json.dumps(value) for value in values),
    "array": json.dumps,
    "indented array": lambda values: json.dumps(values, indent=2),
    "objects over several lines": lambda values: "\n".join(json.dumps(value, indent=1) for value in values),
    "array with a comma too many": lambda values: "[" + "".join(json.dumps(value) + ",\n" for value in values) + "]",
    "lines with commas": lambda values: "".join(json.dumps(value) + ",\n" for value in values),
    "object that holds the array": lambda values: json.dumps({"version": 1, "data": values}),
    "indented object that holds the array": lambda values: json.dumps({"data": values}, indent=2),
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS.keys())
@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_rows_are_read_however_they_are_written(monkeypatch, writer, chunk):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    assert rows(writer(ROWS)) == ROWS


@settings(max_examples=60, deadline=None)
@given(OBJECTS, st.sampled_from(["lines", "array", "indented array", "objects over several lines"]))
def test_any_values_come_back(values, writer):
    read_back = rows(WRITERS[writer](values))
    if not any(name in value for value in values for name in module._ROW_LISTS):
        assert read_back == values


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from('{}[]",:\\ntrue1. \n'), max_size=30))
def test_no_text_breaks_the_reader(text):
    for number, _ in json_rows(io.StringIO(text)):
        assert 1 <= number <= text.count("\n") + 1


def test_rows_know_their_lines():
    assert [number for number, _ in read(WRITERS["lines"](ROWS))] == [1, 2, 3]
    assert [number for number, _ in read("\n\n" + WRITERS["lines"](ROWS))] == [3, 4, 5]
    assert [number for number, _ in read('[\n{"a":\n1},\n\n{"b": 2}\n]')] == [2, 5]


def test_a_damaged_line_costs_only_itself():
    found = read('{"a": 1}\n{"a": \n{"a": 3}\n')
    assert found[0] == (1, {"a": 1})
    assert found[1] == (2, "The row is no valid JSON: Expecting value (character 6).")
    assert found[2] == (3, {"a": 3})


def test_a_last_line_that_is_half_written_is_called_so():
    assert read('{"a": 1}\n{"a": "hal') == [(1, {"a": 1}), (2, "The last line is cut off.")]


def test_a_file_that_is_cut_off_keeps_the_rows_before():
    text = json.dumps(ROWS, indent=2)
    found = read(text[: text.index("drei")])
    assert [row for _, row in found[:2]] == ROWS[:2]
    assert found[2][1] == "The file is cut off in this row."
    assert len(found) == 3


def test_a_damaged_element_costs_only_itself():
    text = json.dumps(ROWS, indent=2).replace('"two', "two")
    found = read(text)
    assert [found[0][1], found[2][1]] == [ROWS[0], ROWS[2]]
    assert found[1][1].startswith("The row is no valid JSON: Expecting value (line 6)")
    assert len(found) == 3


def test_damage_in_a_single_line_hides_what_follows_and_says_so():
    found = rows('[{"a": 1}, {"a": oops, "b": "a long text"}, {"a": 3}]')
    assert found == [{"a": 1}, "The row is no valid JSON: Expecting value (line 1). Nothing after it is read."]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "1" * 10_000 + "}", "number that is too long"),
        ('{"a": "\t"}', "Invalid control character"),
    ],
)
def test_hostile_rows_are_problems(line, sentence):
    found = rows('{"a": 1}\n' + line + "\n" + '{"a": 2}\n')
    assert found[0] == {"a": 1}
    assert sentence in found[1]
    assert found[2] == {"a": 2}


def test_lines_without_end_are_not_kept(monkeypatch):
    monkeypatch.setattr(module, "MOST_CHARACTERS", 100)
    found = rows('{"a": 1}\n{"a": "' + "x" * 450 + '"}\n{"a": 2}\n')
    assert found == [{"a": 1}, "The line is too long.", {"a": 2}]
    monkeypatch.setattr(module, "_CHUNK", 50)
    assert rows('[{"a": "' + "x" * 450 + '"},\n{"a": 2}]') == ["The row is too long.", {"a": 2}]
