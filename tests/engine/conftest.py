"""Virtual time: hours of schedule in milliseconds, and fake servers to probe."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from exporter.contracts import AskMany
from exporter.engine import Engine, Limits
from exporter.ledger import Ledger
from exporter.model.cost import ONE_REQUEST, Allowance, Cost
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Asleep, Failure, Reason
from exporter.model.job import Job, Kind, ReadLoad, Retry, Schedule, Scope, Thresholds, Within
from exporter.model.load import Load
from exporter.model.maintenance import Window
from exporter.model.observation import Measurement, Observation
from exporter.model.result import Result
from exporter.model.state import State, StateChange
from exporter.model.target import Target

START = 1000.0
EPOCH = 1_700_000_000.0


class _Selector(selectors.SelectSelector):
    """Instead of waiting, moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("nothing will ever happen again")
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = _Selector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now

    def freeze(self, seconds: float) -> None:
        """The process stands still: time goes on, nothing runs."""
        self.selector.now += seconds


class FakeExchange:
    def __init__(self, world: "World", job: Job, deadline: float, trace_id: str) -> None:
        self.world, self.job, self.deadline, self.trace_id = world, job, deadline, trace_id
        self.opened = world.now
        self.closed: float | None = None
        self.memory: dict[str, Any] = {}
        self.close_error: Exception | None = None

    def now(self) -> float:
        return self.world.now

    def measured(self) -> Measurement:
        return Measurement(duration=self.world.now - self.opened)

    def redact(self, text: str, *, asked: bool = False) -> str:
        return text.replace("s3cr3t", "***")

    def told(self, began: float) -> str:
        return f"> asked at {self.opened - began:g}"

    async def close(self) -> None:
        self.closed = self.world.now
        if self.close_error is not None:
            raise self.close_error


Answer = Callable[[FakeExchange], Awaitable[Observation]]


def ok(latency: float = 0.01) -> Answer:
    async def answer(exchange: FakeExchange) -> Observation:
        await asyncio.sleep(latency)
        return Observation()

    return answer


def fails(reason: Reason, detail: str = "", *, latency: float = 0.001, observed: bool = False, **more: Any) -> Answer:
    async def answer(exchange: FakeExchange) -> Observation:
        await asyncio.sleep(latency)
        if observed:
            return Observation(failure=Failure(reason, detail, **more))
        raise Failure(reason, detail, **more)

    return answer


async def hang(exchange: FakeExchange) -> Observation:
    """As the transport does it: the deadline passes, Failure."""
    await asyncio.sleep(max(0.0, exchange.deadline - exchange.now()))
    raise Failure(Reason.TIMEOUT, "no answer")


