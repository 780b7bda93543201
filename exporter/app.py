"""The one file that knows every room: it builds, joins, runs, reloads and supervises."""

import asyncio
import logging
import time
from collections.abc import AsyncIterable, Callable, Sequence
from typing import TYPE_CHECKING

from aiohttp import web

from exporter import USER_AGENT, garbage, log
from exporter.capacity import capacity
from exporter.config import build, loader
from exporter.config.asked import Asked
from exporter.config.budget import allowance_of
from exporter.config.on_demand import jobs_for_url
from exporter.config.roster import Roster, shard_of
from exporter.config.versions import asking_versions
from exporter.config.watching import Watcher
from exporter.config.web_watch import WebFile
from exporter.contracts import Exchange, Questions
from exporter.discovery import Discovery
from exporter.engine import Engine, Limits
from exporter.engine.findings import Findings
from exporter.ledger import Ledger, TargetRecord
from exporter.metrics.exposition import Exposition
from exporter.model.job import Job, Kind
from exporter.model.observation import Observation
from exporter.model.result import Result
from exporter.model.state import State, StateChange
from exporter.model.target import Target
from exporter.options import Options
from exporter.pulse import Pulse
from exporter.sinks import Fanout
from exporter.supervisor import Supervisor
from exporter.transport import Transport
from exporter.transport.thread import available, imported
from exporter.web.access import Access
from exporter.web.doors import Doors
from exporter.web.events import Events
from exporter.web.listening import listen
from exporter.web.server import make_app

if TYPE_CHECKING:  # rooms that few configs enter: they are loaded at the door
    from exporter.evaluation import Evaluations
    from exporter.training.jobs import Training

logger = logging.getLogger("exporter")

#: Seconds in which the last records are delivered, though runs took all of the grace.
_LAST_RECORDS = 0.3
#: Seconds between the first finding of `auto` and the reconcile that applies all there are.
_SETTLE = 0.05


