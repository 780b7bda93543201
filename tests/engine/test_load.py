"""Load readings beside canaries: when they are taken, that they disturb nothing, and what becomes of them."""

import pytest

from exporter.engine import Limits
from exporter.engine.load import signs
from exporter.engine.table import Signs
from exporter.model.failure import Failure, Reason
from exporter.model.job import Retry
from exporter.model.load import Load
from exporter.model.state import State

BUSY = Load(running=8, waiting=3, capacity=8, progress=100)
IDLE = Load(running=0, waiting=0, capacity=8, progress=100)


@pytest.fixture
def once(world):
    return lambda job: world.loop.run_until_complete(world.engine.once(job))


def canary(world, answer, telling, **more):
    return world.job(answer, probe="infer", interval=60.0, **{"timeout": 30.0, "load": telling, **more})


def run(world, *jobs):
    """Their first runs, on schedule; then nothing more."""
    world.start(*jobs)
    world.advance_to(lambda: len(world.results) == len(jobs))
    world.turning.cancel()
    world.advance(0)


def test_it_is_read_at_the_start_on_an_exchange_of_its_own(world):
    telling = world.telling(BUSY)
    run(world, canary(world, world.ok(latency=0.5), telling))
    (result,) = world.results
    assert telling.read == [pytest.approx(result.started)]
    assert (result.load, result.load_after) == (BUSY, None)
    assert [len(world.exchanges), len(world.aside)] == [1, 1]
    assert world.aside[0].trace_id == result.trace_id
    assert world.aside[0].deadline == pytest.approx(result.started + 1.0)


def test_a_short_timeout_bounds_the_reading_too(world):
    run(world, canary(world, world.ok(latency=0.5), world.telling(IDLE), timeout=0.6))
    assert world.aside[0].deadline == pytest.approx(world.results[0].started + 0.6)


@pytest.mark.parametrize("latency", [0.002, 0.3, 20.0])
def test_a_reading_neither_delays_a_canary_nor_lengthens_it(world, latency):
    run(world, canary(world, world.ok(latency=0.25), world.telling(IDLE, latency)))
    (result,) = world.results
    assert result.ended - result.started == pytest.approx(0.25)
    assert result.measurement.duration == pytest.approx(0.25)
    assert result.load == (None if latency == 20.0 else IDLE)
    assert world.now - result.started <= 1.0 + 0.01


@pytest.mark.parametrize("answer", ["hang", "busy", "observed"])
def test_it_is_read_once_more_after_a_canary_that_was_busy_or_slow(world, answer):
    answers = {
        "hang": world.hang,
        "busy": world.fails(Reason.OVERLOADED, latency=0.2),
        "observed": world.fails(Reason.TIMEOUT, latency=0.2, observed=True, busy=True),
    }
    telling = world.telling(BUSY)
    run(world, canary(world, answers[answer], telling))
    (result,) = world.results
    assert telling.read == [pytest.approx(result.started), pytest.approx(result.ended)]
    assert (result.load, result.load_after) == (BUSY, BUSY)


@pytest.mark.parametrize("reason", [Reason.CONNECT_REFUSED, Reason.AUTH, Reason.EXPECTATION, Reason.NOT_READY])
def test_a_canary_that_failed_otherwise_waits_for_no_reading(world, reason):
    telling = world.telling(BUSY, latency=0.9)
    run(world, canary(world, world.fails(reason, latency=0.1), telling))
    (result,) = world.results
    assert world.now - result.started == pytest.approx(0.1, abs=0.01)
    assert (len(telling.read), result.load, result.load_after) == (1, None, None)
    assert world.aside[0].closed is not None


@pytest.mark.parametrize(
    "now", [Failure(Reason.CONNECT_REFUSED), Failure(Reason.HTTP_STATUS, http_status=404), Failure(Reason.MALFORMED)]
)
def test_a_reading_that_fails_is_counted_and_says_nothing(world, now, caplog):
    run(world, canary(world, world.hang, world.telling(now), timeout=2.0))
    (result,) = world.results
    assert (result.load, result.load_after) == (None, None)
    assert result.reason is Reason.TIMEOUT
    assert world.ledger.own.unread_loads == 2
    assert not caplog.records
    assert not world.ledger.own.internal_errors


def test_a_server_that_does_not_tell_after_all_has_not_failed(world):
    run(world, canary(world, world.ok(), world.telling(None)))
    assert world.results[0].load is None
    assert world.ledger.own.unread_loads == 0


def test_never_more_than_one_at_once(world):
    """A reading that hangs is over when the next one begins, even where canary and reading have the same timeout."""
    telling = world.telling(IDLE, latency=5.0)
    run(world, canary(world, world.hang, telling, timeout=0.8))
    assert len(telling.read) == 2
    assert telling.most_at_once == 1


