"""/api/v1/maintenance: leave targets alone for a while. A rollout announces it, and takes it back when it is done."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from exporter.ledger import Ledger
from exporter.model.maintenance import Announced, Wish
from exporter.settings import format_duration, parse_duration, shown
from exporter.slices import unhurried
from exporter.web.answers import OTHER_ORIGIN, answer, problem
from exporter.web.doors import Doors
from exporter.web.headers import same_origin
from exporter.web.words import stamp

#: Seconds that may be announced at once, names in one request, and characters of a comment.
LONGEST = 7 * 86400.0
NAMES = 1000
COMMENT = 200

_KEYS = ("select", "targets", "for", "comment")


class Announcements:
    """Answers under /api/v1/maintenance. What is announced survives a reload and not a restart."""

    def __init__(self, doors: Doors, external_url: str) -> None:
        self._doors = doors
        self._external_url = external_url

    async def get(self, request: web.Request) -> web.Response:
        """What was announced and goes on, and how many targets are in maintenance, the config's windows included."""
        listed = [await self._shown(each) for each in self._doors.announced()]
        resting = 0
        async for record in unhurried(list(self._doors.ledger)):
            resting += record.rests_until is not None
        return answer(200, {"announced": listed, "targets_in_maintenance": resting})

    async def announce(self, request: web.Request) -> web.Response:
        """Let a maintenance begin now. 400 names everything that is wrong with the request."""
        if not same_origin(request, self._external_url):
            return problem(403, OTHER_ORIGIN)
        wish, problems = read(await request.read(), self._doors.ledger)
        if wish is not None and not await self._meant(wish):
            problems.append("no target is meant: names and labels fit none that is watched")
        if wish is None or problems:
            return answer(400, {"error": "nothing was announced", "problems": problems})
        made = self._doors.announce(wish)
        if made is None:
            return problem(429, "too much is announced already; end some of it first")
        return answer(201, await self._shown(made))

    async def withdraw(self, request: web.Request) -> web.Response:
        """End a maintenance before its time."""
        if not same_origin(request, self._external_url):
            return problem(403, OTHER_ORIGIN)
        if not self._doors.withdraw(request.match_info["id"]):
            return problem(404, "nothing is announced under this id")
        return answer(200, {"ended": request.match_info["id"]})

    async def _meant(self, wish: Wish) -> int:
        """How many targets a wish fits now, each replica counted."""
        found = 0
        async for record in unhurried(list(self._doors.ledger)):
            target = record.target
            found += wish.means(target.name, target.title, target.trait)
        return found

    async def _shown(self, made: Announced) -> dict[str, Any]:
        return {
            "id": made.id,
            "begins": stamp(made.begins),
            "ends": stamp(made.ends),
            "targets": sorted(made.wish.names),
            "select": dict(made.wish.traits),
            "comment": made.wish.comment,
            "matches": await self._meant(made.wish),
        }


def read(body: bytes, ledger: Ledger) -> tuple[Wish | None, list[str]]:
    """What a request's body asks for, None where anything is wrong with it; and everything that is."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return None, ["the body is not JSON"]
    if not isinstance(given, dict):
        return None, [f"the body is {shown(given)}; an object is expected, such as {_EXAMPLE}"]
    problems = [f"{key[:60]}: unknown field; allowed: {', '.join(_KEYS)}" for key in given if key not in _KEYS]
    names = _names(given.get("targets"), ledger, problems)
    traits = _traits(given.get("select"), problems)
    seconds = _seconds(given, problems)
    comment = given.get("comment", "")
    if not isinstance(comment, str) or len(comment) > COMMENT or not comment.isprintable():
        problems.append(f"comment: found {shown(comment)}; allowed: one line of at most {COMMENT} characters")
    if "targets" not in given and "select" not in given:
        problems.append("needs targets, select or both")
    return (None if problems else Wish(frozenset(names), traits, seconds, comment)), problems


_EXAMPLE = '{"targets": ["assistant"], "for": "30m"}'


def _names(given: Any, ledger: Ledger, problems: list[str]) -> list[str]:
    if given is None:
        return []
    if not isinstance(given, list) or not 0 < len(given) <= NAMES or not all(isinstance(name, str) for name in given):
        problems.append(f"targets: found {shown(given)}; allowed: a list of 1 to {NAMES} names")
        return []
    problems += (
        f"targets: there is no target {shown(name)}"
        for name in given
        if name not in ledger.targets and name not in ledger.groups
    )
    return given


def _traits(given: Any, problems: list[str]) -> Mapping[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict) or not given or not _all_text(given.values()):
        problems.append(f"select: found {shown(given)}; allowed: label names with a value each, at least one")
        return {}
    return given


def _all_text(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _seconds(given: Mapping[str, Any], problems: list[str]) -> float:
    value = given.get("for")
    try:
        seconds = parse_duration(value) if isinstance(value, str) else 0.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST:
        found = f"found {shown(value)}" if "for" in given else "missing"
        problems.append(f"for: {found}; allowed: a duration such as 30m, at most {format_duration(LONGEST)}")
    return seconds
