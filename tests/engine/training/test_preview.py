"""Check what the preview says about data, and that its process answers over pipes."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from engine.launch import child_environment, python_command
from engine.training.preview import Preview
from engine.training.preview_protocol import (
    CountKept,
    DataSummary,
    DataWritten,
    KeptCount,
    PreviewFailed,
    PreviewProgress,
    ReadData,
    ShowTokens,
    TokenRows,
    WriteData,
    decode_answer,
    encode,
)
from tests.engine.training.conftest import conversation_rows, preference_rows
from tests.engine.training.vision_runs import ANSWERS, pair_rows


@pytest.fixture
def asked(tiny, tmp_path):
    """Answer requests in this process and give the answers without progress."""
    answers = []
    preview = Preview(answers.append)

    def ask(*requests):
        answers.clear()
        for request in requests:
            preview.answer(request)
        return [answer for answer in answers if not isinstance(answer, PreviewProgress)]

    ask.read = lambda *paths, **options: ReadData(
        [str(path) for path in paths], str(tiny[0]), options.get("max_length", 512), str(tmp_path / "cache")
    )
    return ask


@pytest.fixture
def mixed(tmp_path):
    """Give a file with a duplicate, a row that cannot be read, an empty answer and a long one."""
    rows = conversation_rows(4)
    empty = {"messages": [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": " "}]}
    long = {"messages": [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "one two " * 300}]}
    lines = [json.dumps(row) for row in (*rows, rows[0], empty, long)]
    path = tmp_path / "mixed.jsonl"
    path.write_text("\n".join([*lines, '{"messages": 7}']) + "\n", "utf-8")
    return path


def test_data_is_summed_up(asked, mixed):
    [summary] = asked(asked.read(mixed))
    assert isinstance(summary, DataSummary)
    assert "conversations" in summary.words
    assert summary.kinds == {"conversation": 7}
    assert (summary.problem_count, summary.problems[0].place) == (1, "line 8")
    counts = {check.check: check.count for check in summary.checks}
    assert counts["duplicate"] == 1
    assert counts["empty"] == 1
    assert counts["too-long"] == 1
    assert summary.tokens > summary.longest > 512


def test_kept_examples_depend_on_what_is_dropped(asked, mixed):
    asked(asked.read(mixed))
    assert asked(CountKept([])) == [KeptCount(7)]
    assert asked(CountKept(["duplicate"])) == [KeptCount(6)]
    assert asked(CountKept(["duplicate", "empty", "too-long"])) == [KeptCount(4)]


def test_tokens_show_that_only_the_answer_is_learned(asked, mixed):
    asked(asked.read(mixed))
    [rows] = asked(ShowTokens(["duplicate"], "lora", 512, 1, 2))
    assert isinstance(rows, TokenRows)
    assert (rows.start, rows.total, len(rows.rows)) == (1, 6, 2)
    learned = "".join(text for text, is_learned in rows.rows[0].pieces if is_learned)
    read = "".join(text for text, is_learned in rows.rows[0].pieces if not is_learned)
    assert learned.replace(" ", "").startswith("Arr!Ariver,matey!<|end|>")
    assert "Name 1 river." in read


def test_a_row_that_the_method_cannot_use_says_why(asked, mixed):
    asked(asked.read(mixed))
    [rows] = asked(ShowTokens([], "dpo", 512, 0, 1))
    assert "preferences" in rows.rows[0].problem
    assert rows.rows[0].pieces == ()


def test_of_a_preference_the_better_answer_is_shown(asked, write_rows):
    asked(asked.read(write_rows(preference_rows(3))))
    [rows] = asked(ShowTokens([], "dpo", 512, 0, 1))
    learned = "".join(text for text, is_learned in rows.rows[0].pieces if is_learned)
    assert learned.replace(" ", "").startswith("Yes.<|end|>")


def test_what_is_kept_is_written(asked, mixed, tmp_path):
    asked(asked.read(mixed))
    out = tmp_path / "out.jsonl"
    assert asked(WriteData(["duplicate", "empty", "too-long"], str(out))) == [DataWritten(str(out), 4)]
    assert len(out.read_text("utf-8").splitlines()) == 4


def test_pictures_of_the_programs_own_folder_go_along(asked, vision_checkpoint, tmp_path):
    own = tmp_path / "datasets"
    own.mkdir()
    rows = pair_rows()
    shutil.copy(rows[0]["images"][0], own / "mine.png")
    rows[0]["images"] = ["mine.png"]
    (own / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    asked(replace(asked.read(own / "chats.jsonl", max_length=1024), base=str(vision_checkpoint)))
    out = tmp_path / "run" / "data.jsonl"
    out.parent.mkdir()
    assert asked(WriteData([], str(out), str(own))) == [DataWritten(str(out), 2)]
    shutil.rmtree(own)
    mine, other = (json.loads(line)["images"] for line in out.read_text("utf-8").splitlines())
    assert mine == ["data-pictures/mine.png"] and (out.parent / mine[0]).is_file()
    assert other == rows[1]["images"]


def test_nothing_left_is_refused(asked, write_rows, tmp_path):
    rows = [{"messages": [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": ""}]}]
    asked(asked.read(write_rows(rows)))
    [failed] = asked(WriteData(["empty"], str(tmp_path / "out.jsonl")))
    assert isinstance(failed, PreviewFailed)
    assert failed.code == "input_invalid"
    assert not (tmp_path / "out.jsonl").exists()


def test_faults_are_answers(asked, tmp_path, mixed):
    [missing] = asked(asked.read(tmp_path / "none.jsonl"))
    assert (missing.code, "none.jsonl" in missing.message) == ("input_invalid", True)
    [too_early] = asked(CountKept([]))
    assert too_early.code == "bad_request"
    [no_base] = asked(ReadData([str(mixed)], str(tmp_path), 512, str(tmp_path)))
    assert isinstance(no_base, PreviewFailed)


def test_the_process_answers_until_its_input_ends(tiny, tmp_path, mixed):
    requests = [ReadData([str(mixed)], str(tiny[0]), 512, str(tmp_path)), CountKept(["duplicate"])]
    lines = ["no request", *map(encode, requests)]
    done = subprocess.run(
        python_command("engine.training.preview"),
        input="\n".join(lines) + "\n",
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [decode_answer(line) for line in done.stdout.splitlines()]
    assert isinstance(answers[0], PreviewFailed)
    assert answers[1] == PreviewProgress("base")
    assert isinstance(answers[-2], DataSummary)
    assert answers[-1] == KeptCount(6)


def test_the_window_can_speak_to_it_without_its_libraries():
    code = "import sys, engine.training.preview_protocol, engine.training.settings; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=child_environment(), capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_rows_with_pictures_are_shown_as_a_vision_model_learns_them(asked, vision_checkpoint, tmp_path):
    rows = pair_rows()
    (tmp_path / "junk.png").write_bytes(b"no picture")
    rows.append({**rows[0], "images": [str(tmp_path / "junk.png")]})
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    [summary, shown] = asked(
        replace(asked.read(path, max_length=1024), base=str(vision_checkpoint)), ShowTokens([], "lora", 1024, 0, 3)
    )
    assert summary.longest > 757
    assert [[text for text, learned in row.pieces if learned] for row in shown.rows[:2]] == [
        [f" {answer}<|end|>"] for answer in ANSWERS[:2]
    ]
    assert "junk.png" in shown.rows[2].problem


def test_finer_pictures_make_longer_rows(asked, vision_checkpoint, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in pair_rows()), "utf-8")
    read = replace(asked.read(path, max_length=4096), base=str(vision_checkpoint))
    [fast], [fine] = asked(read), asked(replace(read, num_crops=16))
    assert fast.longest < 800 < 1800 < fine.longest
