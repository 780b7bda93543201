"""Whatever a server answers, no protocol reads a large body on the loop that measures."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from exporter import protocols
from exporter.contracts import Headers, Response
from exporter.model.failure import Asleep, Failure
from exporter.model.job import Kind
from exporter.protocols import reading
from tests.protocols.scripted import FakeExchange

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
            ("bentoml", Kind.INFER), ("seldon", Kind.INFER)}  # fmt: skip
ASKED = [
    (name, kind)
    for name in protocols.NAMES
    for kind in protocols.load(name).kinds
    if kind is not Kind.STREAM and (name, kind) not in NOT_HERE
]


class Everywhere(FakeExchange):
    """Whatever is asked, the answer is one and the same."""

    def __init__(self, body: bytes) -> None:
        super().__init__({})
        self._body = body

    async def request(self, method: str, path: str, **more: Any) -> Response:
        return Response(200, Headers((("content-type", "application/json"),)), self._body, self.clock)

    def beside(self, where: str | int) -> "Everywhere":
        return self


@pytest.mark.parametrize("form", BODIES)
@pytest.mark.parametrize(("name", "kind"), ASKED, ids=str)
async def test_no_large_body_is_parsed_on_the_loop(
    name: str, kind: Kind, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    made = protocols.load(name)
    asked = made(model="m", path="", query="", settings=made.kinds[kind](), options=made.options())
    with suppress(Failure, Asleep):
        await getattr(asked, kind.value)(Everywhere(BODIES[form]))
    assert not wrong, "parsed on the loop"
