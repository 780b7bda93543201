"""Servers that give one answer for several troubles: what our protocols make of it."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from threading import Thread
from typing import Any

import pytest

from exporter.model.failure import Reason
from exporter.model.result import Result
from exporter.model.stream import Outcome
from tests.real.conformance.conftest import chosen
from tests.real.conformance.running import QUICK, Running
from tests.real.conformance.spec import served_by
from tests.support import web

pytestmark = pytest.mark.real


class Server:
    """A running server, and what its owner does to it."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.canary = running.spec.canaries[0][1]
        self.switch("")

    def switch(self, word: str) -> None:
        """How its models misbehave from now on."""
        (self.running.place.folder / "switch").write_text(word)

    def send(self, method: str, url: str, body: bytes | None = None) -> None:
        """A request of somebody else's, whatever its answer."""
        with suppress(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=60).close()

    def ask(self, kind: str, settings: Mapping[str, Any] | None = None, *, model: str | None = None) -> Result:
        """One probe; a canary is the spec's own."""
        if settings is None and kind == "infer":
            settings = self.canary
        return self.running.ask(kind, settings, model=model, retry=False, timeout=QUICK * 5)

    def becomes(self, kind: str, what: Reason | None, *, model: str | None = None, detail: str = "") -> None:
        """Ask until a probe finds this."""

        def found() -> bool:
            result = self.running.ask(
                kind, self.canary if kind == "infer" else None, model=model, retry=False, timeout=QUICK
            )
            return result.reason is what and detail in result.detail

        web.until(f"{kind} to be {what or 'healthy'}", found, within=60, log=self.running.tail)

    def reasons(self, *kinds: str, model: str | None = None) -> list[Reason | None]:
        """What probes of these kinds find."""
        return [self.ask(kind, model=model).reason for kind in kinds]


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    spec = next(spec for spec in chosen() if spec.name == request.param)
    running = Running(spec, tmp_path_factory.mktemp(spec.name))
    try:
        running.start()
        yield Server(running)
    finally:
        running.end()


@pytest.fixture
def crowd() -> Iterator[Callable[..., None]]:
    """`crowd(send, *arguments)`: eight at once, which are waited for at the end."""
    threads: list[Thread] = []

    def send(what: Callable[..., None], *arguments: Any) -> None:
        threads.extend(Thread(target=what, args=arguments) for _ in range(8))
        for thread in threads:
            thread.start()

    yield send
    for thread in threads:
        thread.join()


@served_by("triton")
def test_triton_says_400_for_a_model_that_loads_and_for_others(server: Server) -> None:
    url = f"{server.running.url}/v2/repository/models/late"
    assert server.reasons("ready", "metadata", "infer", model="late") == [Reason.MODEL_NOT_FOUND] * 3
    server.switch("loading")
    loading = Thread(target=server.send, args=("POST", f"{url}/load"))
    loading.start()
    server.becomes("ready", Reason.NOT_READY, model="late")
    assert server.reasons("ready", "metadata", "infer", model="late") == [Reason.NOT_READY] * 3
    assert server.reasons("ready", model="") == [Reason.NOT_READY], "the server is not ready while any model loads"
    assert server.reasons("ready", "infer") == [None, None]
    server.switch("")
    loading.join()
    assert server.reasons("ready", "metadata", "infer", model="late") == [None] * 3
    server.send("POST", f"{url}/unload")
    server.becomes("ready", Reason.MODEL_NOT_FOUND, model="late", detail="unloaded")
    assert server.reasons("ready", "metadata", "infer", model="late") == [Reason.MODEL_NOT_FOUND] * 3


@served_by("triton")
def test_triton_refuses_when_its_queue_is_full(server: Server, crowd: Callable[..., None]) -> None:
    body = b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}'
    server.switch("hang")
    try:
        crowd(server.send, "POST", f"{server.running.url}/v2/models/iris/infer", body)
        server.becomes("infer", Reason.OVERLOADED)
        assert server.reasons("ready", "health") == [None, None]
    finally:
        server.switch("")


@served_by("triton_generate")
def test_triton_puts_an_error_into_a_stream(server: Server) -> None:
    stepping = Thread(target=lambda: (time.sleep(0.06), server.switch("break")))
    stepping.start()
    result = server.ask("stream", {})
    stepping.join()
    server.switch("")
    if result.observation.stream is not None:
        assert (result.reason, result.observation.stream.outcome) == (Reason.ERROR_EVENT, Outcome.ERROR_EVENT)
    else:  # it broke before the first word: then the status says so
        assert (result.reason, result.measurement.http_status) == (Reason.HTTP_STATUS, 400)


@served_by("torchserve")
def test_torchserve_refuses_alike_with_a_full_queue_and_without_workers(
    server: Server, crowd: Callable[..., None]
) -> None:
    management = server.running.spec.target(server.running.place)["management"]
    server.switch("hang")
    try:
        crowd(server.send, "POST", f"{server.running.url}/predictions/iris", b'{"rows":[[5.1,3.5,1.4,0.2]]}')
        server.becomes("infer", Reason.OVERLOADED)
        assert server.reasons("ready", "health") == [None, None]
    finally:
        server.switch("")
    server.becomes("infer", None)

    server.send("PUT", f"{management}/models/iris?min_worker=0&max_worker=0&synchronous=true")
    assert server.reasons("infer", "ready", "health") == [Reason.NOT_READY, Reason.NOT_READY, None]
    server.switch("loading")
    server.send("PUT", f"{management}/models/iris?min_worker=1")
    server.becomes("ready", Reason.NOT_READY, detail="UNLOADING")
    assert server.reasons("ready", "health") == [Reason.NOT_READY, None]
    server.switch("")
    server.becomes("ready", None)
    server.becomes("infer", None)


@served_by("kserve_v1")
def test_kserve_says_503_of_a_model_that_is_not_ready(server: Server) -> None:
    server.switch("unready")
    assert server.reasons("ready", "infer", "health") == [Reason.NOT_READY, Reason.NOT_READY, None]
    server.switch("")
    assert server.reasons("ready", "infer") == [None, None]
