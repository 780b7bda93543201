"""POST /api/v1/targets/NAME/probe: ask a target now. Its runs are as all others: booked, judged and paid for."""

from urllib.parse import quote

from aiohttp import hdrs, web

from exporter.ledger import TargetRecord
from exporter.model.job import Kind
from exporter.web.answers import OTHER_ORIGIN, answer, problem
from exporter.web.doors import Doors
from exporter.web.headers import same_origin


class ProbeNow:
    """Pulls the probes of a target forward, evaluations aside, which may take hours."""

    def __init__(self, doors: Doors, external_url: str) -> None:
        self._doors = doors
        self._external_url = external_url

    async def post(self, request: web.Request) -> web.Response:
        """For programs: 202 with the probes that run now."""
        name = request.match_info["target"]
        asked = self._ask(request, name)
        return asked if isinstance(asked, web.Response) else answer(202, {"target": name, "probes": sorted(asked)})

    async def form(self, request: web.Request) -> web.Response:
        """For browsers without scripts: back to the page the form is on."""
        name = request.query.get("name", "")
        asked = self._ask(request, name)
        if isinstance(asked, web.Response):
            return asked
        return web.Response(status=303, headers={hdrs.LOCATION: f"target?name={quote(name, safe='')}&asked=now"})

    def _ask(self, request: web.Request, name: str) -> set[str] | web.Response:
        """The probes that run now, or why none does."""
        if not same_origin(request, self._external_url):
            return problem(403, OTHER_ORIGIN)
        records, only = self._meant(name), request.query.get("probe", "")
        if not records:
            return problem(404, "no such target")
        known = {probe for record in records for probe in record.probes}
        if only and only not in known:
            return problem(400, f"probe: there is no {only[:60]!r}; known are {', '.join(sorted(known))}")
        asked = {
            name
            for record in records
            for name, probe in record.probes.items()
            if (name == only or (not only and probe.job.kind is not Kind.EVALUATE))
            and self._doors.ask(record.target.name, name)
        }
        return asked or problem(503, "nothing is being probed at the moment")

    def _meant(self, name: str) -> list[TargetRecord]:
        record, group = self._doors.ledger.targets.get(name), self._doors.ledger.groups.get(name)
        return [record] if record is not None else list(group.members.values()) if group is not None else []
