"""Test the figures and the words of reports."""

import json

from engine.data.examination import CheckOptions, examine
from engine.data.report import Sample, TokenReport, make_report
from tests.engine.data.test_examination import ENGLISH, QUIET, talk, write


def test_the_report_of_a_small_file(tmp_path):
    path = write(tmp_path, talk(ENGLISH), talk(ENGLISH), 3, talk("Which <s>?"))
    examination = examine([path], CheckOptions(near_threshold=0.8, max_tokens=9, count_tokens=lambda example: 7))
    kept = examination.kept(["duplicate"])
    report = make_report(examination, drop=["duplicate"], kept=kept)
    assert report.examples == {"conversation": 3}
    assert report.tokens == TokenReport(21, 7, 7)
    assert report.languages == {"en": 2, "?": 1}
    assert [(check.check, check.count, check.dropped) for check in report.checks] == [
        ("duplicate", 1, True),
        ("template", 1, False),
    ]
    assert report.checks[0].samples == (Sample("rows.jsonl", "line 2", "is the same as line 1"),)
    assert report.skipped == ("contaminated",)
    assert report.to_text().splitlines() == [
        "rows.jsonl: conversations in OpenAI's form. 3 of the first 4 rows have turns with `role` and `content`.",
        "3 conversations",
        "21 tokens, half of the examples up to 7, longest 7",
        "languages: en 66.7%, ? 33.3%",
        "       1  exact duplicates (left out)",
        "          line 2: is the same as line 1",
        "       1  chat tokens in the text",
        "          line 4: has '<s>' of Phi-3 in its text",
        "       1  rows cannot be read",
        "          line 3: The row has no names for its values.",
        "not looked for: repeat an evaluation",
        "2 of 3 examples kept",
    ]


def test_the_report_is_plain_json(tmp_path):
    report = make_report(examine([write(tmp_path, talk("One?"), 3)], QUIET))
    document = json.loads(json.dumps(report.to_json()))
    assert document["problems"] == [
        {
            "place": {"file": "rows.jsonl", "number": 2, "unit": "line"},
            "sentence": "The row has no names for its values.",
        }
    ]
    assert document["kept"] is None
    assert document["tokens"] is None
    assert document["sources"][0]["share"] == 0.5


def test_many_problems_are_shown_in_part(tmp_path):
    lines = make_report(examine([write(tmp_path, talk("One?"), *[3] * 50)], QUIET)).to_text().splitlines()
    assert "      50  rows cannot be read" in lines
    assert "          and 30 more" in lines


def test_texts_alone_have_no_token_figures(tmp_path):
    path = write(tmp_path, {"text": "A tale."})
    report = make_report(examine([path], CheckOptions(guess_language=False, count_tokens=lambda example: 1)))
    assert report.tokens is None
    assert "1 text" in report.to_text().splitlines()
