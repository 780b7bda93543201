"""What canaries leave of an Ollama server's memory: exactly what was there."""

import json
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from exporter.model.endpoint import Endpoint
from exporter.model.failure import Asleep
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.transport import Transport
from tests.protocols.scripted import build
from tests.real.conformance.running import Running
from tests.real.conformance.servers import ollama
from tests.real.conformance.spec import served_by

pytestmark = [pytest.mark.real, served_by("ollama")]


class Server:
    """Ollama, and what its owner asks of it."""

    def __init__(self, running: Running) -> None:
        self.running = running

    def ask(self, route: str, body: Any = None) -> Any:
        """A request of the owner's."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.running.url}{route}", data, timeout=60) as answer:
            return json.load(answer)

    def use(self, **more: Any) -> None:
        """The owner uses the model."""
        self.ask("/api/generate", {"model": ollama.MODEL, "prompt": "x", "stream": False, **more})

    def unload(self) -> None:
        """The owner lets it go."""
        self.ask("/api/generate", {"model": ollama.MODEL, "keep_alive": 0})
        until = time.perf_counter() + 30
        while self.loaded() is not None:
            assert time.perf_counter() < until
            time.sleep(0.05)

    def loaded(self) -> dict[str, Any] | None:
        """The model in memory."""
        models = self.ask("/api/ps")["models"]
        return models[0] if models else None

    def loads(self) -> int:
        """How often it has loaded a model so far, by its log."""
        log = self.running.place.folder / f"{self.running.spec.name}.err"
        return log.read_text(errors="replace").count("llama runner started")

    def expiry(self) -> datetime:
        """When it will go."""
        loaded = self.loaded()
        assert loaded is not None
        return datetime.fromisoformat(loaded["expires_at"])

    def left(self) -> float:
        """Seconds until then."""
        return (self.expiry() - datetime.now(UTC)).total_seconds()


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Running(ollama.SPECS[0], tmp_path_factory.mktemp("residency"))
    try:
        running.start()
        yield Server(running)
    finally:
        running.end()


@pytest.fixture
async def canary(server: Server) -> AsyncIterator[Callable[..., Any]]:
    """One canary. All of a test are those of one target."""
    transport = Transport(user_agent="test")
    memory: dict[str, Any] = {}

    async def run(kind: str, own: dict[str, Any] | None = None, *, wake: bool = False) -> Observation:
        exchange = transport.exchange(
            Endpoint("http", "127.0.0.1", server.running.place.port),
            deadline=time.perf_counter() + 30,
            trace_id="0" * 31 + "1",
            memory=memory,
        )
        try:
            found: Observation = await getattr(build("ollama", Kind(kind), own, model=ollama.MODEL, wake=wake), kind)(
                exchange
            )
            assert found.failure is None, found.failure
            return found
        finally:
            await exchange.close()

    yield run
    await transport.close()


async def test_asleep(server: Server, canary):
    server.unload()
    for kind in ("infer", "stream"):
        with pytest.raises(Asleep, match="not loaded"):
            await canary(kind)
    assert (await canary("metadata")).facts["loaded"] == 0
    assert server.loaded() is None


@pytest.mark.parametrize(
    ("kind", "own"), [("infer", {}), ("stream", {}), ("infer", {"api": "chat"}), ("infer", {"api": "embed"})]
)
async def test_a_canary_keeps_nothing_awake(server: Server, canary, kind, own):
    server.use(keep_alive="60s")
    before = server.expiry()
    while server.left() > 58:  # what is left, and what the owner asked for, must be two things
        time.sleep(0.1)
    for _ in range(3):
        await canary(kind, own)
    lost = (before - server.expiry()).total_seconds()
    # Its clock is shown to the second: each canary may take up to one from the model's time, and adds none.
    assert -0.5 < lost < 4


async def test_what_is_held_for_ever_stays_so(server: Server, canary):
    server.use(keep_alive=-1)
    await canary("infer")
    assert server.expiry().year > 2200
    server.use(keep_alive="60s")


async def test_what_is_about_to_go_is_left_alone(server: Server, canary):
    server.use(keep_alive="900ms")
    with pytest.raises(Asleep):
        await canary("infer")
    server.unload()


async def test_waking_pins_nothing(server: Server, canary):
    server.unload()
    await canary("infer", wake=True)
    loaded = server.loaded()
    assert loaded is not None
    assert 200 < server.left() < 310  # its own default of five minutes


async def test_a_model_is_not_loaded_anew_for_another_context(server: Server, canary):
    """Each load takes time, and throws away what the owner's requests left in the cache."""
    server.use(options={"num_ctx": 512})
    before = server.loads()
    await canary("infer")
    loaded = server.loaded()
    assert loaded is not None
    assert loaded["context_length"] == 512
    assert server.loads() == before
