"""Check what is said of the progress of a request."""

import pytest

from engine.progress import ReadingPace, Reporter


class Clock:
    """Be a clock that tests set."""

    now = 100.0

    def __call__(self):
        """Give the time."""
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def report(clock):
    """Give a function that makes reporters of one worker, and what they have sent."""
    pace, sent = ReadingPace(), []
    return lambda: Reporter(sent.append, 1, pace, clock), sent


def read(reporter, clock, stage, seconds_per_token, *counts):
    start = clock.now
    for done in counts:
        clock.now = start + done * seconds_per_token
        reporter.evaluated(stage, done, counts[-1])


def test_the_time_left_follows_from_the_speed_of_the_stage(report, clock):
    make, sent = report
    read(make(), clock, "prefill", 0.05, 0, 100, 300, 400)
    assert [(event.done, event.seconds_left) for event in sent] == [(0, None), (100, 15.0), (300, 5.0), (400, 0.0)]


def test_at_the_start_it_follows_from_the_speed_of_the_last_reading(report, clock):
    make, sent = report
    reporter = make()
    read(reporter, clock, "prefill", 0.05, 0, 100)
    read(reporter, clock, "reread", 0.1, 0, 4000)
    read(make(), clock, "prefill", 0.1, 0, 50)
    assert [event.seconds_left for event in sent if event.done == 0] == [None, 200.0, 5.0]


def test_the_last_reading_counts_less_and_less(report, clock):
    make, sent = report
    read(make(), clock, "prefill", 0.1, 0, 100)
    sent.clear()
    read(make(), clock, "reread", 0.05, 0, 10, 50, 90, 100)
    left = [event.seconds_left for event in sent]
    assert left == [10.0, 9.0, 5.0, 1.0, 0.0]


def test_a_few_tokens_and_other_work_say_nothing_about_the_speed(report, clock):
    make, sent = report
    reporter = make()
    read(reporter, clock, "prefill", 2.0, 0, 5)
    read(reporter, clock, "picture", 3.0, 0, 40)
    read(reporter, clock, "reread", 0.1, 0, 4000)
    assert [event.seconds_left for event in sent if event.done == 0] == [None, None, None]


def test_some_tokens_tell_the_speed_until_more_have_been_read(report, clock):
    make, sent = report
    for seconds_per_token, tokens in ((0.2, 12), (0.3, 9), (0.1, 40), (0.3, 12)):
        read(make(), clock, "prefill", seconds_per_token, 0, tokens)
    read(make(), clock, "reread", 0.1, 0, 4000)
    estimates = [event.seconds_left for event in sent if event.done == 0]
    assert estimates == [None, 1.8, 8.0, 1.2, 400.0]


def test_another_model_has_another_speed(report, clock):
    make, sent = report
    read(make(), clock, "prefill", 0.05, 0, 100)
    make().loaded(1.0)
    read(make(), clock, "prefill", 0.05, 0, 100)
    assert [event.seconds_left for event in sent if event.done == 0] == [None, None]


def test_reports_are_few_but_the_first_and_the_last_of_a_stage_are_sent(report, clock):
    make, sent = report
    read(make(), clock, "prefill", 0.01, *range(0, 101))
    assert [event.done for event in sent][:1] == [0] and [event.done for event in sent][-1:] == [100]
    assert len(sent) <= 12
