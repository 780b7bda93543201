"""The way to a sink: what waits, what is tried again, what is dropped, and that all of it is counted."""

import asyncio
import logging
from pathlib import Path

import pytest

from exporter.contracts import Refused
from exporter.ledger import Own
from exporter.model.endpoint import Service
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret
from exporter.sinks import lane as lanes
from exporter.sinks.jsonl import JsonlSink
from exporter.sinks.lane import Lane
from exporter.sinks.spec import Jsonl, Spec, Webhook
from tests.sinks.making import DOWN, Scripted, record, settled, spec


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "BACKOFF", 0.001)
    monkeypatch.setattr(lanes, "LAST_TRIES", 0.001)
    monkeypatch.setattr(lanes, "HAND_OVER", 0.05)


@pytest.fixture
def own() -> Own:
    return Own()


def counted(own: Own) -> dict[str, int]:
    names = ("queued", "written", "dropped", "retried", "failed")
    return {name: counts["test"] for name, counts in zip(names, own.sinks, strict=True) if counts["test"]}


async def stuck() -> None:
    await asyncio.get_running_loop().create_future()


async def test_every_count_begins_at_nought(own: Own) -> None:
    lane = Lane(spec(), Scripted(), own)
    assert [dict(counts) for counts in own.sinks] == [{"test": 0}] * 5
    await lane.close(1)


async def test_records_go_out_in_order_in_batches(own: Own) -> None:
    sink = Scripted()
    lane = Lane(spec(batch=3, flush=60.0), sink, own)
    for number in range(7):
        lane.put(record(number))
    await settled(lambda: len(sink.delivered) == 6)
    assert [len(batch) for batch, _ in sink.tries] == [3, 3]
    await lane.close(5)
    assert sink.delivered == list(range(7))
    assert sink.closed
    assert counted(own) == {"queued": 7, "written": 7}


async def test_what_does_not_fill_a_batch_goes_out_all_the_same(own: Own) -> None:
    sink = Scripted()
    lane = Lane(spec(batch=100, flush=0.01), sink, own)
    lane.put(record(1))
    await settled(lambda: sink.delivered == [1])
    lane.put(record(2))
    await settled(lambda: sink.delivered == [1, 2])
    await lane.close(1)


async def test_a_batch_is_tried_again_whole_and_with_its_key(own: Own) -> None:
    sink = Scripted(DOWN, OSError(28, "No space left on device"), None)
    lane = Lane(spec(batch=2), sink, own)
    for number in range(4):
        lane.put(record(number))
    await settled(lambda: len(sink.delivered) == 4)
    (first, key), (second, again), (third, still), (other, another) = sink.tries
    assert (first, second, third, other) == ([0, 1], [0, 1], [0, 1], [2, 3])
    assert key == again == still != another
    assert counted(own) == {"queued": 4, "written": 4, "failed": 2, "retried": 2}
    await lane.close(1)


async def test_refused_records_are_dropped_and_the_next_go_on(own: Own, caplog: pytest.LogCaptureFixture) -> None:
    sink = Scripted(Refused("HTTP 400"))
    lane = Lane(spec(batch=2), sink, own)
    for number in range(4):
        lane.put(record(number))
    await settled(lambda: sink.delivered == [2, 3])
    assert counted(own) == {"queued": 4, "written": 2, "dropped": 2, "failed": 1}
    assert "records refused" in caplog.text
    await lane.close(1)


async def test_a_receiver_that_refuses_all_is_one_line(own: Own, caplog: pytest.LogCaptureFixture) -> None:
    sink = Scripted(*[Refused("HTTP 400")] * 5)
    lane = Lane(spec(batch=1), sink, own)
    for number in range(6):
        lane.put(record(number))
    await settled(lambda: sink.delivered == [5])
    assert counted(own) == {"queued": 6, "written": 1, "dropped": 5, "failed": 5}
    assert caplog.text.count("records refused") == 1
    await lane.close(1)


async def test_a_full_queue_loses_its_oldest(own: Own, caplog: pytest.LogCaptureFixture) -> None:
    sink = Scripted(stuck)
    lane = Lane(spec(queue=3, batch=1), sink, own)
    lane.put(record(0))
    await settled(lambda: sink.tries)
    for number in range(1, 9):
        lane.put(record(number))
    assert counted(own) == {"queued": 9, "dropped": 5}
    assert caplog.text.count("the queue is full") == 1
    left = await lane.retire()
    assert [int(each.id) for each in left] == [0, 6, 7, 8]


async def test_only_what_is_wanted(own: Own) -> None:
    sink = Scripted()
    lane = Lane(spec(only=frozenset({"result", "state_change"}), status=frozenset({"error"})), sink, own)
    lane.put(record(1))
    lane.put(record(2, status="error"))
    lane.put(record(3, "state_change", ""))
    lane.put(record(4, "evaluation", ""))
    await lane.close(5)
    assert sorted(sink.delivered) == [2, 3]
    assert counted(own) == {"queued": 2, "written": 2}


