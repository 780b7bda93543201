"""The fan-out: which sinks there are, what each gets, and what becomes of it over a reload and at the end."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.model.state import State, StateChange, Verdict
from exporter.sinks import SWITCH, Fanout
from exporter.sinks.lane import Lane
from exporter.sinks.spec import Jsonl, Spec
from tests.metrics.world import World, job
from tests.sinks.making import TARGET, Scripted, settled


class Room(Fanout):
    """With scripted sinks in place of real ones."""

    def __init__(self, world: World) -> None:
        super().__init__(world.ledger, lambda: None)  # type: ignore[arg-type, return-value]
        self.made: list[Scripted] = []

    def _sink(self, spec: Spec) -> Any:
        self.made.append(Scripted())
        return self.made[-1]

    def delivered(self) -> list[int]:
        return [len(sink.delivered) for sink in self.made]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def room(world: World) -> AsyncIterator[Room]:
    before = sys.getswitchinterval()
    made = Room(world)
    yield made
    await made.close(5)
    sys.setswitchinterval(before)


def spec(name: str, **changes: Any) -> Spec:
    return Spec(name, Jsonl(name), **{"flush": 0.0, **changes})


def result(world: World) -> Any:
    return replace(world.result(job()), trace_id="1".zfill(32))


async def test_without_sinks_nothing_happens(world: World, room: Room) -> None:
    room.result(result(world))
    room.tell("evaluation", TARGET, 0.0, dict)
    assert world.ledger.own.sink_queued == {}


async def test_every_sink_gets_its_share(world: World, room: Room) -> None:
    room.take([spec("a"), spec("b", only=frozenset({"evaluation"}))])
    world.watch(job())
    room.result(result(world))
    room.tell("evaluation", TARGET, 5.0, lambda: {"score": 1.0})
    await settled(lambda: room.delivered() == [2, 1])
    assert world.ledger.own.sink_written == {"a": 2, "b": 1}
    assert sys.getswitchinterval() <= SWITCH


async def test_a_change_of_state_has_the_labels_of_its_target(
    world: World, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []
    monkeypatch.setattr(Lane, "put", lambda lane, record: heard.append(record))
    room.take([spec("a")])
    world.watch(job(labels={"team": "chat"}))
    room.state_change(StateChange("assistant", "llama-3", State.UNKNOWN, Verdict(State.HEALTHY), 7.0))
    room.state_change(StateChange("gone", "", State.UNKNOWN, Verdict(State.HEALTHY), 7.0))
    (record,) = heard
    assert (record.type, record.at, record.target.labels) == ("state_change", 7.0, {"team": "chat"})


async def test_a_result_has_the_state_after_it(world: World, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []
    monkeypatch.setattr(Lane, "put", lambda lane, record: heard.append(record))
    room.take([spec("a")])
    room.result(result(world))
    world.watch(job())
    world.judge("assistant", State.ZOMBIE)
    room.result(result(world))
    assert [record.state for record in heard] == [None, State.ZOMBIE]
    assert [record.fields()["state"] for record in heard] == [None, State.ZOMBIE]


async def test_a_reload_leaves_alone_what_did_not_change(world: World, room: Room) -> None:
    room.take([spec("a"), spec("b")])
    first = dict(room._lanes)
    room.take([spec("b"), spec("a"), spec("c")])
    assert {name: room._lanes[name] for name in "ab"} == first
    room.take([spec("a", queue=7), spec("b"), spec("c")])
    assert room._lanes["a"] is not first["a"]
    assert room._lanes["b"] is first["b"]
    await settled(lambda: room.made[0].closed)
    room.result(result(world))
    await settled(lambda: room.delivered() == [0, 1, 1, 1])


async def test_one_that_is_gone_delivers_and_leaves_no_series(world: World, room: Room) -> None:
    room.take([spec("a", flush=60.0), spec("b")])
    room.result(result(world))
    room.take([spec("b")])
    await settled(lambda: room.made[0].closed)
    assert room.delivered()[0] == 1
    await settled(lambda: all(set(counts) == {"b"} for counts in world.ledger.own.sinks))


async def test_a_name_may_come_back(world: World, room: Room) -> None:
    room.take([spec("a")])
    room.take([])
    room.take([spec("a")])
    await settled(lambda: room.made[0].closed)
    await asyncio.sleep(0)
    room.result(result(world))
    await settled(lambda: world.ledger.own.sink_written["a"] == 1)


async def test_the_end_delivers_what_every_sink_took(world: World, room: Room) -> None:
    room.take([spec("a", flush=60.0), spec("b", flush=60.0)])
    for _ in range(10):
        room.result(result(world))
    await room.close(30)
    assert room.delivered() == [10, 10]
    assert all(sink.closed for sink in room.made)
    room.result(result(world))
    assert world.ledger.own.sink_queued == {"a": 10, "b": 10}


async def test_a_config_makes_sinks(world: World, tmp_path: Path) -> None:
    from exporter.config import build, loader

    (tmp_path / "c.yml").write_text(
        """
targets: []
sinks:
  - jsonl: {path: out.jsonl, rotate: 1MB, keep: 2}
  - {name: two, webhook: {url: "https://x/in/?a=b", secret: s3cr3t, headers: {A: s3cr3t-2}}, only: [result]}
  - {otlp: {url: "HTTP://x:1", protocol: grpc, resource: {a: b}}, flush: 5s, queue: 5, batch: 2}
"""
    )
    file = loader.load([tmp_path / "c.yml"]).file
    again = loader.load([tmp_path / "c.yml"]).file
    one, two, three = build.build(file).sinks
    assert build.build(again).sinks == (one, two, three)
    assert (one.name, one.what) == ("jsonl", Jsonl(str(tmp_path / "out.jsonl"), 1_000_000, 2))
    assert (two.what.to.url, two.writers, two.only) == ("https://x/in/?a=b", 2, {"result"})  # type: ignore[union-attr]
    assert (three.what.to.url, three.flush, three.writers) == ("http://x:1", 5.0, 1)  # type: ignore[union-attr]
    assert "s3cr3t" not in build.dump(build.build(file)) + repr((one, two, three))
    fanout = Fanout(world.ledger, lambda: None)  # type: ignore[arg-type, return-value]
    fanout.take((one, two, three))
    assert set(fanout._lanes) == {"jsonl", "two", "otlp"}
    await fanout.close(1)
