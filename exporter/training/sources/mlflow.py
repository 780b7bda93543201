"""A run of an MLflow tracking server: its metrics, point by point, and its status.

REST API 2.0 (MLflow 1 to 3): `runs/get` tells the status and the newest point of each metric; the history of those that
changed is read on from where it was, page by page. A store that has no pages (files) tells the newest points alone.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from copy import copy
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlencode

from exporter.model.endpoint import Service
from exporter.model.failure import Failure, Reason
from exporter.model.training import Outcome, Reading
from exporter.training.sources import Ended, Event, Open, Pause, Values
from exporter.training.sources.backoff import Backoff
from exporter.training.sources.server import ask
from exporter.transport import Transport

#: Seconds between two questions: while the run goes on, and when it has ended (it may be resumed).
INTERVAL, ENDED = 5.0, 60.0
#: Points of a page (0.1 MB), pages of one metric read in one go, and metrics that are looked at.
_PAGE, _PAGES, _METRICS = 1000, 50, 500


class Point(NamedTuple):
    """One value of one metric; `timestamp` in milliseconds of Unix time."""

    timestamp: int
    step: int
    key: str
    value: float


@dataclass(frozen=True, slots=True)
class Mlflow:
    """Implements `Source` for the run with the id `run`. It has no lines."""

    pressing: ClassVar[bool] = False

    server: Service
    run: str

    @property
    def shown(self) -> str:
        """Server and run."""
        return f"{self.server.shown} run {self.run}"

    async def events(self, transport: Transport) -> AsyncGenerator[Event, None]:
        """See `Source`."""
        backoff = Backoff(INTERVAL)
        histories: dict[str, _History] = {}
        ended: Outcome | None = None
        first = True
        while True:
            try:
                status, newest = await self._run(transport)
                points = await self._points(transport, newest, histories)
            except Failure as failure:
                yield Pause(str(failure), reconnects=True)
                first = True
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            if first:
                yield Open()
                first = False
            for values in _together(points):
                yield values
            outcome = Outcome.of_run(status)
            if outcome is not None and outcome is not ended:
                yield Ended(outcome)
            ended = outcome
            await asyncio.sleep(INTERVAL if ended is None else ENDED)

    async def _run(self, transport: Transport) -> tuple[str, list[Point]]:
        """The run's status, and the newest point of each metric."""
        answer = await ask(self.server, transport, self._url("runs/get", run_id=self.run))
        try:
            run = answer["run"]
            metrics = run.get("data", {}).get("metrics", [])[:_METRICS]
            return str(run["info"]["status"]), [_point(metric) for metric in metrics]
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise Failure(Reason.MALFORMED, "the answer to runs/get is not one of MLflow's") from None

    async def _points(self, transport: Transport, newest: list[Point], histories: "dict[str, _History]") -> list[Point]:
        """What is new of all metrics, in the order it was logged."""
        found: list[Point] = []
        read: dict[str, _History] = {}
        for point in newest:
            history = copy(histories.get(point.key)) or _History()
            if str(point) == history.newest:  # as text: NaN equals nothing
                continue
            try:
                found += await self._read_on(transport, point.key, history)
            except Failure as failure:
                if failure.http_status is None or failure.http_status in (401, 403, 429) or failure.http_status > 500:
                    raise
                found.append(point)
            history.newest = str(point)
            read[point.key] = history
        histories |= read  # not before all is read: what was read is lost when something fails in between
        return sorted(found, key=lambda point: (point.timestamp, point.step))

    async def _read_on(self, transport: Transport, key: str, history: "_History") -> list[Point]:
        found: list[Point] = []
        for _ in range(_PAGES):
            asked = {"run_id": self.run, "metric_key": key, "max_results": str(_PAGE)}
            if history.token:
                asked["page_token"] = history.token
            answer = await ask(self.server, transport, self._url("metrics/get-history", **asked))
            try:
                page = [_point(metric) for metric in answer.get("metrics", [])]
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                raise Failure(Reason.MALFORMED, "the answer to metrics/get-history is not one of MLflow's") from None
            found += page[history.read :]
            following = answer.get("next_page_token")
            if not following:
                history.read = len(page)
                break
            history.token, history.read = str(following), 0
        return found

    def _url(self, path: str, **query: str) -> str:
        return f"{self.server.url}/api/2.0/mlflow/{path}?{urlencode(query)}"


class _History:
    """How far the history of a metric was read: its newest point then, the last page, and the points read of that."""

    __slots__ = ("newest", "read", "token")

    def __init__(self) -> None:
        self.newest = ""
        self.token = ""
        self.read = 0


def _point(metric: Mapping[str, Any]) -> Point:
    """Integers may be texts, and numbers that are not finite are (`"NaN"`), as in all JSON of protocol buffers."""
    return Point(int(metric["timestamp"]), int(metric.get("step", 0)), str(metric["key"]), float(metric["value"]))


def _together(points: list[Point]) -> list[Values]:
    """Points that were logged together as one reading; a metric called epoch is the epoch."""
    found = []
    for (stamp, step), same in groupby(points, key=lambda point: (point.timestamp, point.step)):
        group = list(same)
        epoch = next((point.value for point in group if point.key == "epoch"), None)
        values = tuple((point.key, point.value) for point in group if point.key != "epoch")
        found.append(Values(Reading(step=step, epoch=epoch, values=values), min(stamp / 1000, time.time())))
    return found
