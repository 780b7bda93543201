"""One run: attempts, deadlines, what becomes of errors, and what a result holds."""

import asyncio
import contextlib
import gc
import logging
import weakref

import pytest

from exporter.engine import Limits
from exporter.engine.attempt import Attempt
from exporter.engine.flight import Flight
from exporter.model.failure import Evidence, Failure, Reason, Status
from exporter.model.job import Retry
from exporter.model.observation import Detection, Observation, Output


@pytest.fixture
def once(world):
    return lambda job: world.loop.run_until_complete(world.engine.once(job))


def test_a_healthy_run(world, once):
    begun = world.now
    result = once(world.job(world.ok(latency=0.25)))
    assert (result.status, result.evidence, result.reason, result.detail) == (Status.HEALTHY, Evidence.OK, None, "")
    assert (result.attempts, result.failures) == (1, ())
    assert (result.planned, result.started, result.ended) == (begun, begun, begun + 0.25)
    assert result.at == world.wall()
    assert result.measurement.duration == 0.25
    assert world.exchanges[0].deadline == begun + 5.0


def test_trace_ids_are_random_and_one_per_run(world, once):
    job = world.job(world.refused)
    ids = {once(job).trace_id for _ in range(3)}
    assert len(ids) == 3
    assert all(len(each) == 32 and int(each, 16) for each in ids)
    assert {exchange.trace_id for exchange in world.exchanges} == ids


@pytest.mark.parametrize("observed", [False, True])
def test_a_failure_raised_or_observed_is_the_result(world, once, observed):
    job = world.job(world.fails(Reason.OVERLOADED, "queue full", http_status=503, retry_after=7.0, observed=observed))
    result = once(job)
    assert (result.status, result.evidence, result.reason) == (Status.UNHEALTHY, Evidence.BUSY, Reason.OVERLOADED)
    assert (result.detail, result.retry_after) == ("queue full", 7.0)


def test_what_was_said_is_told_of_the_last_attempt_that_failed(world, once):
    result = once(world.job(world.refused, retry=Retry(attempts=3)))
    assert result.attempts == 3
    assert result.wire == "> asked at 0"
    assert "asked at" not in repr(result)
    assert once(world.job(world.ok())).wire == ""


def test_a_bug_in_telling_it_loses_no_run(world, once, monkeypatch):
    def told(self, began):
        raise ValueError("a bug")

    monkeypatch.setattr("tests.engine.conftest.FakeExchange.told", told)
    result = once(world.job(world.refused))
    assert (result.reason, result.wire) == (Reason.CONNECT_REFUSED, "")
    assert world.ledger.own.internal_errors["runner"] == 1


def test_what_was_observed_is_kept_beside_the_failure(world, once):
    async def ask(exchange):
        return Observation(failure=Failure(Reason.EXPECTATION, "no"), info={"server": "x"}, answer="maybe")

    observation = once(world.job(ask)).observation
    assert (observation.info, observation.answer) == ({"server": "x"}, "maybe")


def test_busy_is_said_by_the_failure(world, once):
    result = once(world.job(world.fails(Reason.TIMEOUT, busy=True)))
    assert (result.status, result.evidence, result.reason) == (Status.UNHEALTHY, Evidence.BUSY, Reason.TIMEOUT)


def test_attempts_are_made_until_one_passes(world, once):
    answers = [world.refused, world.fails(Reason.RESET), world.ok(latency=0.5)]

    async def ask(exchange):
        return await answers.pop(0)(exchange)

    result = once(world.job(ask))
    assert (result.status, result.attempts) == (Status.HEALTHY, 3)
    assert result.failures == (Reason.CONNECT_REFUSED, Reason.RESET)
    assert result.ended - result.started == pytest.approx(0.002 + 0.5 + 0.5 + 1.0)
    assert result.measurement.duration == pytest.approx(0.5)  # the successful attempt: no backoff, no earlier one
    assert len({exchange.trace_id for exchange in world.exchanges}) == 1


def test_a_dead_server_costs_one_timeout_and_not_one_per_attempt(world, once):
    result = once(world.job(world.hang, retry=Retry(attempts=3, on=frozenset({Reason.TIMEOUT})), interval=9.0))
    assert (result.attempts, result.ended - result.started) == (1, 5.0)