async def test_a_bug_costs_its_batch_and_no_more(own: Own, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    sink = Scripted(KeyError("x"))
    lane = Lane(spec(batch=1), sink, own)
    lane.put(record(1))
    lane.put(record(2))
    await settled(lambda: sink.delivered == [2])
    assert own.internal_errors["sinks"] == 1
    assert counted(own) == {"queued": 2, "written": 1, "dropped": 1}
    await lane.close(1)


async def test_trouble_is_told_once_and_its_end_too(own: Own, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sink = Scripted(DOWN, DOWN, DOWN, Failure(Reason.HTTP_STATUS, "HTTP 503"), None)
    lane = Lane(spec(), sink, own)
    lane.put(record(1))
    await settled(lambda: sink.delivered)
    assert caplog.text.count("records not delivered") == 2
    assert caplog.text.count("delivered again") == 1
    await lane.close(1)


async def test_trouble_with_a_file_names_it(own: Own, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    sink = JsonlSink(Jsonl(str(tmp_path / "none" / "a.jsonl")))
    lane = Lane(spec(), sink, own)
    lane.put(record(1))
    await settled(lambda: own.sink_failed["test"])
    await lane.retire()
    (told,) = [each.fields for each in caplog.records if "not delivered" in each.getMessage()]  # type: ignore[attr-defined]
    assert told == {"sink": "test", "reason": "ENOENT", "detail": f"{tmp_path}/none/a.jsonl: No such file or directory"}


async def test_waits_grow_and_heed_the_receiver(own: Own) -> None:
    lane = Lane(spec(), Scripted(), own, random=lambda: 1.0)
    asked = [lane._wait(tries, DOWN) for tries in (0, 1, 2, 30)]
    assert asked == [lanes.BACKOFF, 2 * lanes.BACKOFF, 4 * lanes.BACKOFF, lanes.MAX_BACKOFF]
    lane._random = lambda: 0.0
    assert lane._wait(1, DOWN) == lanes.BACKOFF
    assert lane._wait(0, Failure(Reason.RATE_LIMITED, retry_after=7.0)) == 7.0
    assert lane._wait(0, Failure(Reason.RATE_LIMITED, retry_after=9e9)) == lanes.LONGEST_ASKED
    await lane.close(1)


async def test_writers_work_beside_each_other(own: Own) -> None:
    sink = Scripted(stuck, None, None)
    webhook = Webhook(Service("http://x/"), Secret("inline", "s"), concurrency=2)
    lane = Lane(Spec("test", webhook, batch=1, flush=0.0), sink, own)
    for number in range(3):
        lane.put(record(number))
    await settled(lambda: sink.delivered == [1, 2])
    assert [int(each.id) for each in await lane.retire()] == [0]


async def test_the_end_delivers_what_waits_also_between_two_tries(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "BACKOFF", 20.0)
    monkeypatch.setattr(lanes, "MAX_BACKOFF", 20.0)
    sink = Scripted(DOWN)
    lane = Lane(spec(batch=1), sink, own)
    lane.put(record(1))
    lane.put(record(2))
    await settled(lambda: own.sink_failed["test"])
    async with asyncio.timeout(15):  # it does not wait its twenty seconds out
        await lane.close(30)
    assert sink.delivered == [1, 2]


async def test_what_is_left_after_the_grace_is_counted_and_told(own: Own, caplog: pytest.LogCaptureFixture) -> None:
    sink = Scripted(stuck)
    lane = Lane(spec(batch=2), sink, own)
    for number in range(5):
        lane.put(record(number))
    await settled(lambda: sink.tries)
    await lane.close(0.01)
    assert counted(own) == {"queued": 5, "dropped": 5}
    assert "records not delivered before the end" in caplog.text
    assert sink.closed


@pytest.mark.parametrize("first", [stuck, DOWN], ids=["under way", "between two tries"])
async def test_a_successor_gets_what_was_not_delivered(
    own: Own, first: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "BACKOFF", 20.0)
    old = Scripted(first)  # type: ignore[arg-type]
    lane = Lane(spec(batch=2), old, own)
    for number in range(4):
        lane.put(record(number))
    await settled(lambda: old.tries and (first is stuck or own.sink_failed["test"]))
    sink = Scripted()
    after = asyncio.ensure_future(lane.retire())
    successor = Lane(spec(batch=10), sink, own, after=after)
    successor.put(record(4))
    await settled(lambda: len(sink.delivered) == 5)
    assert sink.delivered == [0, 1, 2, 3, 4]
    assert old.closed
    assert own.sink_queued["test"] == own.sink_written["test"] == 5
    await successor.close(1)


async def test_put_does_not_wait_for_a_dead_sink(own: Own) -> None:
    sink = Scripted(stuck)
    lane = Lane(spec(queue=100, batch=10), sink, own)
    for number in range(20_000):  # no await in between: nothing here can wait
        lane.put(record(number))
    assert len(lane._queue) == 100
    await lane.retire()
