import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from exporter.model.failure import Reason
from exporter.model.observation import Observation
from exporter.model.state import State, StateChange, Verdict
from exporter.model.stream import Channel, Outcome, StreamSummary
from exporter.web import events as events_module

from .conftest import WALL, make_job, make_result  # type: ignore[import-not-found]

Client = TestClient[Any, Any]


def change(name: str = "chat", to: State = State.ERROR, **verdict: Any) -> StateChange:
    return StateChange(name, "llama", State.HEALTHY, Verdict(to, **verdict), WALL)


class Heard:
    """What one client hears, event by event."""

    def __init__(self, answer: ClientResponse) -> None:
        self.answer = answer

    async def lines(self) -> list[str]:
        """The lines up to the next empty one; [] when the stream has ended."""
        lines: list[str] = []
        async with asyncio.timeout(30):
            while line := (await self.answer.content.readline()).decode():
                if line == "\n":
                    return lines
                lines.append(line.rstrip("\n"))
        return lines

    async def event(self) -> dict[str, Any]:
        """The next event: its type, its id and its data."""
        lines: list[str] = []
        while not any(line.startswith("event:") for line in lines):
            lines = await self.lines()
            assert lines, "the stream ended"
        found = dict(line.split(": ", 1) for line in lines)
        return {"event": found["event"], "id": found.get("id"), "data": json.loads(found["data"])}


