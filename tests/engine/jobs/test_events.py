"""What a job is told and what it reports survives the file it is kept in."""

import pytest

from engine.errors import EngineError
from engine.jobs.events import (
    ImportJob,
    JobDone,
    JobEvent,
    JobFailed,
    JobProgress,
    QuantizeJob,
    TrainingAnswer,
    TrainingEstimate,
    TrainingEvaluation,
    TrainingNotice,
    TrainingStep,
    TrainJob,
    decode_event,
    decode_job,
    encode_event,
    encode_job,
)


@pytest.mark.parametrize(
    "job",
    [
        ImportJob("a", "b", None, "Ünï"),
        QuantizeJob("a", "b", "q8_0", "m"),
        TrainJob("starter", "rows.jsonl", "dpo", epochs=1.5, sample_prompts=["Ünï?"]),
    ],
)
def test_job_round_trip(job: ImportJob | QuantizeJob | TrainJob) -> None:
    assert decode_job(encode_job(job)) == job


@pytest.mark.parametrize("text", ["", "[]", '{"kind":"dance"}', '{"kind":"import"}', '{"kind":"import","sauce":1}'])
def test_unreadable_job_is_refused(text: str) -> None:
    with pytest.raises(EngineError) as failure:
        decode_job(text)
    assert failure.value.code == "bad_request"


@pytest.mark.parametrize(
    "event",
    [
        JobProgress("convert", 1, 2, "tensors", 3.5, None),
        JobDone({"path": "x"}),
        JobFailed("c", "m", "r"),
        TrainingEstimate(6, 1000, 1.5, 1 << 30, 2 << 30, 5, 10, 100, False, "bfloat16", 12, 1, {"Empty.": 1}),
        TrainingStep(1, 6, 0.5, 2.5, 1e-4, 0.7, 100.0, None),
        TrainingEvaluation(0, 2.5),
        TrainingAnswer(2, "Hü?", "no", "yes"),
        TrainingNotice("paused", "Paused.", 3),
    ],
)
def test_event_round_trip(event: JobEvent) -> None:
    assert decode_event(encode_event(event)) == event


def test_torn_line_is_no_event() -> None:
    line = encode_event(JobDone({"path": "x"}))
    assert all(decode_event(line[:length]) is None for length in range(len(line)))