def test_a_reading_takes_no_slot_and_a_second_one_gives_the_canarys_back(world):
    world.make(Limits(concurrency=1, per_host=1))
    telling = world.telling(IDLE, latency=0.9)
    other = world.job(world.ok(latency=0.05), "other", interval=0.5, timeout=0.4)
    world.start(canary(world, world.hang, telling, timeout=2.0), other)
    world.advance_to(lambda: bool(telling.read))
    assert world.ledger.own.in_flight == 1
    world.advance_to(lambda: len(telling.read) == 2)
    world.advance(0.6)
    assert telling.at_once == 1
    assert world.of("health", "other")[-1].started >= telling.read[1]


@pytest.mark.parametrize("after", [0.1, 1.5, 30.5])
def test_it_is_cancelled_with_the_run(world, after):
    """While the first reading is under way, between the two, and while the second is."""
    telling = world.telling(IDLE, latency=0.9)
    job = canary(world, world.hang, telling)
    world.start(job)
    world.advance_to(lambda: bool(telling.read))
    world.advance(after)
    world.engine.reconcile([])
    world.advance(0)
    assert telling.at_once == 0
    assert all(exchange.closed is not None for exchange in (*world.exchanges, *world.aside))
    assert not world.results


def test_a_bug_in_a_reading_is_logged_and_costs_the_canary_nothing(world, caplog):
    async def broken(exchange):
        raise KeyError("surprise")

    run(world, canary(world, world.ok(), broken))
    assert world.results[0].reason is None
    assert world.ledger.own.internal_errors == {"load": 1}
    assert "Traceback" in caplog.text


def test_retries_share_one_reading(world):
    answers = [world.fails(Reason.RESET), world.ok()]

    async def ask(exchange):
        return await answers.pop(0)(exchange)

    telling = world.telling(IDLE)
    run(world, canary(world, ask, telling, retry=Retry(attempts=2)))
    assert world.results[0].attempts == 2
    assert len(telling.read) == 1


def test_a_run_on_demand_reads_once_and_never_past_its_deadline(world, once):
    telling = world.telling(BUSY)
    result = once(canary(world, world.hang, telling, timeout=2.0))
    assert (result.load, result.load_after) == (BUSY, None)
    assert world.now == pytest.approx(result.started + 2.0)


def test_what_was_read_last_is_remembered_of_the_target(world):
    telling = world.telling(BUSY)
    world.start(canary(world, world.ok(), telling))
    world.advance(5)
    record = world.ledger.targets["t"]
    assert record.load == BUSY
    telling.now = Failure(Reason.CONNECT_REFUSED)
    world.advance(60)
    assert record.load is None


def test_signs_are_of_the_latest_reading():
    assert signs(None, None, 1) == Signs()
    assert signs(BUSY, IDLE, None) == Signs()
    assert signs(IDLE, BUSY, None) == Signs(queue=True)
    assert signs(BUSY, None, 3) == Signs(queue=True, over=True)
    assert signs(Load(running=1, capacity=0), None, None) == Signs(queue=True)
    assert signs(Load(progress=1), Load(progress=1.5), None) == Signs(progress=True)


# --- what it makes of targets ---------------------------------------------------------------------------------------


def watched(world, server, telling, **more):
    return [
        world.job(server, probe="health", interval=5.0, timeout=5.0, **more),
        world.job(server, probe="stream", interval=60.0, timeout=30.0, load=telling, **more),
    ]


def test_health_is_ok_nothing_runs_nothing_waits_and_requests_hang(world):
    """A scheduler that died behind a living front: the zombie that its own queue depth proves."""
    server, telling = world.server(health=world.ok(), stream=world.ok()), world.telling(IDLE)
    world.start(*watched(world, server, telling))
    world.advance(200)
    server.answers["stream"] = world.hang
    world.advance_to(lambda: world.state() is State.ZOMBIE)
    assert world.states() == [State.HEALTHY, State.ZOMBIE]


@pytest.mark.parametrize("sign", ["queue", "progress"])
def test_a_server_with_a_queue_or_that_moves_is_saturated_and_never_a_zombie(world, sign):
    async def tell(exchange):
        if sign == "queue":
            return BUSY
        return Load(running=3, waiting=0, capacity=8, progress=world.now)

    server = world.server(health=world.ok(), stream=world.ok())
    world.start(*watched(world, server, tell))
    world.advance(200)
    assert world.states() == [State.HEALTHY]
    server.answers["stream"] = world.hang
    world.advance(300)
    assert world.states() == [State.HEALTHY, State.SATURATED]
    assert world.ledger.targets["t"].verdict.reason is Reason.TIMEOUT


def test_a_queue_of_a_server_that_answers_is_saturated_only_from_where_the_operator_says(world):
    server, telling = world.server(health=world.ok(), stream=world.ok()), world.telling(Load(waiting=49))
    world.start(*watched(world, server, telling, saturated_at=50.0))
    world.advance(200)
    assert world.states() == [State.HEALTHY]
    telling.now = Load(waiting=50)
    world.advance(61)
    assert world.states() == [State.HEALTHY, State.SATURATED]
    verdict = world.ledger.targets["t"].verdict
    assert (verdict.reason, verdict.verified) == (Reason.OVERLOADED, True)
    telling.now = Load(waiting=0)
    world.advance(61)
    assert world.states() == [State.HEALTHY, State.SATURATED, State.HEALTHY]
