"""Answers that are right and come too late: load, and not failure."""

import asyncio

import pytest

from exporter.engine.lateness import in_time
from exporter.model.failure import MAX_DETAIL, Evidence, Failure, Reason, Status
from exporter.model.job import Retry, Within
from exporter.model.observation import Measurement, Observation
from exporter.model.state import State
from exporter.model.stream import Channel, Outcome, StreamMeter


def stream(first, channel=Channel.CONTENT):
    meter = StreamMeter(0.0)
    if first is not None:
        meter.token(first, [channel])
    return meter.finish(Outcome.COMPLETE, 9.0)


@pytest.mark.parametrize(
    ("within", "duration", "first", "words"),
    [
        (None, 9.0, 9.0, None),
        (Within(2.0), 2.0, None, None),
        (Within(2.0), 2.5, None, "the answer took 2.5 s, expected at most 2 s"),
        (Within(2.0), None, None, None),
        (Within(None, 0.5), 9.0, 0.5, None),
        (Within(None, 0.5), 9.0, 0.512, "the first token took 0.512 s, expected at most 0.5 s"),
        (Within(None, 0.5), 9.0, None, None),
        (
            Within(2.0, 0.5),
            3.0,
            1.0,
            "the first token took 1 s, expected at most 0.5 s; the answer took 3 s, expected at most 2 s",
        ),
    ],
)
def test_a_right_answer_that_is_late_is_a_sign_of_load(within, duration, first, words):
    failure = in_time(None, within, Measurement(duration=duration, http_status=200), stream(first))
    if words is None:
        assert failure is None
        return
    assert (failure.reason, failure.detail, failure.http_status) == (Reason.EXPECTATION, words, 200)
    assert (failure.row.status, failure.row.evidence) == (Status.UNHEALTHY, Evidence.BUSY)


def test_the_first_token_of_any_channel_counts():
    meter = StreamMeter(0.0)
    meter.token(0.2, [Channel.REASONING])
    meter.token(3.0, [Channel.CONTENT])
    assert in_time(None, Within(None, 1.0), Measurement(), meter.finish(Outcome.COMPLETE, 4.0)) is None


def test_a_wrong_answer_that_is_late_too_is_wrong():
    wrong = Failure(Reason.EXPECTATION, "the answer is not OK")
    failure = in_time(wrong, Within(2.0), Measurement(duration=3.0), None)
    assert failure.detail == "the answer is not OK; the answer took 3 s, expected at most 2 s"
    assert failure.row.evidence is Evidence.WRONG
    long = in_time(Failure(Reason.EXPECTATION, "x" * 295), Within(2.0), Measurement(duration=3.0), None)
    assert len(long.detail) <= MAX_DETAIL


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.EXPECTATION])
def test_any_other_failure_stays_as_it_is(reason):
    failure = Failure(reason, "so")
    assert in_time(failure, Within(0.1, 0.1), Measurement(duration=9.0), stream(9.0)) is failure
    assert (failure.reason, failure.detail, failure.busy) == (reason, "so", False)


def test_a_target_whose_canary_is_right_and_late_is_saturated(world):
    server = world.server(health=world.ok(), infer=world.ok(3.0))
    jobs = [
        world.job(server, probe="health", interval=5.0, timeout=5.0),
        world.job(server, probe="infer", interval=30.0, timeout=10.0, within=Within(2.0)),
    ]
    world.start(*jobs)
    world.advance(40)
    assert world.state() is State.SATURATED
    verdict = world.ledger.targets["t"].verdict
    assert (verdict.reason, verdict.detail) == (
        Reason.EXPECTATION,
        "the answer took 3 s, expected at most 2 s",
    )
    server.answers["infer"] = world.ok(1.0)
    world.advance(40)
    assert world.state() is State.HEALTHY


def test_lateness_is_no_reason_to_ask_again_within_the_run(world):
    async def slow(exchange):
        await asyncio.sleep(3.0)
        return Observation()

    job = world.job(slow, probe="infer", timeout=10.0, interval=60.0, within=Within(2.0), retry=Retry(attempts=3))
    result = world.loop.run_until_complete(world.engine.once(job))
    assert (result.status, result.evidence, result.attempts) == (Status.UNHEALTHY, Evidence.BUSY, 1)


def test_a_model_that_was_left_asleep_is_not_late(world):
    job = world.job(world.asleep(), probe="infer", within=Within(0.0001))
    result = world.loop.run_until_complete(world.engine.once(job))
    assert (result.skipped, result.reason) == ("asleep", None)
