"""The status page: every target at a glance. It needs no script; with one, it is live."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from exporter.ledger import Replicas, TargetRecord
from exporter.model.state import State
from exporter.web import replicas
from exporter.web.doors import Doors
from exporter.web.page import templating
from exporter.web.page.order import SORTS, Arranged, arrange, label_names
from exporter.web.page.rows import TargetRow, budget, row
from exporter.web.selection import Selection, Wanted, select, wanted
from exporter.web.words import STATES

#: Targets on one page.
ROWS = 100
#: Pages made at once; more wait.
AT_ONCE = 2
#: Seconds after which a page that was asked to refresh by itself does.
REFRESH = 15
#: Seconds for which a page is good enough for scripts that ask for it again, however many look at it.
FRESH = 1.0
#: Pages that are kept so long.
MOST_KEPT = 8
#: What a script sends that brings an open page up to date.
AGAIN = "X-Page-Refresh"


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above targets that belong together. `find` is what to look for to see them alone, if that works."""

    name: str
    words: str
    find: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants to see."""

    q: str
    state: str
    sort: str
    group: str
    refresh: str
    page: int

    def link(self, **changes: str | int) -> str:
        """The same page with something else asked; from its first part, unless that is what changes."""
        given = {"q": self.q, "state": self.state, "sort": self.sort, "group": self.group, "refresh": self.refresh}
        kept = {name: value for name, value in (given | changes).items() if value not in ("", 1)}
        return f"?{urlencode(kept)}" if kept else "?"


class StatusPage:
    """Answers `/`: `?state=` and `?q=` filter, `?sort=` and `?group=LABEL` order, `?page=` turns pages, `?refresh=on`
    reloads by itself where there is no script.
    """

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._places = asyncio.Semaphore(AT_ONCE)
        self._kept: dict[str, asyncio.Task[str]] = {}

    async def get(self, request: web.Request) -> web.Response:
        """The page."""
        asked = _asked(request.query)
        if AGAIN not in request.headers:
            text = await self._make(asked)
        else:
            key = request.query_string
            task = self._kept.get(key)
            if task is None:
                task = asyncio.ensure_future(self._make(asked))
                if len(self._kept) < MOST_KEPT:
                    self._kept[key] = task
                    task.add_done_callback(lambda _: asyncio.get_running_loop().call_later(FRESH, self._forget, key))
            text = await asyncio.shield(task)
        return web.Response(text=text, content_type="text/html")

    def _forget(self, key: str) -> None:
        task = self._kept.pop(key, None)
        if task is not None and not task.cancelled():
            task.exception()  # raised to those who waited; nobody may have been left

    async def _make(self, asked: Asked) -> str:
        async with self._places:
            wish = wanted(asked.state, asked.q)
            chosen = await select(self._doors.ledger, wish)
            arranged = await arrange(chosen.records, asked.sort, asked.group)
            names = await label_names(chosen.records)
            return await templating.written("status.html", self._values(asked, wish, chosen, arranged, names))

    def _values(
        self, asked: Asked, wish: Wanted, chosen: Selection, arranged: Arranged, names: list[str]
    ) -> dict[str, Any]:
        found = len(arranged.records)
        pages = max(1, -(-found // ROWS))
        page = min(pages, asked.page)
        shown = arranged.records[(page - 1) * ROWS : page * ROWS]
        now, balance = self._doors.ledger.wall(), self._doors.ledger.own.balance
        return {
            "here": "targets",
            "asked": asked,
            "link": asked.link,
            "refresh": REFRESH,
            "states": [(state, words, chosen.counts[state]) for state, words in STATES.items()],
            "total": chosen.counts.total(),
            "bad": chosen.counts.total() - chosen.counts[State.HEALTHY] - chosen.counts[State.UNKNOWN],
            "waiting": chosen.counts[State.UNKNOWN],
            "filtered": wish != Wanted(),
            "found": found,
            "first": (page - 1) * ROWS + 1,
            "last": (page - 1) * ROWS + len(shown),
            "page": page,
            "pages": pages,
            "ready": self._doors.ready(),
            "labels": names if asked.group in ("", *names) else [*names, asked.group],
            "rows": self._rows(shown, now, asked, arranged),
            "budget": budget(balance, now) if balance is not None else "",
        }

    def _rows(
        self, shown: Sequence[TargetRecord], now: float, asked: Asked, arranged: Arranged
    ) -> Iterator[tuple[Heading | None, TargetRow]]:
        """Each row, and what stands above it where something begins that belongs together."""
        before: object = None
        for record in shown:
            group = replicas.of(record, self._doors.ledger)
            belongs: object = record.target.labels.get(asked.group, "") if asked.group else group
            heading = None
            if belongs is not None and belongs != before and not (asked.sort and not asked.group):
                heading = _heading(belongs, asked.group, arranged)
            yield heading, row(record, now, group)
            before = belongs


def _heading(belongs: object, label: str, arranged: Arranged) -> Heading:
    if isinstance(belongs, Replicas):
        return Heading(belongs.name, replicas.summary(belongs), belongs.name)
    value, states = str(belongs), arranged.groups[str(belongs)]
    count = states.total()
    words = f"{count} target{'' if count == 1 else 's'}: {replicas.counted(states)}"
    return Heading(f"{label}={value}", words, f"{label}={value}") if value else Heading(f"without {label}", words)


def _asked(query: Mapping[str, str]) -> Asked:
    sort, page = query.get("sort", ""), query.get("page", "")
    state = query.get("state", "")
    return Asked(
        q=query.get("q", "").strip()[:200],
        state=state if state in STATES else "",
        sort=sort if sort in SORTS else "",
        group=query.get("group", "")[:100],
        refresh="on" if query.get("refresh") == "on" else "",
        page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
    )
