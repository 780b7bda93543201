"""The page of one target."""

from aiohttp import web

from exporter.web import replicas
from exporter.web.doors import Doors
from exporter.web.page import detail, tables, templating
from exporter.web.page.rows import row
from exporter.web.words import STATES


class TargetPage:
    """Answers `/target?name=NAME`. The name is a parameter and no part of the path: a proxy may decode a `/` in it."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def get(self, request: web.Request) -> web.Response:
        """The page; of a name that several replicas share, the way to them."""
        ledger, name = self._doors.ledger, request.query.get("name", "")
        record, now = ledger.targets.get(name), ledger.wall()
        values = {"here": "", "ready": self._doors.ready(), "name": name[:200]}
        if record is None:
            group = ledger.groups.get(name)
            members = [] if group is None else [(each.target.name, each.state) for each in replicas.worst_first(group)]
            values |= {"members": members, "words": replicas.summary(group) if group is not None else ""}
            return await templating.page("no_target.html", values, 404 if group is None else 200)
        values |= {
            "row": row(record, now, replicas.of(record, ledger)),
            "words": STATES[record.state],
            "asked": request.query.get("asked", "")[:20],
            "sheet": detail.sheet(record, now),
            "runs": detail.runs(record, now),
            "scored": list(tables.evaluations_of(record, now)),
            "group": record.target.group,
        }
        return await templating.page("target.html", values)