class Daemon:
    """The exporter, running: `start`, then `stop`. Built from `options`, and from what was `loaded` of them before."""

    def __init__(
        self,
        options: Options,
        on_result: Callable[[Result], None] | None = None,
        loaded: list[loader.Loaded] | None = None,
    ) -> None:
        self.options = options
        self._on_result = on_result
        #: The jobs in force.
        self.jobs: list[Job] = []
        #: What stands for targets nobody knows yet: names that were not looked up, catalogues that were not read.
        self.unread: list[Target] = []
        self.addresses: list[tuple[str, int]] = []
        self._built = self._load(loaded)
        self._asked = Asked(self._built.file)
        self.ledger = Ledger(self._built.bounds)
        self.transport = Transport(user_agent=USER_AGENT)
        self.ledger.own.stamps = self.transport.stamps
        self._evaluations: Evaluations | None = None
        self.engine = Engine(
            ledger=self.ledger,
            open_exchange=self._open_exchange,
            limits=_limits(self._built, self.transport),
            on_change=self._changed,
            on_result=self._finished,
            windows=options.windows,
            ask_many=self._evaluate,
        )
        self.exposition = Exposition(self.ledger)
        self._findings = Findings(build.jobs_for_detection)
        self._flagged = [job for url in options.targets for job in jobs_for_url(url)]
        self._roster = Roster(self._built, self._flagged, options.shard, options.only)
        self._discovery = Discovery(
            own=self.ledger.own,
            supervise=lambda run: self._supervisor.keep("discovery", run),
            changed=lambda: self._apply_wanted.set(),
        )
        self._events = Events()
        self._sinks = Fanout(self.ledger, lambda: self.transport.calls)
        self._training: Training | None = None
        self._supervisor = Supervisor(self.ledger.own)
        self._pulse = Pulse()
        self._watcher = Watcher(options.config, options.reload_interval, self.reload)
        self._access = Access(options.route_prefix)
        self._web_file = WebFile(options.web_config, self._access.take, lambda ok: self._reloaded("web config", ok=ok))
        self._refused: set[str] = set()  #: files whose newest content is not in force
        self._reload_lock = asyncio.Lock()
        self._reload_wanted = asyncio.Event()
        self._apply_wanted = asyncio.Event()
        self._stopping = False
        self._kept = garbage.Kept()
        self._runner: web.AppRunner | None = None

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen, then probe. Raises CannotListen, and ConfigError for the web config."""
        self._watcher.known = await self._watcher.digest()
        await self._web_file.read()
        await self._listen()
        self._pulse.start()
        self._reloaded("config", ok=True)
        self._take()
        self._apply()
        self._kept.take(len(self.jobs))
        self._supervisor.keep("wheel", self.engine.run)
        self._supervisor.keep("reload", self._reload_when_asked)
        self._supervisor.keep("detection", self._apply_when_asked)
        self._supervisor.keep("memory", garbage.give_back)
        if self.options.config and self.options.reload_interval > 0:
            self._supervisor.keep("watcher", self._watcher.run)
        if self.options.web_config is not None:
            self._supervisor.keep("web_config", self._web_file.run)

    async def stop(self) -> None:
        """Answer not-ready at once, let runs in flight end within the grace, then close everything."""
        self._stopping = True
        self._pulse.stop()
        end = time.monotonic() + self.options.shutdown_grace
        await self.engine.drain(self.options.shutdown_grace)
        await self._supervisor.close()
        await self._sinks.close(max(_LAST_RECORDS, end - time.monotonic()))
        if self._runner is not None:
            await self._runner.cleanup()
        await self.exposition.close()
        await self.transport.close()

    @property
    def ready(self) -> bool:
        """The config is loaded and the wheel turns."""
        return self.engine.turning and not self._stopping

    def _ailments(self) -> list[str]:
        if self._stopping:
            return []  # the end was asked for, and is at hand
        return [*self._pulse.ailments(), *self.engine.ailments(), *self._supervisor.ailments()]

    def reload_soon(self) -> None:
        """Ask for a reload; several askers before it starts are served by one."""
        self._reload_wanted.set()

    async def _listen(self) -> None:
        options = self.options
        application = make_app(
            self._doors(),
            route_prefix=options.route_prefix,
            external_url=options.external_url,
            headers=lambda: self._access.headers,
        )
        self._runner = await listen(application, self._access, options.listen)
        self.addresses = [address[:2] for address in self._runner.addresses]

    def _doors(self) -> Doors:
        return Doors(
            ledger=self.ledger,
            exposition=self.exposition,
            ailments=self._ailments,
            ready=lambda: self.ready,
            reload=lambda: asyncio.shield(asyncio.ensure_future(self.reload())),
            config=lambda: build.dump(self._built),
            on_demand=lambda: self._built.on_demand,
            jobs_for=lambda url, module, model, probe: self._asked.jobs(module, url, model, probe),
            jobs_found=_jobs_found,
            resolve=self._resolve,
            run=self.engine.once,
            announced=lambda: self.engine.pauses.announced,
            announce=self.engine.pauses.announce,
            withdraw=self.engine.pauses.withdraw,
            ask=self.engine.ask,
            events=self._events,
            gate=self._gate,
        )

    # --- config -------------------------------------------------------------------------------------------------

    def _load(self, beforehand: list[loader.Loaded] | None) -> build.Built:
        """Before the loop matters: at once, without the collector walking a tree that is soon dropped."""
        with garbage.never():
            # Taken out of the list: nobody else is to keep every target's settings.
            (loaded,) = beforehand or loader.beforehand(self.options.config)
            if beforehand:
                beforehand.clear()
            _warn(loaded)
            return build.build(asking_versions(loaded.file) if self.options.versions else loaded.file)

    async def reload(self) -> list[str]:
        """Load the files again and apply them; on problems, which are returned, everything stays as it was."""
        async with self._reload_lock:
            told = await self._web_file.reread()
            if not self.options.config:
                return told
            digest = await self._watcher.digest()
            try:
                loaded = await loader.load_in_child(self.options.config)
                self._built = await build.build_in_slices(loaded.file)
                self._asked = Asked(self._built.file)
            except loader.ConfigError as error:
                self._watcher.known = digest
                self._reloaded("config", ok=False)
                problems = [str(problem) for problem in error.problems]
                for problem in problems:
                    log.event(logger, logging.ERROR, "config not loaded, the old one stays", problem=problem)
                return told + problems
            _warn(loaded)
            del loaded  # every target's settings: nothing to keep
            self._watcher.known = digest
            self.engine.limits = _limits(self._built, self.transport)
            self.ledger.bounds = self._built.bounds  # of probes that are new; the others go on
            self._roster = Roster(self._built, self._flagged, self.options.shard, self.options.only)
            self._take()
            await self._roster.prepare(self._discovery)
            self._apply()
            await asyncio.sleep(0)  # what came due meanwhile goes first
            self._reloaded("config", ok=True)
            self._kept.take(len(self.jobs))
            log.event(logger, logging.INFO, "config loaded", targets=len(self.ledger.targets))
            return told

    def _reloaded(self, what: str, *, ok: bool) -> None:
        """The config or the web config was read: is its newest content in force?"""
        own = self.ledger.own
        (self._refused.discard if ok else self._refused.add)(what)
        own.reload_successful = not self._refused
        if what == "config":
            own.reloads["success" if ok else "failure"] += 1
            own.reload_success_at = time.time() if ok else own.reload_success_at

    # --- jobs ---------------------------------------------------------------------------------------------------

    def _take(self) -> None:
        """Open the sinks of this config, follow its logs, look for what it wants found; what did not change goes on."""
        self._sinks.take(self._built.sinks if self.options.sinks else ())
        self._follow()
        self._discovery.take(self._roster.discoverers(self._resolve, self.engine.once, self.transport.calls))

    def _follow(self) -> None:
        """Follow the training logs that this config names, and no others."""
        named = (self._built.file.training or ()) if self.options.training else ()
        if self._training is None:
            if not named:
                return
            from exporter.training.jobs import Training

            self._training = Training(
                ledger=self.ledger,
                transport=self.transport,
                supervise=lambda run: self._supervisor.keep("training", run),
                mine=self._mine,
            )
        from exporter.config.training import followed

        self._training.take(followed(named))

    def _mine(self, name: str) -> bool:
        """Whether what has this name belongs to this shard."""
        shard = self.options.shard
        return shard is None or shard_of(name, shard[1]) == shard[0]

    def _apply(self) -> None:
        """Hand the engine every job that should exist: start, reload and findings all come through here."""
        jobs: list[Job] = []
        detecting: set[str] = set()
        sources: dict[str, set[str]] = {source.name: set() for source in self._roster.sources}
        for source, job in self._roster.jobs(self._discovery):
            name = job.target.name
            sources.setdefault(source, set()).add(name)
            if job.kind is Kind.DETECT:
                detecting.add(name)
                jobs += self._findings.jobs(job)
            else:
                jobs.append(job)
        self._findings.keep(detecting)
        jobs = list(filter(self.options.wanted, jobs))
        self.jobs, self.unread = jobs, list(self._roster.unread(self._discovery))
        for name in {name for job in jobs for name in job.needs}:
            self._supervisor.spawn(available((name,)))  # before the first run that would have to wait for it
        if self._evaluations is not None:
            self._evaluations.keep(jobs)
        removed = self.engine.reconcile(jobs).removed
        self._kept.replaced += len(removed)
        for job in removed:
            self.transport.forget(job.key)
        self.ledger.own.targets = {source: len(names) for source, names in sources.items()}

    async def _gate(self, asked: Sequence[tuple[str, str]], records: AsyncIterable[TargetRecord]) -> tuple[int, str]:
        query = await imported("exporter.rollout.query")
        answer: tuple[int, str] = await query.answer(asked, records, unread=lambda: self.unread, ask=self.engine.ask)
        return answer

    async def _evaluate(self, job: Job, questions: Questions) -> Observation:
        if self._evaluations is None:
            from exporter.evaluation import Evaluations  # loaded with the config that wants it

            self._evaluations = Evaluations(
                lambda: self.transport.calls,
                on_record=lambda one: self._sinks.tell("evaluation", one.job.target, one.at, lambda: one.fields),
            )
        return await self._evaluations.run(job, questions)

    def _finished(self, result: Result) -> None:
        """Every run ends up here: what `auto` found, and whether it still holds."""
        self._kept.ran()
        if self._on_result is not None:
            self._on_result(result)
        self._sinks.result(result)
        self._events.ran(result)
        if result.observation.detected is not None:
            self._learn(result)
        elif (question := self._findings.doubt(result)) is not None:
            self._supervisor.spawn(self._ask_again(question))

    def _learn(self, result: Result) -> None:
        detection = result.observation.detected
        if detection is not None and self._findings.learn(result):
            self._apply_wanted.set()
            log.event(
                logger, logging.INFO, "server found", target=result.job.target.name, protocol=detection.protocol,
                server=detection.server, why=detection.why,
            )  # fmt: skip

    async def _ask_again(self, question: Job) -> None:
        self._learn(await self.engine.once(question))

    async def _apply_when_asked(self) -> None:
        while True:
            await self._apply_wanted.wait()
            await asyncio.sleep(_SETTLE)  # findings of many targets are applied together
            self._apply_wanted.clear()
            await self._roster.prepare(self._discovery)
            self._apply()

    async def _resolve(self, host: str) -> tuple[str, ...]:
        return await self.transport.resolve(host, 0)

    def _open_exchange(self, job: Job, deadline: float, trace_id: str, *, aside: bool = False) -> Exchange:
        record = self.ledger.targets.get(job.target.name)
        endpoint = job.target.endpoint
        return self.transport.exchange(
            endpoint,
            deadline=deadline,
            trace_id=trace_id,
            # A run on demand of a target that is configured too is another matter.
            memory=record.memory if record and record.target.endpoint is endpoint else {},
            keep=job.key if endpoint.keep_alive and not aside else None,
        )

    def _changed(self, change: StateChange) -> None:
        self._sinks.state_change(change)
        self._events.changed(change)
        level = logging.INFO if change.verdict.state in (State.HEALTHY, State.UNKNOWN) else logging.WARNING
        log.event(
            logger, level, "state changed", target=change.target, model=change.model,
            **{"from": change.before, "to": change.verdict.state},
            reason=change.verdict.reason or "", detail=change.verdict.detail,
        )  # fmt: skip

    async def _reload_when_asked(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            await self.reload()


def _warn(loaded: loader.Loaded) -> None:
    for warning in loaded.warnings:
        log.event(logger, logging.WARNING, "config warning", problem=str(warning))


def _jobs_found(result: Result) -> list[Job]:
    found = result.observation.detected
    return build.jobs_for_detection(result.job, found) if found else []


def _limits(built: build.Built, transport: Transport) -> Limits:
    """As the config wants them and the process allows; `transport` hears what it may keep."""
    limits = built.limits
    room = capacity(limits.concurrency)
    transport.keep(room.kept)
    if room.probes < limits.concurrency:
        log.event(
            logger, logging.INFO, "fewer probes at once than limits.concurrency: no more descriptors or memory",
            configured=limits.concurrency, used=room.probes,
        )  # fmt: skip
    return Limits(room.probes, limits.per_host, allowance_of(limits.budget))