@asynccontextmanager
async def listening(client: Client, query: str = "", known: str = "") -> AsyncIterator[Heard]:
    headers = {"Last-Event-ID": known} if known else {}
    async with client.get(f"/api/v1/events{query}", headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        heard = Heard(answer)
        assert await heard.lines() == [f"retry: {events_module.RETRY}"]
        yield heard


async def test_a_change_of_state_is_heard(client: Client, house: Any) -> None:
    async with listening(client) as heard:
        [here] = await heard.lines()
        house.events.changed(change(reason=Reason.RESET, detail='a\nb "c"', probe="stream", verified=True))
        told = await heard.event()
    assert told["event"] == "state"
    assert told["id"] != here.removeprefix("id: ")
    assert told["data"] == {
        "target": "chat", "model": "llama", "from": "healthy", "to": "error", "reason": "reset", "detail": 'a\nb "c"',
        "probe": "stream", "verified": True, "at": "2027-01-15T08:00:00.000Z",
    }  # fmt: skip


async def test_runs_are_for_those_who_ask(client: Client, house: Any) -> None:
    stream = StreamSummary(Outcome.COMPLETE, {Channel.CONTENT: 0.25}, (), 0.1, 1.0, 9, None, None)
    seen = Observation(stream=stream, answer="s3cr3t-answer")
    async with listening(client) as plain, listening(client, "?kind=run&target=b&target=c") as asked:
        house.events.ran(make_result(make_job("a")))
        house.events.ran(make_result(make_job("b", "deep"), Reason.TIMEOUT, detail="late", observation=seen))
        house.events.changed(change("b"))
        assert (await plain.event())["event"] == "state"
        told = await asked.event()
        house.events.ran(make_result(make_job("c")))
        assert (await asked.event())["data"]["target"] == "c", "state was not asked for"
    assert (told["event"], told["id"]) == ("run", None)
    assert told["data"] == {
        "target": "b", "probe": "deep", "kind": "health", "status": "error", "reason": "timeout", "detail": "late",
        "at": "2027-01-15T08:00:00.000Z", "duration_seconds": 0.0123, "ttft_seconds": {"content": 0.25}, "attempts": 1,
        "http_status": 200, "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }  # fmt: skip


async def test_who_comes_back_gets_what_it_missed(client: Client, house: Any) -> None:
    async with listening(client) as heard:
        house.events.changed(change("a"))
        known = (await heard.event())["id"]
    for name in ("b", "c", "b"):
        house.events.changed(change(name))
    async with listening(client, known=known) as heard:
        assert [(await heard.event())["data"]["target"] for _ in range(3)] == ["b", "c", "b"]
    async with listening(client, "?target=c&kind=state", known=known) as heard:
        assert (await heard.event())["data"]["target"] == "c"
        [here] = await heard.lines()
    async with listening(client, known=here.removeprefix("id: ")) as heard:
        house.events.changed(change("d"))
        assert (await heard.event())["data"]["target"] == "d", "nothing was missed"


@pytest.mark.parametrize("known", ["another-1", "x", "{start}-99", "{start}-", "{start}--1", "{start}-1", "{start}-٣"])
async def test_what_is_not_known_any_more_is_said(
    monkeypatch: pytest.MonkeyPatch, client: Client, house: Any, known: str
) -> None:
    house.events._past = type(house.events._past)(maxlen=3)
    for _ in range(5):  # 3, 4 and 5 are kept
        house.events.changed(change())
    text = known.format(start=house.events._start)
    if not text.isascii():
        text = text.encode().decode("latin-1")
    async with listening(client, known=text) as heard:
        told = await heard.event()
        assert (told["event"], told["data"]) == ("reset", {})
        assert told["id"] == f"{house.events._start}-5"
    async with listening(client, known=f"{house.events._start}-2") as heard:
        assert (await heard.event())["id"] == f"{house.events._start}-3"


async def test_an_event_is_written_once_and_never_for_nobody(
    monkeypatch: pytest.MonkeyPatch, client: Client, house: Any
) -> None:
    written: list[str] = []
    write = events_module._event
    monkeypatch.setattr(events_module, "_event", lambda *values: written.append(values[0]) or write(*values))
    house.events.changed(change())
    house.events.ran(make_result(make_job()))
    assert written == []
    async with listening(client) as one, listening(client) as two, listening(client, "?target=x") as other:
        house.events.changed(change())
        house.events.ran(make_result(make_job()))
        assert await one.event() == await two.event()
        assert written == ["state"]
        house.events.changed(change("x"))
        assert (await other.event())["data"]["target"] == "x"


async def test_a_client_that_falls_behind_is_let_go(client: Client, house: Any) -> None:
    async with listening(client) as heard:
        [here] = await heard.lines()
        for _ in range(events_module.BACKLOG + 1):  # within one turn of the loop: nothing can be sent meanwhile
            house.events.changed(change())
        assert await heard.lines() == []
        assert not house.events._listeners
    async with listening(client, known=here.removeprefix("id: ")) as heard:
        assert (await heard.event())["event"] == "state"  # it goes on where it was


async def test_no_more_clients_than_there_are_places(
    monkeypatch: pytest.MonkeyPatch, client: Client, house: Any
) -> None:
    monkeypatch.setattr(events_module, "CLIENTS", 2)
    async with listening(client), listening(client):
        refused = await client.get("/api/v1/events")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        assert "error" in await refused.json()
    async with asyncio.timeout(30):  # both have left; a place is free as soon as that is known
        while (answer := await client.get("/api/v1/events")).status != 200:
            await asyncio.sleep(0.01)
        answer.close()


async def test_silence_is_broken_so_that_the_connection_is_kept(
    monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setattr(events_module, "HEARTBEAT", 0.05)
    async with listening(client) as heard:
        await heard.lines()
        assert await heard.lines() == [":"]
        assert await heard.lines() == [":"]


async def test_streams_end_when_the_exporter_does(client: Client, house: Any) -> None:
    async with listening(client) as heard:
        await heard.lines()
        await client.app.shutdown()
        assert await heard.lines() == []


async def test_what_is_asked_wrongly_is_said(client: Client) -> None:
    answer = await client.get("/api/v1/events?kind=state&kind=nonsense")
    assert answer.status == 400
    assert (await answer.json())["error"] == "kind: there is no 'nonsense'; allowed: state, run"
    assert (await client.head("/api/v1/events")).status == 200
