"""Check that requests and answers read back as they were written."""

import pytest

from engine.training.preview_protocol import (
    CheckCount,
    CountKept,
    DataSummary,
    DataWritten,
    KeptCount,
    PreviewFailed,
    PreviewProgress,
    Problem,
    ReadData,
    ShowTokens,
    TokenRow,
    TokenRows,
    WriteData,
    decode_answer,
    decode_request,
    encode,
)

REQUESTS = [
    ReadData(["a.jsonl", "ordner/ü.csv"], "starter", 512, "cache", "models", 16),
    CountKept(["duplicate"]),
    ShowTokens([], "lora", 512, 3, 3),
    WriteData(["empty"], "out.jsonl"),
]
ANSWERS = [
    PreviewProgress("read", "a.jsonl", 3, 10),
    DataSummary(
        "conversations",
        "All rows have turns.",
        {"conversation": 3},
        1,
        [Problem("a.jsonl", "line 4", "It has no answer.")],
        [CheckCount("duplicate", 2, [Problem("a.jsonl", "line 2", "is the same as line 1")])],
        90,
        30,
        40,
        ["language"],
    ),
    KeptCount(2),
    TokenRows(0, 2, [TokenRow([("Hi\n", False), ("there", True)]), TokenRow([], "Nothing is learned.")]),
    DataWritten("out.jsonl", 2),
    PreviewFailed("input_invalid", "There is no such file.", None),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_requests_read_back(request_):
    line = encode(request_)
    assert "\n" not in line
    assert decode_request(line) == request_


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_read_back(answer):
    line = encode(answer)
    assert "\n" not in line
    assert decode_answer(line) == answer


def test_a_summary_counts_its_examples():
    assert DataSummary("", "", {"conversation": 3, "text": 2}).examples == 5


@pytest.mark.parametrize("line", ["", "{", "[]", "{}", '{"is":"fly"}', '{"is":"read"}', '{"is":"kept","what":1}'])
def test_what_is_no_request_is_refused(line):
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        decode_request(line)
