"""`engine train` starts a run, goes on with the one that is there, and says in one line what is wrong."""

import json

import pytest

from engine.__main__ import main
from engine.jobs.events import decode_job
from tests.engine.training.conftest import conversation_rows
from tests.engine.training.vision_runs import PICTURES, pair_rows

QUICK = ["--steps", "2", "--rank", "2", "--sample-tokens", "0", "--precision", "float32", "--threads", "1"]


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in conversation_rows()) + "\n", "utf-8")
    return path


def test_run_and_resumption(capsys, tiny, rows, tmp_path):
    out = tmp_path / "run"
    status, output, errors = run(
        capsys, "train", "--base", tiny[0], "--data", rows, "--out", out, *QUICK, "--json", "--cache", tmp_path / "c"
    )
    assert status == 0, errors
    result = json.loads(output)
    assert result["steps"] == 2 and result["checks"][0]["relative_error"] < 1e-3
    job = decode_job((out / "job.json").read_text("utf-8"))
    assert (job.data, job.rank, job.method) == (str(rows.resolve()), 2, "lora")
    status, output, errors = run(capsys, "train", "--out", out)
    assert status == 0 and "goes on" not in output and "run.lora.gguf" in output
    assert "step 2" in errors and errors.count("Training goes on from step 2.") == 1


def test_options_may_come_from_a_file(capsys, tiny, rows, tmp_path):
    options = {"base": str(tiny[0]), "data": rows.name, "method": "magic", "out": "run"}
    (tmp_path / "RUN.json").write_text(json.dumps(options), "utf-8")
    status, _, errors = run(capsys, "train", tmp_path / "RUN.json")
    assert status == 2 and "no method 'magic'" in errors and errors.count("\n") == 1
    assert decode_job((tmp_path / "run" / "job.json").read_text("utf-8")).data == str(rows.resolve())


@pytest.mark.parametrize(
    ("text", "status"),
    [("{", 3), ("[1]", 3), ('{"base":"starter"}', 2), ('{"sauce":1,"out":"x","base":"a","data":"b"}', 2)],
)
def test_bad_run_files_are_one_line(capsys, tmp_path, text, status):
    (tmp_path / "RUN.json").write_text(text, "utf-8")
    found, output, errors = run(capsys, "train", tmp_path / "RUN.json")
    assert (found, output, errors.count("\n")) == (status, "", 1)


def test_a_folder_without_a_run_needs_base_and_data(capsys, tmp_path):
    status, _, errors = run(capsys, "train", "--out", tmp_path / "none")
    assert status == 2 and "--base" in errors


def test_pictures_from_the_command_line(capsys, vision_checkpoint, vision_model, tmp_path):
    rows, out = tmp_path / "pairs.jsonl", tmp_path / "run"
    rows.write_text("".join(json.dumps(row) + "\n" for row in pair_rows()), "utf-8")
    options = ("--base", vision_checkpoint, "--data", rows, "--method", "lora", "--out", out, "--num-crops", 1)
    status, output, errors = run(capsys, "train", *options, *QUICK, "--projector-learning-rate", "1e-3", "--json")
    assert status == 0, errors
    result, job = json.loads(output), decode_job((out / "job.json").read_text("utf-8"))
    assert (job.num_crops, job.projector_learning_rate) == (1, 1e-3) and result["checks"][0]["kl"] < 0.01
    files = ("--mmproj", result["companion"], "--adapter", result["seeing_adapter"])
    question = ("--image", PICTURES[0], "--num-crops", 1, "--prompt", "What is it?", "--max-tokens", 2)
    status, output, errors = run(capsys, "chat", "--model", vision_model.path, *files, *question, "--json")
    assert status == 0 and json.loads(output)["prompt_tokens"] > 313, errors
