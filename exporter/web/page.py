"""The status page: every target at a glance, without scripts, rendered in slices beside the measuring."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from aiohttp import web

from exporter import __version__
from exporter.ledger import Replicas, TargetRecord
from exporter.web import replicas
from exporter.web.doors import Doors
from exporter.web.rows import TargetRow, budget, row
from exporter.web.selection import Selection, Wanted, select, wanted
from exporter.web.slices import unhurried
from exporter.web.words import STATES

if TYPE_CHECKING:
    from jinja2 import Template

#: Targets on one page.
ROWS = 100
#: Pages rendered at once; more wait.
AT_ONCE = 2
#: Seconds after which a page that was asked to refresh by itself does.
REFRESH = 15


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above the replicas of a target."""

    name: str
    words: str


class StatusPage:
    """Answers `/`: `?state=` and `?q=` filter, `?page=` turns pages, `?refresh=on` reloads by itself."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._places = asyncio.Semaphore(AT_ONCE)

    async def get(self, request: web.Request) -> web.Response:
        """The page."""
        async with self._places:
            template = await asyncio.to_thread(_template)
            wish = wanted(request.query.get("state", ""), request.query.get("q", ""))
            chosen = await select(self._doors.ledger, wish)
            values = self._values(wish, chosen, request.query)
            pieces = [piece async for piece in unhurried(template.generate(values))]
        return web.Response(text="".join(pieces), content_type="text/html")

    def _values(self, wish: Wanted, chosen: Selection, query: Mapping[str, str]) -> dict[str, Any]:
        pages = max(1, -(-len(chosen.records) // ROWS))
        page = min(pages, _number(query.get("page", "")))
        shown = chosen.records[(page - 1) * ROWS : page * ROWS]
        asked = {
            "q": query.get("q", "").strip()[:200],
            "state": wish.state.value if wish.state else "",
            "refresh": "on" if query.get("refresh") == "on" else "",
        }

        def link(**changes: str | int) -> str:
            kept = {name: value for name, value in (asked | changes).items() if value not in ("", 1)}
            return f"?{urlencode(kept)}" if kept else "?"

        now, balance = self._doors.ledger.wall(), self._doors.ledger.own.balance
        total = chosen.counts.total()
        return {
            "version": __version__,
            "asked": asked,
            "link": link,
            "quote": lambda name: quote(name, safe=""),
            "refresh": REFRESH,
            "states": [(state, words, chosen.counts[state]) for state, words in STATES.items()],
            "total": total,
            "healthy": chosen.counts["healthy"],  # type: ignore[index]
            "found": len(chosen.records),
            "first": (page - 1) * ROWS + 1,
            "last": (page - 1) * ROWS + len(shown),
            "page": page,
            "pages": pages,
            "ready": self._doors.ready(),
            "rows": self._rows(shown, now),
            "budget": budget(balance, now) if balance is not None else "",
        }

    def _rows(self, shown: Sequence[TargetRecord], now: float) -> Iterator[tuple[Heading | None, TargetRow]]:
        """Each row, and what stands above it where the replicas of a target begin."""
        before: Replicas | None = None
        for record in shown:
            group = replicas.of(record, self._doors.ledger)
            begins = group is not None and group is not before
            yield Heading(group.name, replicas.summary(group)) if begins and group else None, row(record, now, group)
            before = group


def _number(text: str) -> int:
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else 1


@cache
def _template() -> "Template":
    """Loaded and compiled with the first page: an exporter whose page nobody opens pays nothing for it."""
    import jinja2

    loader = jinja2.PackageLoader("exporter.web")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("status.html")
