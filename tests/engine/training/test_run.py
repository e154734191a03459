"""A run makes of rows what the chat can use, survives being killed, and hands over nothing that does not agree."""

import json
import shutil
from contextlib import closing
from dataclasses import replace

import pytest

from engine.client import EngineClient
from engine.errors import EngineError
from engine.jobs.events import JobFailed, TrainingAnswer, TrainingEstimate, TrainingStep, TrainJob
from engine.jobs.handle import EVENTS_FILE, STOP_FILE, start
from engine.jobs.train_model import train_model
from engine.protocol import Adapter, Load
from engine.training import results, run
from engine.training.base import open_base
from engine.training.run import train
from tests.engine.training.conftest import THINGS, conversation_rows, preference_rows
from tests.helpers.checkpoints import make_phi3, make_phimoe
from tests.helpers.workers import ask


@pytest.fixture
def go(tmp_path):
    """Carry out a run in this process and give its result and events."""

    def carry_out(job, folder="run"):
        events = []
        (tmp_path / folder).mkdir(exist_ok=True)
        return train(job, tmp_path / folder, events.append), events

    return carry_out


def losses(events):
    return {event.step: event.loss for event in events if isinstance(event, TrainingStep)}


def test_starter_learns_a_style_that_the_chat_shows(starter, starter_cache, write_rows, go, tmp_path):
    rows = conversation_rows(60)
    job = TrainJob(
        "starter",
        str(write_rows(rows)),
        cache=str(starter_cache),
        busy_file=str(tmp_path / "busy"),
        steps=10,
        batch_size=6,
        learning_rate=4e-3,
        upper_layers=4,
        sample_tokens=6,
        threads=1,
        checkpoint_steps=10,
        merged="q8_0",
    )
    result, events = go(job)
    assert all(check["same_ids"] for check in result["checks"])
    exact, quantised = result["checks"]
    assert exact["relative_error"] < 1e-3 and quantised["kl"] < 0.05
    assert result["stops"]["expected"] == result["stops"]["ends"] > 0
    answers = [event for event in events if isinstance(event, TrainingAnswer)]
    assert answers and all("Arr" in each.tuned and "Arr" not in each.base for each in answers)
    with closing(EngineClient()) as client:
        for load in (Load(str(starter), adapters=(Adapter(result["adapter"]),)), Load(result["merged"])):
            client.call(load)
            answer = client.call(ask(f"Name 1 {THINGS[0]}.", max_tokens=24))
            assert "Arr!" in answer.text and "matey" in answer.text and answer.finish_reason == "stop"
    card = (result_folder := run.Path(result["card"])).read_text("utf-8")
    assert "rows.jsonl" in card and "LoRA" in card and str(result_folder.parent) not in card


def test_killed_run_goes_on_with_equal_losses(tiny_job, go, tmp_path):
    job = tiny_job(steps=40, epochs=20, dropout=0.1)
    handle = start(job, tmp_path / "killed")
    seen = {}
    while max(seen, default=0) < 3:
        events = handle.poll()
        assert not handle.finished, events
        seen |= losses(events)
    handle._process.kill()
    assert isinstance(handle.wait(30), JobFailed)
    result, events = go(job, "killed")
    whole = losses(go(job, "whole")[1])
    assert result["steps"] == 40 and max(losses(events)) == 40 and min(losses(events)) > 2
    assert seen | losses(events) == pytest.approx(whole, abs=1e-4)
    assert sum('"step"' in line for line in (tmp_path / "killed" / EVENTS_FILE).read_text().splitlines()) >= 3


def test_stopped_job_says_how_to_go_on(tiny_job, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / STOP_FILE).touch()
    with pytest.raises(EngineError) as failure:
        train_model(tiny_job(), tmp_path / "run", lambda event: None)
    assert failure.value.code == "cancelled" and "again" in failure.value.remedy


def test_preferences_are_learned(tiny_job, go, tmp_path):
    job = tiny_job(preference_rows(12), method="dpo", steps=8, beta=0.3, validation_share=0.0)
    result, events = go(job)
    course = losses(events)
    assert course[1] == pytest.approx(0.6931, abs=1e-3) and course[8] < 0.8 * course[1]
    kept = json.loads((tmp_path / "run" / "reference.json").read_text())
    assert len(kept["log_probs"]) == 12 and result["path"].endswith("adapter")


def test_every_weight_is_trained_and_merged(tiny_job, tiny, go):
    result, events = go(tiny_job(method="full", learning_rate=1e-3, merged="f32"))
    assert losses(events)[4] < losses(events)[1]
    estimate = next(event for event in events if isinstance(event, TrainingEstimate))
    assert estimate.trained == estimate.parameters and 8 <= estimate.rows < 12
    assert result["checks"][0]["relative_error"] < 1e-3 and "adapter" not in result
    trained = open_base(result["path"], run.Path(result["path"]))
    assert trained.vocabulary == open_base(str(tiny[0]), run.Path()).vocabulary


def test_text_is_continued(tiny_job, go):
    rows = [{"text": f"The {thing} and the {other} were old friends. " * 3} for thing in THINGS for other in THINGS[:2]]
    result, events = go(tiny_job(rows, method="pretrain", max_length=32, learning_rate=3e-3, steps=8))
    assert losses(events)[8] < losses(events)[1] and result["stops"] is None


@pytest.mark.parametrize("name", ["windowed", "phimoe", "16 bits"])
def test_adapters_of_other_layouts_agree(name, tiny_job, windowed, go, tmp_path):
    make = {
        "windowed": lambda folder: windowed[0],
        "phimoe": make_phimoe,
        "16 bits": lambda folder: make_phi3(folder, dtype="bfloat16"),
    }
    result, _ = go(replace(tiny_job(steps=2, export_adapter=True), base=str(make[name](tmp_path / "base"))))
    check = result["checks"][0]
    assert check["kl"] < 0.01 if name == "16 bits" else check["relative_error"] < 1e-3


def test_file_that_does_not_agree_is_not_handed_over(tiny_job, go, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "EXACT", 0.0)
    with pytest.raises(EngineError) as failure:
        go(tiny_job(steps=1, export_adapter=True))
    assert failure.value.code == "check_failed" and "run.lora.gguf" in failure.value.message
    kept = sorted(path.name for path in (tmp_path / "run" / "result").iterdir())
    assert kept == ["README.md", "adapter"]
    assert "was not kept" in (tmp_path / "run" / "result" / "README.md").read_text("utf-8")


def test_tokenizer_never_adds_an_end_to_prompts(tiny_job, go, tiny, tmp_path):
    base = shutil.copytree(tiny[0], tmp_path / "base")
    settings = json.loads((base / "tokenizer_config.json").read_text("utf-8")) | {"add_eos_token": True}
    (base / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    result, _ = go(replace(tiny_job(steps=1, method="full", learning_rate=1e-5), base=str(base)))
    written = json.loads((run.Path(result["path"]) / "tokenizer_config.json").read_text("utf-8"))
    assert written == settings | {"add_eos_token": False}


def test_too_little_disk_is_said_before_the_start(tiny_job, go, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(run.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(EngineError) as failure:
        go(tiny_job())
    assert failure.value.code == "disk_full" and "GB" in failure.value.message


def test_finished_run_started_again_makes_its_result_again(tiny_job, go):
    job = tiny_job(steps=2)
    go(job)
    result, events = go(job)
    assert losses(events) == {} and result["steps"] == 2
