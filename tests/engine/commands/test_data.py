"""Test the data commands as scripts use them: files, output, exit status."""

import json

import pytest

from engine.__main__ import main
from tests.engine.data.test_examination import ENGLISH, GERMAN, talk, write
from tests.helpers.fixtures import DATA

IDENTITY = DATA / "training" / "identity.json"


def run(capsys, *arguments):
    status = main(["data", *(str(argument) for argument in arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def questions(path):
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [row["messages"][0]["content"] for row in rows]


@pytest.fixture
def rows(tmp_path):
    faulty = talk("Which<|im_end|>?")
    return write(tmp_path, talk(ENGLISH), talk(ENGLISH), talk(f"{ENGLISH} Yes."), talk("Was?", GERMAN), faulty, 3)


def test_inspect_says_what_a_file_holds(capsys, rows):
    status, output, errors = run(capsys, "inspect", rows)
    assert (status, errors) == (0, "")
    assert output.startswith("rows.jsonl: conversations in OpenAI's form.")
    for line in (
        "5 conversations",
        "       1  exact duplicates",
        "       1  near-duplicates",
        "       1  rows cannot be read",
    ):
        assert line in output.splitlines()


def test_inspect_prints_one_json_document(capsys, rows):
    status, output, _ = run(capsys, "inspect", rows, "--json")
    document = json.loads(output)
    assert status == 0
    assert {check["check"]: check["count"] for check in document["checks"]} == {
        "duplicate": 1,
        "near-duplicate": 1,
        "template": 1,
        "language": 1,
    }
    assert document["problem_count"] == 1


def test_tokens_are_counted_with_the_starter(capsys, starter, tmp_path):
    path = write(tmp_path, talk("Hi", "Ho"), talk("word " * 300))
    document = json.loads(run(capsys, "inspect", path, "--max-tokens", 200, "--json")[1])
    assert 300 < document["tokens"]["longest"] < 360
    assert [check["check"] for check in document["checks"]] == ["too-long"]
    pairs = DATA / "training" / "oasst_trees.jsonl"
    assert json.loads(run(capsys, "inspect", pairs, "--model", "starter", "--json")[1])["tokens"]["total"] > 2000


def test_filter_leaves_out_what_is_wrong(capsys, rows, tmp_path):
    out = tmp_path / "out.jsonl"
    status, output, errors = run(capsys, "filter", rows, out)
    assert (status, errors) == (0, "")
    assert questions(out) == [ENGLISH, f"{ENGLISH} Yes.", "Was?"]
    assert output.splitlines()[-2:] == ["3 of 5 examples kept", str(out)]
    assert json.loads((tmp_path / "out.report.json").read_text("utf-8"))["kept"] == 3


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--drop", "near-duplicate"], [ENGLISH, ENGLISH, "Was?", "Which<|im_end|>?"]),
        (["--drop", "language,template"], [ENGLISH, ENGLISH, f"{ENGLISH} Yes."]),
        (["--language", "de"], ["Was?"]),
        (
            ["--drop", "duplicate,near-duplicate", "--threshold", "1"],
            [ENGLISH, f"{ENGLISH} Yes.", "Was?", "Which<|im_end|>?"],
        ),
        (["--drop", ""], [ENGLISH, ENGLISH, f"{ENGLISH} Yes.", "Was?", "Which<|im_end|>?"]),
    ],
)
def test_filter_drops_what_is_named(capsys, rows, tmp_path, options, kept):
    out = tmp_path / "out.jsonl"
    status, output, _ = run(capsys, "filter", rows, out, *options, "--json")
    assert status == 0
    assert questions(out) == kept
    document = json.loads(output)
    assert (document["path"], document["kept"]) == (str(out), len(kept))


def test_filter_leaves_out_what_is_too_long_or_repeats_an_evaluation(capsys, starter, tmp_path):
    evaluation = write(tmp_path, {"question": ENGLISH}, name="test.jsonl")
    path = write(tmp_path, talk("Hi", "Ho"), talk("word " * 300), talk(f"Say: {ENGLISH}"))
    status, _, _ = run(capsys, "filter", path, tmp_path / "out.jsonl", "--max-tokens", 200, "--against", evaluation)
    assert status == 0
    assert questions(tmp_path / "out.jsonl") == ["Hi"]


def test_dedup_keeps_each_example_once(capsys, rows, tmp_path):
    out = tmp_path / "out.jsonl"
    assert run(capsys, "dedup", rows, out)[0] == 0
    assert questions(out) == [ENGLISH, "Was?", "Which<|im_end|>?"]
    assert run(capsys, "dedup", IDENTITY, out, "--threshold", 0.8)[0] == 0
    assert 50 <= len(questions(out)) <= 60


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["inspect", "{tmp}/none.jsonl"], 3),
        (["inspect", "{tmp}/empty.jsonl"], 3),
        (["inspect", "{tmp}/other.jsonl"], 3),
        (["filter", "{tmp}/rows.jsonl", "{tmp}/none/out.jsonl"], 2),
        (["filter", "{tmp}/rows.jsonl", "{tmp}/rows.jsonl"], 2),
        (["filter", "{tmp}/rows.jsonl", "{tmp}/out.jsonl", "--drop", "bad"], 2),
        (["filter", "{tmp}/rows.jsonl", "{tmp}/out.jsonl", "--drop", "too-long"], 2),
        (["filter", "{tmp}/rows.jsonl", "{tmp}/out.jsonl", "--drop", "contaminated"], 2),
        (["filter", "{tmp}/rows.jsonl", "{tmp}/out.jsonl", "--max-tokens", "-1"], 2),
        (["filter", "{tmp}/rows.jsonl", "{tmp}/out.jsonl", "--against", "{tmp}/none.jsonl"], 3),
        (["filter", "{tmp}/rows.jsonl", "{tmp}/out.jsonl", "--language", "xx"], 3),
        (["inspect", "{tmp}/rows.jsonl", "--model", "no such model"], 3),
        (["dedup", "{tmp}/rows.jsonl", "{tmp}/out.jsonl", "--threshold", "0"], 2),
        (["dedup", "{tmp}/rows.jsonl", "{tmp}/out.jsonl", "--threshold", "2"], 2),
    ],
)
def test_bad_input_gives_one_line_and_a_status_and_no_file(capsys, tmp_path, arguments, expected):
    before = write(tmp_path, talk(ENGLISH)).read_bytes()
    write(tmp_path, name="empty.jsonl")
    write(tmp_path, {"a": 1}, name="other.jsonl")
    status, output, errors = run(capsys, *(argument.format(tmp=tmp_path) for argument in arguments))
    assert (status, output) == (expected, "")
    assert errors.startswith("engine: ")
    assert errors.count("\n") == 1
    assert (tmp_path / "rows.jsonl").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.jsonl", "other.jsonl", "rows.jsonl"]


