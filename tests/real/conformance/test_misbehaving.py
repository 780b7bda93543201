"""Servers of applications that misbehave on purpose, by the words of tests/real/servers/switch.py."""

import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from exporter.model.failure import Reason, Status
from exporter.model.stream import Outcome
from tests.real.conformance.conftest import specs
from tests.real.conformance.running import QUICK, Running

pytestmark = pytest.mark.real

#: Those that know these words.
APPLICATIONS = [spec for spec in specs() if spec.name in ("bentoml", "litserve", "ray")]


@pytest.fixture(scope="module", params=APPLICATIONS, ids=lambda spec: spec.name)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(request.param, tmp_path_factory.mktemp(request.param.name))
    try:
        running.start()
        yield running
    finally:
        running.end()


@pytest.fixture(autouse=True)
def switch(server: Running) -> Iterator["Switch"]:
    """Everything is off before and after."""
    switch = Switch(server)
    switch.set("")
    yield switch
    switch.set("")


class Switch:
    """Says how the server misbehaves from now on."""

    def __init__(self, server: Running) -> None:
        self._path = server.place.folder / "switch"

    def set(self, word: str) -> None:
        self._path.write_text(word)


def reason(server: Running, kind: str, timeout: float = QUICK * 10) -> Reason | None:
    """What one probe finds, a canary with the settings of the spec."""
    return server.ask(kind, dict(server.spec.canaries).get(kind), retry=False, timeout=timeout).reason


def test_not_ready_by_its_own_word(server: Running, switch: Switch) -> None:
    kind = {"bentoml": "ready", "litserve": "health"}.get(server.spec.name)
    if kind is None:  # its proxy knows no such word
        return
    switch.set("unready")
    assert reason(server, kind) is Reason.NOT_READY
    assert reason(server, "infer") is None
    switch.set("")
    assert reason(server, kind) is None


def test_alive_while_requests_hang(server: Running, switch: Switch) -> None:
    assert reason(server, "infer") is None
    switch.set("hang")
    assert reason(server, "infer", QUICK) is Reason.TIMEOUT
    assert reason(server, "stream", QUICK) in (Reason.TIMEOUT, Reason.TIMEOUT_FIRST_TOKEN)
    for kind in server.spec.default:
        assert reason(server, kind) is None, kind
    switch.set("")
    assert reason(server, "infer") is None


def test_a_stream_that_breaks_in_the_middle(server: Running, switch: Switch) -> None:
    settings = dict(server.spec.canaries)["stream"]
    switch.set("break")
    result = server.ask("stream", settings, retry=False)
    stream = result.observation.stream
    assert stream is not None
    assert stream.token_events
    if server.spec.name == "ray":
        assert (result.reason, stream.outcome) == (Reason.TRUNCATED, Outcome.DISCONNECTED)
        return
    # The others end it as if it were whole: only what is expected of the answer tells.
    assert (result.reason, stream.outcome) == (Reason.EXPECTATION, Outcome.COMPLETE)
    blind = {key: value for key, value in settings.items() if key != "expect"}
    assert server.ask("stream", blind, retry=False).status is Status.HEALTHY


def test_more_requests_than_it_takes(server: Running, switch: Switch) -> None:
    if server.spec.name != "ray":  # the others queue without a bound
        return
    body = json.dumps(dict(server.spec.canaries)["infer"]["body"]).encode()

    def fill() -> None:
        request = urllib.request.Request(server.url, body, {"Content-Type": "application/json"})
        with contextlib.suppress(urllib.error.HTTPError):  # it may be refused as well
            urllib.request.urlopen(request, timeout=60).close()

    switch.set("hang")
    waiting = [threading.Thread(target=fill) for _ in range(4)]
    for thread in waiting:
        thread.start()
    until_refused = [reason(server, "infer", QUICK) for _ in range(5)]
    switch.set("")
    for thread in waiting:
        thread.join()
    assert Reason.OVERLOADED in until_refused
    assert set(until_refused) <= {Reason.OVERLOADED, Reason.TIMEOUT}