async def stuck(exchange: FakeExchange) -> Observation:
    """What never ends by itself, whatever the deadline."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError


refused = fails(Reason.CONNECT_REFUSED, "connection refused")


def asleep(detail: str = "the model is not loaded") -> Answer:
    """As a protocol does it that must not wake a model: it looked, and asks nothing."""

    async def answer(exchange: FakeExchange) -> Observation:
        await asyncio.sleep(0.001)
        raise Asleep(detail)

    return answer


class Telling:
    """A server that tells its load: `now` is what it says, or how it fails; `read` is when it was asked."""

    def __init__(self, world: "World", now: Load | Failure | None, latency: float = 0.002) -> None:
        self.world, self.now, self.latency = world, now, latency
        self.read: list[float] = []
        self.at_once = self.most_at_once = 0

    async def __call__(self, exchange: FakeExchange) -> Load | None:
        self.read.append(self.world.now)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        left = exchange.deadline - exchange.now()
        try:
            await asyncio.sleep(min(self.latency, left))
        finally:
            self.at_once -= 1
        if self.latency >= left:
            raise Failure(Reason.TIMEOUT, "no answer")
        if isinstance(self.now, Failure):
            raise self.now
        return self.now


class Server:
    """Answers by probe name; a probe that has no answer of its own gets `default`."""

    def __init__(self, world: "World", **answers: Answer) -> None:
        self.world = world
        self.answers = answers
        self.down: Answer | None = None
        self.runs: list[tuple[float, str]] = []

    def ask(self, probe: str) -> Answer:
        async def ask(exchange: FakeExchange) -> Observation:
            self.runs.append((self.world.now, probe))
            return await (self.down or self.answers[probe])(exchange)

        return ask

    def starts(self, probe: str) -> list[float]:
        return [at for at, name in self.runs if name == probe]


class World:
    """A loop on virtual time with an engine on it. `advance` lets time pass."""

    ok = staticmethod(ok)
    fails = staticmethod(fails)
    hang = staticmethod(hang)
    stuck = staticmethod(stuck)
    refused = staticmethod(refused)
    asleep = staticmethod(asleep)
    Exchange = FakeExchange

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.exchanges: list[FakeExchange] = []
        self.aside: list[FakeExchange] = []
        self.changes: list[tuple[float, StateChange]] = []
        self.results: list[Result] = []
        self.dice = 1.0
        self.ledger = Ledger(clock=self.loop.time, wall=self.wall)
        self.engine = self.make()
        self.turning: asyncio.Task[None] | None = None
        self.complaints: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context))

    def make(
        self,
        limits: Limits = Limits(),  # noqa: B008
        *,
        windows: bool = True,
        ask_many: AskMany | None = None,
    ) -> Engine:
        self.engine = Engine(
            ledger=self.ledger,
            open_exchange=self.open,
            limits=limits,
            on_change=lambda change: self.changes.append((self.now, change)),
            on_result=self.results.append,
            clock=self.loop.time,
            wall=self.wall,
            sleep=asyncio.sleep,
            random=lambda: self.dice,
            windows=windows,
            ask_many=ask_many,
        )
        return self.engine

    def open(self, job: Job, deadline: float, trace_id: str, *, aside: bool = False) -> FakeExchange:
        exchange = FakeExchange(self, job, deadline, trace_id)
        (self.aside if aside else self.exchanges).append(exchange)
        return exchange

    @property
    def now(self) -> float:
        """Seconds since the world began."""
        return self.loop.time()

    def wall(self) -> float:
        return EPOCH + self.loop.time()

    def server(self, **answers: Answer) -> Server:
        return Server(self, **answers)

    def telling(self, now: Load | Failure | None, latency: float = 0.002) -> Telling:
        return Telling(self, now, latency)

    def job(
        self,
        server: "Server | Answer",
        target: str = "t",
        probe: str = "health",
        kind: Kind | None = None,
        *,
        interval: float = 15.0,
        timeout: float = 5.0,
        recheck: float | None = None,
        retry: Retry | None = None,
        thresholds: Thresholds | None = None,
        scope: Scope = Scope.MODEL,
        host: str | None = None,
        port: int = 8000,
        startup: float = 0.0,
        labels: dict[str, str] | None = None,
        fingerprint: str = "1",
        load: ReadLoad | None = None,
        accounts: bool = False,
        saturated_at: float | None = None,
        cost: Cost = ONE_REQUEST,
        budget: Allowance | None = None,
        maintenance: tuple[Window, ...] = (),
        within: Within | None = None,
        capability: str = "",
        evaluation: Any = None,
    ) -> Job:
        kind = kind or Kind(probe)
        return Job(
            target=Target(
                target, Endpoint("http", host or target, port), "fake", labels=labels or {}, startup=startup,
                saturated_at=saturated_at, budget=budget, maintenance=maintenance,
            ),
            probe=probe,
            kind=kind,
            schedule=Schedule(interval, timeout, min(interval, 5.0) if recheck is None else recheck),
            retry=retry or Retry(attempts=1 if kind.canary else 3),
            thresholds=thresholds or Thresholds(failure=2 if kind.canary else 1),
            ask=server.ask(probe) if isinstance(server, Server) else server,
            fingerprint=fingerprint,
            scope=scope,
            load=load, accounts=accounts,
            cost=cost,
            within=within,
            capability=capability,
            evaluation=evaluation,
        )  # fmt: skip

    def start(self, *jobs: Job) -> None:
        self.engine.reconcile(jobs)
        self.turning = self.loop.create_task(self.engine.run())
        self.advance(0)

    def pull(self, target: str = "t", probe: str | None = None) -> bool:
        """What runs on the loop in the product runs on the loop here."""

        async def pull() -> bool:
            if probe is None:
                return self.engine.pull(target)
            self.engine._pull(self.engine._watches[target].probes[probe], self.now)
            return True

        return self.loop.run_until_complete(pull())

    def ask(self, target: str, probe: str) -> bool:
        """As `pull`, of one probe."""

        async def ask() -> bool:
            return self.engine.ask(target, probe)

        return self.loop.run_until_complete(ask())

    def advance(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def advance_to(self, condition: Callable[[], bool], limit: float = 600.0) -> float:
        """Let time pass until something holds; how long it took."""
        begun = self.now

        async def wait() -> None:
            while not condition():
                assert self.now - begun < limit, "it never came"
                await asyncio.sleep(0.005)

        self.loop.run_until_complete(wait())
        return self.now - begun

    def state(self, target: str = "t") -> State:
        return self.ledger.targets[target].state

    def states(self, target: str = "t") -> list[State]:
        return [change.verdict.state for _, change in self.changes if change.target == target]

    def probe(self, target: str = "t", probe: str = "health") -> Any:
        return self.ledger.targets[target].probes[probe]

    def of(self, probe: str, target: str = "t") -> list[Result]:
        return [result for result in self.results if result.job.key == (target, probe)]

    def end(self) -> None:
        try:
            self.loop.run_until_complete(self.engine.drain(0.0))
            if self.turning is not None:
                self.turning.cancel()
                self.loop.run_until_complete(asyncio.gather(self.turning, return_exceptions=True))
            assert not asyncio.all_tasks(self.loop)
            assert all(exchange.closed is not None for exchange in (*self.exchanges, *self.aside))
            own = self.ledger.own
            assert (own.in_flight, own.waiting) == (0, 0)
            assert not self.complaints
        finally:
            self.loop.close()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("exporter.engine.lag.PERIOD", 1.0)  # hours of virtual time would be spent sampling
    world = World()
    yield world
    world.end()
