"""Settings are checked in words, and the learning rate goes up and down as said."""

import pytest

from engine.errors import EngineError
from engine.jobs.events import TrainJob
from engine.training.settings import check_job, learning_rate_at, steps_between_checkpoints, steps_of_run


def job(**options):
    return TrainJob("starter", "rows.jsonl", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "magic"},
        {"epochs": 0},
        {"epochs": float("nan")},
        {"batch_size": 0},
        {"learning_rate": -1e-4},
        {"rank": "16"},
        {"dropout": 1.0},
        {"max_length": True},
        {"precision": "int3"},
        {"validation_share": 1.0},
        {"busy_file": 5},
        {"sample_prompts": "one"},
        {"sample_prompts": [1]},
    ],
)
def test_impossible_settings_are_refused(options):
    with pytest.raises(EngineError) as failure:
        check_job(job(**options))
    assert failure.value.code == "bad_request" and failure.value.remedy


def test_learning_rate_is_chosen_by_the_method():
    assert check_job(job()).learning_rate == 2e-4
    assert check_job(job(method="dpo")).learning_rate == 2e-5
    assert check_job(job(learning_rate=1e-3)).learning_rate == 1e-3


def test_steps_follow_from_epochs_and_limit():
    assert steps_of_run(job(epochs=2, batch_size=8), 20) == 6
    assert steps_of_run(job(epochs=2, batch_size=8, steps=4), 20) == 4
    assert steps_of_run(job(epochs=0.01), 20) == 1
    assert steps_between_checkpoints(job(), 1000) == 100 and steps_between_checkpoints(job(checkpoint_steps=7), 9) == 7


def test_learning_rate_warms_up_and_falls():
    settings = check_job(job(warmup_share=0.1, learning_rate=1e-3))
    rates = [learning_rate_at(step, settings, 100) for step in range(100)]
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) == pytest.approx(1e-3) and rates[0] > 0 and rates[-1] == pytest.approx(1e-4, rel=0.02)
