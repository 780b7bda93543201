"""Lists of targets that somebody else keeps: read, relabelled, and made into targets, a part of the list at a time.

What cannot be read keeps what it held before; the rest goes on. What cannot be a target is left out and told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from exporter.contracts import Found
from exporter.discovery.relabel import Rule, relabel
from exporter.model.failure import Failure, Reason, joined

#: What the labels begin with that tell where a target was found: for rules alone.
META = "__meta_"
#: Labels of one thing that was found.
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """One file or answer: its entries, or None and why there are none."""

    name: str
    entries: Sequence[Labels] | None
    problem: str = ""
    reason: Reason = Reason.MALFORMED


@dataclass(frozen=True, slots=True)
class Choice:
    """Which entries become targets, and which: `rules` are applied, `name_of` names what is left, at most `limit` are
    watched. `name_of` raises ValueError for what cannot be a target.
    """

    rules: tuple[Rule, ...]
    name_of: Callable[[Labels], str]
    limit: int
    #: What `name_of` depends on.
    fingerprint: Hashable = ""


class Listing:
    """Implements `contracts.Discoverer` for one list."""

    def __init__(
        self,
        source: str,
        place: Hashable,
        interval: float,
        read: Callable[[], Awaitable[Sequence[Part]]],
        choice: Choice,
    ) -> None:
        self.source = source
        self.interval = interval
        self.place = place
        self.question: Hashable = (choice.rules, choice.limit, choice.fingerprint)
        self._read = read
        self._choice = choice
        self._known: dict[str, Sequence[Labels]] = {}

    async def find(self) -> Found:
        """What to watch now. Raises `Failure` when nothing could be read, and nothing ever was."""
        parts = await self._read()
        # Regular expressions, and checks of thousands of targets, are not for the loop that measures.
        return await asyncio.to_thread(self._found, parts)

    def _found(self, parts: Sequence[Part]) -> Found:
        broken = [part for part in parts if part.entries is None]
        problems = [part.problem for part in broken]
        reason = broken[0].reason if broken else Reason.MALFORMED
        known: dict[str, Sequence[Labels]] = {}
        for part in parts:
            entries = part.entries if part.entries is not None else self._known.get(part.name)
            if entries is not None:
                known[part.name] = entries
        if not known and problems:
            raise Failure(reason, joined(problems))
        self._known = known
        return self._chosen([entry for entries in known.values() for entry in entries], problems, reason)

    def _chosen(self, entries: Sequence[Labels], problems: list[str], reason: Reason) -> Found:
        chosen: dict[str, Labels] = {}
        for entry in entries:
            try:
                labels = relabel(entry, self._choice.rules)
                if labels is None:
                    continue
                labels = {name: value for name, value in labels.items() if not name.startswith(META)}
                name = self._choice.name_of(labels)
            except TimeoutError:
                problems.append("relabel_configs: a regular expression takes too long")
            except ValueError as error:
                self._refuse(str(error), problems)
            else:
                if (first := chosen.setdefault(name, labels)) != labels:
                    keys = sorted(key for key in first.keys() | labels.keys() if first.get(key) != labels.get(key))
                    told = ", ".join(keys)
                    self._refuse(
                        f"two targets are named {name[:100]!r} and differ in {told}; the first is watched", problems
                    )
        names = sorted(chosen)[: self._choice.limit]
        return Found(
            tuple(names),
            over=len(chosen) - len(names),
            entries=tuple(chosen[name] for name in names),
            failure=Failure(reason, joined(problems)) if problems else None,
        )

    def _refuse(self, problem: str, problems: list[str]) -> None:
        """Tell of an entry that can be no target."""
        problems.append(problem)
