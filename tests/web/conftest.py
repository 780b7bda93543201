"""An application on real loopback connections, with doors a test can move."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestClient

from exporter.engine.maintenance import Maintenance
from exporter.ledger import Ledger
from exporter.metrics.exposition import Exposition
from exporter.model.endpoint import Endpoint
from exporter.model.failure import TABLE, Reason, Status
from exporter.model.job import Job, Kind, Retry, Schedule, Thresholds
from exporter.model.observation import Measurement, Observation
from exporter.model.result import Result
from exporter.model.state import State, Verdict
from exporter.model.target import Target
from exporter.rollout.query import answer as query_answer
from exporter.web.access import Access
from exporter.web.connection import Runner
from exporter.web.doors import Doors
from exporter.web.events import Events
from exporter.web.server import make_app

WALL = 1_800_000_000.0


async def _never(exchange: Any) -> Observation:
    raise AssertionError("a web test asks no model")


def make_job(name: str = "chat", probe: str = "health", *, kind: Kind = Kind.HEALTH, timeout: float = 5.0,
             endpoint: Endpoint | None = None, **target: Any) -> Job:  # fmt: skip
    place = endpoint or Endpoint("http", "127.0.0.1", 8000)
    return Job(
        target=Target(name, place, **target),
        probe=probe,
        kind=kind,
        schedule=Schedule(interval=15.0, timeout=timeout, recheck=5.0),
        retry=Retry(),
        thresholds=Thresholds(),
        ask=_never,
        fingerprint=f"{name}/{probe}",
    )


def make_result(
    job: Job,
    reason: Reason | None = None,
    *,
    generation: int = 1,
    detail: str = "",
    observation: Observation | None = None,
    at: float = WALL,
    duration: float = 0.0123,
) -> Result:
    row = TABLE[reason] if reason else None
    return Result(
        job=job,
        generation=generation,
        planned=100.0,
        started=100.0,
        ended=100.0 + duration,
        at=at,
        status=row.status if row else Status.HEALTHY,
        evidence=row.evidence if row else TABLE[Reason.INTERNAL].evidence,
        reason=reason,
        detail=detail,
        attempts=1,
        failures=(reason,) if reason else (),
        measurement=Measurement(
            duration=duration, phases={"connect": 0.001, "first_byte": 0.01}, http_status=200, response_bytes=17,
            address="127.0.0.1",
        ),
        observation=observation or Observation(),
        trace_id="0af7651916cd43dd8448eb211c80319c",
    )  # fmt: skip


@dataclass
class OnDemandSettings:
    allow: Sequence[str] = ()
    debug: bool = False
    concurrency: int = 50


@dataclass
class House:
    """Everything behind the doors, to be moved by a test."""

    ledger: Ledger = field(default_factory=lambda: Ledger(wall=lambda: WALL))
    healthy: bool = True
    ready: bool = True
    problems: Sequence[str] = ()
    reloads: int = 0
    config: str = "targets: []\n"
    on_demand: OnDemandSettings = field(default_factory=OnDemandSettings)
    addresses: dict[str, Sequence[str]] = field(default_factory=dict)
    looked_up: list[str] = field(default_factory=list)
    ran: list[Job] = field(default_factory=list)
    asked: list[tuple[str, str, str, str]] = field(default_factory=list)
    jobs: Callable[[str, str, str, str], Sequence[Job]] | None = None
    answer: Callable[[Job], Awaitable[Result]] | None = None
    found: dict[str, Sequence[Job]] = field(default_factory=dict)
    maintenance: Maintenance = field(default_factory=Maintenance)
    unread: Sequence[Target] = ()
    events: Events = field(default_factory=Events)
    pulled: list[tuple[str, str]] = field(default_factory=list)
    turning: bool = True

    def watch(self, name: str = "chat", state: State = State.HEALTHY, *, reason: Reason | None = None, detail: str = "",
              probes: Sequence[tuple[str, Kind]] = (("health", Kind.HEALTH),), **target: Any) -> list[Job]:  # fmt: skip
        jobs = [make_job(name, probe, kind=kind, **target) for probe, kind in probes]
        for job in jobs:
            self.ledger.add(job)
        if state is not State.UNKNOWN:
            self.ledger.judge(name, Verdict(state, reason, detail))
        return jobs

    def book(self, job: Job, reason: Reason | None = None, **values: Any) -> None:
        generation = self.ledger.targets[job.target.name].generation
        assert self.ledger.record(make_result(job, reason, generation=generation, **values))

    def _ask(self, target: str, probe: str) -> bool:
        self.pulled.append((target, probe))
        return self.turning

    async def _reload(self) -> Sequence[str]:
        self.reloads += 1
        return self.problems

    async def _resolve(self, host: str) -> Sequence[str]:
        self.looked_up.append(host)
        if host not in self.addresses:
            raise OSError("no such name")
        return self.addresses[host]

    async def _run(self, job: Job) -> Result:
        self.ran.append(job)
        return await self.answer(job) if self.answer else make_result(job)

    def _jobs_for(self, url: str, module: str, model: str, probe: str) -> Sequence[Job]:
        self.asked.append((url, module, model, probe))
        if self.jobs is not None:
            return self.jobs(url, module, model, probe)
        if module not in ("", "chat"):
            raise LookupError(f"unknown module {module!r}; known: chat")
        from exporter.web.admission import read

        place = read(url)
        endpoint = Endpoint(place.scheme, place.host, place.port, place.path)  # type: ignore[arg-type]
        name = f"{place.host}:{place.port}"
        kinds = (("health", Kind.HEALTH), ("stream", Kind.STREAM))
        jobs = [make_job(name, of, kind=kind, endpoint=endpoint, model=model) for of, kind in kinds]
        return [job for job in jobs if probe in ("", job.probe)]

    def doors(self) -> Doors:
        return Doors(
            ledger=self.ledger,
            exposition=Exposition(self.ledger),
            ailments=lambda: () if self.healthy else ("the wheel stands still",),
            ready=lambda: self.ready,
            reload=self._reload,
            config=lambda: self.config,
            on_demand=lambda: self.on_demand,
            jobs_for=self._jobs_for,
            jobs_found=lambda result: self.found.get(result.job.probe, ()),
            resolve=self._resolve,
            run=self._run,
            announced=lambda: self.maintenance.announced,
            announce=lambda wish: self.maintenance.announce(wish, WALL),
            withdraw=lambda name: self.maintenance.withdraw(name) is not None,
            ask=self._ask,
            events=self.events,
            gate=lambda query, records: query_answer(query, records, unread=lambda: self.unread),
        )


class Loopback(BaseTestServer):
    """The application as the app runs it: on its own kind of connections."""

    def __init__(self, app: web.Application, access: Access | None = None) -> None:
        super().__init__()
        self.app = app
        self.access = access

    async def _make_runner(self, **_: Any) -> web.AppRunner:  # type: ignore[override]
        return Runner(self.app, self.access, shutdown_timeout=0.1)


Open = Callable[..., Awaitable[TestClient[Any, Any]]]


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def open_client(house: House, aiohttp_client: Any) -> Open:
    async def start(
        config: Callable[[], str] | None = None, access: Access | None = None, **settings: Any
    ) -> TestClient[Any, Any]:
        doors = replace(house.doors(), config=config) if config else house.doors()
        if access is not None:
            settings["headers"] = lambda: access.headers
        made: TestClient[Any, Any] = await aiohttp_client(Loopback(make_app(doors, **settings), access))
        return made

    return start


@pytest.fixture
async def client(open_client: Open) -> TestClient[Any, Any]:
    return await open_client()


class Wire:
    """A client that says exactly what a test wants said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def hear(self) -> bytes:
        """Everything until the server closes."""
        heard = b""
        async with asyncio.timeout(30):
            while True:
                try:
                    piece = await self.reader.read(65536)
                except ConnectionError:
                    return heard
                if not piece:
                    return heard
                heard += piece

    async def ask(self, *parts: bytes) -> bytes:
        await self.say(*parts)
        return await self.hear()


@pytest.fixture
async def dial(client: TestClient[Any, Any]) -> AsyncIterator[Callable[[], Awaitable[Wire]]]:
    opened: list[Wire] = []

    async def connect() -> Wire:
        wire = Wire(*await asyncio.open_connection(client.host, client.port))
        opened.append(wire)
        return wire

    yield connect
    for wire in opened:
        wire.writer.close()
    await asyncio.gather(*(wire.writer.wait_closed() for wire in opened), return_exceptions=True)


__all__ = ["WALL", "House", "Loopback", "Wire", "make_job", "make_result", "replace"]