def test_timeouts_named_by_the_operator_are_retried_while_they_fit(world, once):
    result = once(world.job(world.hang, retry=Retry(attempts=9, on=frozenset({Reason.TIMEOUT})), interval=18.0))
    assert result.attempts == 3
    assert result.ended - result.started <= 18.0


def test_a_retry_after_that_fits_is_waited_for_even_with_429(world, once):
    answers = [world.fails(Reason.RATE_LIMITED, http_status=429, retry_after=3.0), world.ok()]

    async def ask(exchange):
        return await answers.pop(0)(exchange)

    result = once(world.job(ask))
    assert (result.status, result.attempts) == (Status.HEALTHY, 2)
    assert world.exchanges[1].opened - world.exchanges[0].closed == pytest.approx(3.0)


def test_backing_off_holds_no_slot(world):
    world.make(Limits(concurrency=1, per_host=1))
    world.dice = 1.0
    first = world.job(world.refused, "down", retry=Retry(attempts=2, backoff=4.0))
    second = world.job(world.ok(latency=0.1), "up")

    async def story():
        return await asyncio.gather(world.engine.once(first), world.engine.once(second))

    down, up = world.loop.run_until_complete(story())
    assert up.ended < down.ended
    assert down.attempts == 2


def test_an_attempt_whose_slot_comes_too_late_is_not_made(world):
    world.make(Limits(concurrency=1, per_host=1))
    down = world.job(world.refused, "down", interval=10.0, retry=Retry(attempts=2, backoff=1.0))
    hog = world.job(world.ok(latency=6.0), "hog", timeout=10.0)

    async def story():
        return await asyncio.gather(world.engine.once(down), world.engine.once(hog))

    result, _ = world.loop.run_until_complete(story())
    assert (result.attempts, result.reason) == (1, Reason.CONNECT_REFUSED)
    assert len(world.exchanges) == 2


def test_a_protocol_that_ignores_its_deadline_is_cut_off(world, once):
    result = once(world.job(world.stuck))
    assert (result.reason, result.evidence) == (Reason.TIMEOUT, Evidence.SLOW)
    assert 5.0 < result.ended - result.started <= 5.05
    assert world.exchanges[0].closed is not None


def test_a_connection_that_does_not_close_is_cut_off(world, once, monkeypatch):
    async def close(self):
        self.closed = world.now
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(world.Exchange, "close", close)
    for answer, length in ((world.stuck, 5.1), (world.hang, 5.1), (world.ok(), 5.1)):
        result = once(world.job(answer))
        assert result.ended - result.started <= length


def test_a_loop_that_was_late_lets_the_transport_speak_first(world, once):
    """Both timers are overdue when the process goes on: the exchange's word tells more."""

    async def ask(exchange):
        world.loop.call_soon(world.loop.freeze, 30.0)
        deadline = world.loop.create_future()
        world.loop.call_at(exchange.deadline, deadline.set_result, None)
        await deadline
        await asyncio.sleep(0)
        raise Failure(Reason.STALLED, "said by the exchange")

    result = once(world.job(ask))
    assert (result.reason, result.detail) == (Reason.STALLED, "said by the exchange")


@pytest.mark.parametrize("where", ["ask", "open", "close", "measured"])
def test_a_bug_is_internal_logged_and_counted(world, once, monkeypatch, caplog, where):
    async def broken(exchange):
        raise KeyError("surprise")

    def raises(*args):
        raise KeyError("surprise")

    job = world.job(broken if where == "ask" else world.ok())
    if where == "open":
        monkeypatch.setattr(world, "open", raises)
        world.make()
    elif where in ("close", "measured"):
        monkeypatch.setattr(world.Exchange, where, raises)
    with caplog.at_level(logging.ERROR):
        result = once(job)
    if where in ("ask", "open"):
        assert (result.status, result.reason, result.evidence) == (Status.ERROR, Reason.INTERNAL, Evidence.NONE)
        assert "KeyError" in result.detail
        assert "surprise" not in result.detail
    assert world.ledger.own.internal_errors == {"runner": 1}
    assert "Traceback" in caplog.text
    for exchange in world.exchanges:
        exchange.closed = world.now


