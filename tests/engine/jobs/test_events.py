"""What a job is told and what it reports survives the file it is kept in."""

import pytest

from engine.errors import EngineError
from engine.jobs.events import (
    ImportJob,
    JobDone,
    JobFailed,
    JobProgress,
    QuantizeJob,
    decode_event,
    decode_job,
    encode_event,
    encode_job,
)


@pytest.mark.parametrize("job", [ImportJob("a", "b", None, "Ünï"), QuantizeJob("a", "b", "q8_0", "m")])
def test_job_round_trip(job: ImportJob | QuantizeJob) -> None:
    assert decode_job(encode_job(job)) == job


@pytest.mark.parametrize("text", ["", "[]", '{"kind":"dance"}', '{"kind":"import"}', '{"kind":"import","sauce":1}'])
def test_unreadable_job_is_refused(text: str) -> None:
    with pytest.raises(EngineError) as failure:
        decode_job(text)
    assert failure.value.code == "bad_request"


@pytest.mark.parametrize(
    "event", [JobProgress("convert", 1, 2, "tensors", 3.5, None), JobDone({"path": "x"}), JobFailed("c", "m", "r")]
)
def test_event_round_trip(event: JobProgress | JobDone | JobFailed) -> None:
    assert decode_event(encode_event(event)) == event


def test_torn_line_is_no_event() -> None:
    line = encode_event(JobDone({"path": "x"}))
    assert all(decode_event(line[:length]) is None for length in range(len(line)))