@pytest.mark.parametrize("arguments", [["data"], ["data", "fly"], ["data", "dedup", "x"], ["data", "inspect"]])
def test_wrong_usage_gives_one_line_and_2(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_interrupt_key_gives_130_and_leaves_nothing(capsys, rows, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.data.output._row", interrupted)
    assert run(capsys, "filter", rows, tmp_path / "out.jsonl")[0] == 130
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_synthesize_writes_what_a_model_makes_of_examples(capsys, starter, tmp_path):
    source, out = tmp_path / "camels.txt", tmp_path / "new.jsonl"
    source.write_text(ENGLISH)
    arguments = ["synthesize", source, out, "--model", "starter", "--count", 1, "--temperature", 0.2, "--json"]
    status, output, errors = run(capsys, *arguments)
    assert (status, errors) == (0, "")
    document = json.loads(output)
    assert (document["path"], document["examples"]) == (str(out), 1)
    [row] = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
    assert all(turn["content"] for turn in row["messages"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--count", "0"], 2),
        (["--temperature", "-1"], 2),
        (["--model", "no such model"], 3),
        (["--max-tokens", "1"], 3),
    ],
)
def test_synthesize_that_cannot_work_gives_one_line(capsys, starter, tmp_path, options, expected):
    source = write(tmp_path, talk(ENGLISH))
    arguments = ["synthesize", source, tmp_path / "new.jsonl", "--model", "starter", "--count", 1, *options]
    status, output, errors = run(capsys, *arguments)
    assert (status, output) == (expected, "")
    assert errors.startswith("engine: ")
    assert errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_an_interrupted_synthesis_keeps_what_is_made(capsys, starter, tmp_path, monkeypatch):
    def examples(synthesis):
        yield synthesis.seeds[0]
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.data.synthesis.Synthesis.examples", examples)
    out = tmp_path / "new.jsonl"
    arguments = ["synthesize", write(tmp_path, talk(ENGLISH)), out, "--model", "starter"]
    assert run(capsys, *arguments)[0] == 130
    assert questions(out) == [ENGLISH]
