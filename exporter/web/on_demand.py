"""/probe: every probe of a module once, now, as blackbox_exporter's users know it."""

import asyncio
import math
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from aiohttp import hdrs, web

from exporter.ledger import Ledger
from exporter.metrics.exposition import render_results
from exporter.metrics.negotiation import TEXT, negotiate
from exporter.model.failure import TABLE, Failure, Reason
from exporter.model.job import Job, Schedule
from exporter.model.observation import Measurement, Observation
from exporter.model.result import Result
from exporter.transport.thread import available
from exporter.transport.turns import turns
from exporter.web import admission, transcript
from exporter.web.admission import Place, Rule
from exporter.web.doors import Doors

TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
#: Seconds of the scraper's timeout left for the way there and back.
OFFSET = 0.5
#: Seconds that making the jobs of a request, or writing down its results, takes on the loop.
PIECE = 0.001
#: Seconds after its deadline at which a run that has not ended is given up.
BACKSTOP = 0.1
_SECONDS = re.compile(r"[0-9]{1,10}(\.[0-9]{1,12})?", re.ASCII)


class Refused(Exception):
    """A request that is answered without probing: HTTP status, its name in the counter, what the client reads."""

    def __init__(self, status: int, outcome: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.outcome = outcome
        self.text = text


class OnDemandProbe:
    """Answers /probe."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._at_work = 0
        self._configured = _Configured(doors.ledger)

    async def get(self, request: web.Request) -> web.Response:
        """One synchronous run: 200 whatever the target did, 400, 403 or 429 when nothing was asked of it."""
        counts = self._doors.ledger.own.on_demand
        try:
            response = await self._answer(request)
        except Refused as refused:
            counts[refused.outcome] += 1
            headers = {hdrs.RETRY_AFTER: "1"} if refused.status == 429 else None
            return web.Response(status=refused.status, text=f"{refused.text}\n", headers=headers)
        counts["ok"] += 1
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        settings = self._doors.on_demand()
        place = _place(_one(request, "target"))
        debug = _debug(request)
        budget = scrape_budget(request.headers.get(TIMEOUT_HEADER))
        module, model, probe = (_one(request, name) for name in ("module", "model", "probe"))
        if debug and not settings.debug:
            raise Refused(403, "denied", "debug=true is off; on_demand.debug in the config switches it on")
        rules = _rules(tuple(settings.allow))
        configured = self._configured.covers(place)
        if not configured and not any(rule.may_cover(place) for rule in rules):
            raise _denied(place)
        if self._at_work >= settings.concurrency:
            raise Refused(
                429, "limited", f"{self._at_work} probes are at work, as many as on_demand.concurrency allows"
            )
        self._at_work += 1
        try:
            # Many come at once: what is done on the loop for each of them is done for one after the other.
            await turns.pause(PIECE)
            jobs = self._jobs(place, module, model, probe)
            results = await self._run(place, jobs, budget, rules, configured=configured)
            await turns.pause(PIECE)
        finally:
            self._at_work -= 1
        form = TEXT if debug else negotiate(request.headers.get(hdrs.ACCEPT, "")[:4096])
        body = render_results(results, form)
        if debug:
            return web.Response(body=transcript.write(place.url, module, results, body), content_type="text/plain",
                                charset="utf-8")  # fmt: skip
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: form.content_type})

    def _jobs(self, place: Place, module: str, model: str, probe: str) -> Sequence[Job]:
        try:
            jobs = self._doors.jobs_for(place.url, module, model, probe)
        except PermissionError as error:
            raise Refused(403, "denied", _message(error)) from None
        except (LookupError, ValueError) as error:
            raise Refused(400, "bad_request", _message(error)) from None
        if not jobs:
            raise Refused(400, "bad_request", "the module has no such probe")
        for job in jobs:
            endpoint = job.target.endpoint
            if (admission.canonical(endpoint.host), endpoint.port) != (place.host, place.port):
                # What was checked must be what is connected to.
                raise Refused(400, "bad_request", "the url can be read in more than one way")
        return jobs

    async def _run(
        self, place: Place, jobs: Sequence[Job], budget: float, rules: Sequence[Rule], *, configured: bool
    ) -> list[Result]:
        await available(name for job in jobs for name in job.needs)
        jobs = [_bounded(job, budget) for job in jobs]
        longest = max(job.schedule.timeout for job in jobs)
        began = time.perf_counter()
        named = configured or any(rule.network is None and rule.may_cover(place) for rule in rules)
        if named and place.address is None and all(job.target.endpoint.proxy is not None for job in jobs):
            addresses: tuple[str, ...] = ()  # the name alone is allowed, and it is for the proxy to look it up
        else:
            try:
                async with asyncio.timeout(longest):
                    found = [place.host] if place.address is not None else await self._doors.resolve(place.host)
            except (Failure, OSError) as error:  # TimeoutError is an OSError
                if not named:
                    raise _denied(place) from None  # no address, and the name alone is not allowed
                detail = error.detail if isinstance(error, Failure) else ""
                return [_unasked(job, began, Reason.DNS, detail or "the name was not resolved") for job in jobs]
            addresses = admission.usable(place, found, rules, configured=configured)
            if not addresses:
                raise _denied(place)
        results = await self._all(jobs, addresses, began)
        # A target that nobody named a protocol for has only said what it is: now its probes are asked.
        asked = [_bounded(job, budget) for result in results for job in self._doors.jobs_found(result)]
        return await self._all(asked, addresses, began) if asked else results

    async def _all(self, jobs: Sequence[Job], addresses: tuple[str, ...], began: float) -> list[Result]:
        return list(await asyncio.gather(*(self._once(_pinned(job, addresses), began) for job in jobs)))

    async def _once(self, job: Job, began: float) -> Result:
        left = max(0.001, began + job.schedule.timeout - time.perf_counter())
        try:
            async with asyncio.timeout(left + BACKSTOP):
                # What the look-up took is taken from the run, and the result tells the whole timeout.
                return replace(await self._doors.run(_bounded(job, left)), job=job)
        except TimeoutError:
            # The run keeps its own deadline; what is over it waited for a slot.
            return _unasked(job, began, Reason.TIMEOUT, "no free probe slot in time")


def scrape_budget(header: str | None) -> float:
    """Seconds a probe may take for a scraper that waits as long as its header says; infinite without one.

    Raises `Refused` for what is not a positive, finite number.
    """
    if header is None:
        return math.inf
    if not _SECONDS.fullmatch(header) or (seconds := float(header)) <= 0:
        raise Refused(400, "bad_request", f"{TIMEOUT_HEADER} is not a positive number of seconds")
    return seconds - OFFSET if seconds > 2 * OFFSET else seconds / 2


def _message(error: Exception) -> str:
    return str(error.args[0]) if error.args else "not a module and url"


def _one(request: web.Request, name: str) -> str:
    values = request.query.getall(name, [])
    if len(values) > 1:
        raise Refused(400, "bad_request", f"parameter {name} is given more than once")
    if values and (len(values[0]) > 2048 or not values[0].isprintable()):
        raise Refused(400, "bad_request", f"parameter {name} is too long or holds a control character")
    return values[0] if values else ""


def _place(text: str) -> Place:
    if not text:
        raise Refused(400, "bad_request", "parameter target is missing")
    try:
        return admission.read(text)
    except ValueError as error:
        raise Refused(400, "bad_request", f"parameter target: {error}") from None


def _debug(request: web.Request) -> bool:
    value = _one(request, "debug").lower()
    if value not in ("", "true", "false", "1", "0"):
        raise Refused(400, "bad_request", "parameter debug is neither true nor false")
    return value in ("true", "1")


def _denied(place: Place) -> Refused:
    why = admission.forbidden(place.address) if place.address is not None else ""
    if why:
        return Refused(
            403, "denied", f"target denied: its url leads to a denied network ({why}), never probed on demand"
        )
    return Refused(403, "denied", "target denied: neither on_demand.allow nor a configured target covers it")


@lru_cache(maxsize=4)
def _rules(allow: tuple[str, ...]) -> tuple[Rule, ...]:
    return tuple(admission.rule(entry) for entry in allow)


def _bounded(job: Job, budget: float) -> Job:
    # One attempt's time is the whole run's: a scraper asks again soon enough.
    timeout = min(job.schedule.timeout, budget)
    return replace(job, schedule=Schedule(interval=timeout, timeout=timeout, recheck=timeout))


def _pinned(job: Job, addresses: tuple[str, ...]) -> Job:
    endpoint = replace(job.target.endpoint, addresses=addresses, keep_alive=False)
    return replace(job, target=replace(job.target, endpoint=endpoint))


def _unasked(job: Job, began: float, reason: Reason, detail: str) -> Result:
    return Result(
        job=job,
        generation=0,
        planned=began,
        started=began,
        ended=time.perf_counter(),
        at=time.time(),
        status=TABLE[reason].status,
        evidence=TABLE[reason].evidence,
        reason=reason,
        detail=detail,
        attempts=1,
        failures=(reason,),
        measurement=Measurement(),
        observation=Observation(),
        trace_id="",
    )


class _Configured:
    """The origins of all targets, looked up anew when the ledger's revision moves."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._revision = -1
        self._paths: dict[tuple[str, str, int], set[str]] = {}

    def covers(self, place: Place) -> bool:
        """Whether a target has this origin, and the url's path is the target's own or below it."""
        if self._revision != self._ledger.revision:
            self._revision = self._ledger.revision
            self._paths.clear()
            for record in self._ledger:
                end = record.target.endpoint
                origin = (end.scheme, admission.canonical(end.host), end.port)
                self._paths.setdefault(origin, set()).add(end.path)
        paths = self._paths.get((place.scheme, place.host, place.port), ())
        return any(place.path == path or place.path.startswith(f"{path}/") for path in paths)
