"""Whatever a server answers, no protocol reads a large body on the loop that measures."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from exporter import protocols
from exporter.contracts import Headers, Response
from exporter.model.failure import Asleep, Failure
from exporter.model.job import Kind
from exporter.protocols import reading
from tests.protocols.scripted import FakeExchange, Scripted

#: An answer to everything, by most protocols' rules.
ENTRY = {"id": "m", "name": "m", "model": "m", "state": "READY", "modelName": "m", "status": "AVAILABLE"}
OBJECT = {
    "name": "m", "id": "m", "version": "1", "versions": ["1"], "ready": True, "live": True, "status": "Healthy",
    "models": [ENTRY] * 1000, "data": [ENTRY] * 1000, "inputs": [], "outputs": [], "predictions": [[1.0]],
    "info": {"version": "1"}, "model_id": "m", "model_type": "embedding", "unix": 1, "padding": "x" * reading.LARGE,
    "object": "list", "model_version_status": [{"version": "1", "state": "AVAILABLE"}], "routes": [],
}  # fmt: skip
BODIES = {"object": json.dumps(OBJECT).encode(), "list": json.dumps([ENTRY] * 3000).encode()}
#: What asks in another way than over HTTP, or only by settings that have no default.
NOT_HERE = {("tcp", Kind.HEALTH), ("grpc_health", Kind.HEALTH), ("grpc_health", Kind.READY),
            ("bentoml", Kind.INFER), ("bentoml", Kind.STREAM), ("seldon", Kind.INFER)}  # fmt: skip
ASKED = [
    (name, kind)
    for name in protocols.NAMES
    for kind in protocols.load(name).kinds
    if kind is not Kind.STREAM and (name, kind) not in NOT_HERE
]
STREAMED = [
    name
    for name in protocols.NAMES
    if Kind.STREAM in protocols.load(name).kinds and (name, Kind.STREAM) not in NOT_HERE
]
EVENTS = {
    "text/event-stream": b"data: " + BODIES["object"] + b"\n\n",
    "application/x-ndjson": BODIES["object"] + b"\n",
}


class Everywhere(FakeExchange):
    """Whatever is asked, the answer is one and the same."""

    def __init__(self, body: bytes) -> None:
        super().__init__({})
        self._body = body

    async def request(self, method: str, path: str, **more: Any) -> Response:
        return Response(200, Headers((("content-type", "application/json"),)), self._body, self.clock)

    def beside(self, where: str | int) -> "Everywhere":
        return self


class Streaming(Everywhere):
    """The same as a stream: in one read, and the last event, which is not at its end, in another."""

    def __init__(self, media: str) -> None:
        super().__init__(b"{}")
        self._media = media

    @asynccontextmanager
    async def stream(self, method: str, path: str, **more: Any) -> AsyncIterator[Scripted]:
        event = EVENTS[self._media]
        script = [(101.0, event * 3), (102.0, event.rstrip()), (103.0, None)]
        yield Scripted(self, 200, Headers((("content-type", self._media),)), script)


@pytest.fixture
def on_the_loop(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what is parsed where it must not be."""
    wrong: list[int] = []

    def watched(real: Any) -> Any:
        def parse(text: Any, **more: Any) -> Any:
            with suppress(RuntimeError):
                asyncio.get_running_loop()
                if len(text) > reading.LARGE:
                    wrong.append(len(text))
            return real(text, **more)

        return parse

    monkeypatch.setattr(reading, "from_json", watched(reading.from_json))
    monkeypatch.setattr(json, "loads", watched(json.loads))
    monkeypatch.setattr(reading, "_LONGEST_REST", 0.0)
    return wrong


@pytest.mark.parametrize("form", BODIES)
@pytest.mark.parametrize(("name", "kind"), ASKED, ids=str)
async def test_no_large_body_is_parsed_on_the_loop(name: str, kind: Kind, form: str, on_the_loop: list[int]) -> None:
    made = protocols.load(name)
    asked = made(model="m", path="", query="", settings=made.kinds[kind](), options=made.options())
    with suppress(Failure, Asleep):
        await getattr(asked, kind.value)(Everywhere(BODIES[form]))
    assert not on_the_loop, "parsed on the loop"


@pytest.mark.parametrize("media", EVENTS)
@pytest.mark.parametrize("name", STREAMED)
async def test_no_large_event_is_parsed_on_the_loop(name: str, media: str, on_the_loop: list[int]) -> None:
    made = protocols.load(name)
    asked = made(model="m", path="", query="", settings=made.kinds[Kind.STREAM](), options=made.options(), wake=True)
    with suppress(Failure, Asleep):
        await asked.stream(Streaming(media))
    assert not on_the_loop, "parsed on the loop"