def test_cancelling_once_cancels_the_run_and_closes_its_connection(world):
    async def story():
        task = asyncio.create_task(world.engine.once(world.job(world.hang)))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)

    world.loop.run_until_complete(story())
    assert world.exchanges[0].closed == world.now
    assert world.ledger.own.in_flight == 0


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_cancelled_at_any_step_nothing_is_left(world, steps):
    async def story():
        task = asyncio.create_task(world.engine.once(world.job(world.hang)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    world.loop.run_until_complete(story())
    assert (world.ledger.own.in_flight, world.ledger.own.waiting) == (0, 0)
    assert not world.engine._runner.flights


def test_a_cancelled_run_leaves_nothing_to_the_collector(world):
    """What it had read may be megabytes, and nobody looks for what was old when it went."""

    class Body:
        pass

    read = []

    async def reading(exchange):
        body = Body()
        read.append(weakref.ref(body))
        await asyncio.sleep(60.0)
        return Observation(info={"body": repr(body)})

    def known():
        return {id(each): each for each in gc.get_objects() if type(each) in (Attempt, Flight)}

    def new():
        return [each for key, each in known().items() if key not in others]

    async def story():
        task = asyncio.create_task(world.engine.once(world.job(reading)))
        await asyncio.sleep(1.0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert [body() for body in read] == [None]
        # An attempt lies among the timers until its deadline, and with it what knows it.
        assert not [each for each in new() if type(each) is Attempt and each.exchange is not None]
        await asyncio.sleep(60.0)

    gc.collect()
    gc.disable()
    try:
        others = known()
        world.loop.run_until_complete(story())
        assert not new()
    finally:
        gc.enable()


def test_once_is_outside_schedule_and_ledger(world, once):
    once(world.job(world.ok()))
    assert not world.ledger.targets
    assert world.ledger.own.schedule_delay.count == 0
    assert not world.results


def test_details_are_for_people(world, once):
    result = once(world.job(world.fails(Reason.HTTP_STATUS, "a\x00b\r\nc\x1b[31m" + "x" * 1000, http_status=500)))
    assert result.detail.startswith("a b  c [31mx")
    assert len(result.detail) == 300


def test_whatever_a_server_said_goes_through_the_exchange_to_lose_secrets(world, once):
    async def echo(exchange):
        return Observation(
            failure=Failure(Reason.AUTH, "you sent s3cr3t"),
            answer="s3cr3t, indeed",
            info={"server": "echo s3cr3t"},
            detected=Detection("http", "s3cr3t server", (), "it said s3cr3t"),
        )

    result = once(world.job(echo))
    assert result.detail == "you sent ***"
    assert result.observation.answer == "***, indeed"
    assert "s3cr3t" not in repr(result.observation)
    assert result.observation.info == {"server": "echo ***"}


def test_a_whole_answer_is_not_kept(world, once):
    async def ask(exchange):
        return Observation(answer="O", output=Output({"said": "O" * 10_000}))

    observation = once(world.job(ask)).observation
    assert (observation.answer, observation.output) == ("O", None)


def test_names_of_models_lose_secrets_too(world, once):
    async def ask(exchange):
        return Observation(models=("a", "s3cr3t-model"))

    assert once(world.job(ask)).observation.models == ("a", "***-model")


def test_a_failure_that_is_kept_holds_no_frames(world, once):
    kept = Failure(Reason.EXPECTATION, "no")

    async def ask(exchange):
        try:
            raise ValueError
        except ValueError:
            raise kept  # noqa: B904

    once(world.job(ask))
    assert (kept.__traceback__, kept.__context__) == (None, None)


def test_waiting_for_a_slot_is_schedule_delay_and_never_latency(world):
    world.make(Limits(concurrency=1, per_host=1))
    world.start(
        world.job(world.ok(latency=3.0), "a", interval=60.0), world.job(world.ok(latency=0.5), "b", interval=60.0)
    )
    world.advance(5)
    first, second = sorted(world.results, key=lambda result: result.started)
    assert second.started - second.planned == pytest.approx(first.ended - second.planned)
    assert second.started - second.planned > 0.4
    assert second.measurement.duration in (pytest.approx(3.0), pytest.approx(0.5))
    assert world.ledger.own.schedule_delay.sum == pytest.approx(
        sum(result.started - result.planned for result in (first, second))
    )
