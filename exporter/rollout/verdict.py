"""The gate's verdict: the standings of all targets that are meant, joined. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Any

from exporter.ledger import TargetRecord
from exporter.model.job import Kind
from exporter.model.state import State
from exporter.model.target import Target
from exporter.rollout.standing import Case, Obstacle, Standing
from exporter.rollout.terms import Terms

_TO_BE_FOUND = "what is there was not found yet"


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Where all that is meant stands, in the order of the config.

    `problem` says why the gate will never open, however long one waits: nothing is selected, or nothing that is has
    what was asked for. It is `""` where there is no such thing.
    """

    standings: tuple[Standing, ...]
    problem: str = ""

    @property
    def blocking(self) -> tuple[Standing, ...]:
        """The targets that are not good yet."""
        return tuple(standing for standing in self.standings if not standing.good)

    @property
    def ready(self) -> bool:
        """Whether the gate is open. What is nothing at all is not ready."""
        return not self.problem and not self.blocking

    def as_json(self) -> dict[str, Any]:
        """`{ready, targets, blocking: [...]}`; what there is not is null."""
        blocking = [written(standing) for standing in self.blocking]
        return {"ready": self.ready, "targets": len(self.standings), "blocking": blocking}


def written(standing: Standing) -> dict[str, Any]:
    """One entry of `blocking`."""
    return {
        "target": standing.target,
        "state": str(standing.state),
        "reason": str(standing.reason) if standing.reason else None,
        "detail": standing.detail,
        "have": standing.have,
        "want": standing.want,
        "version": standing.version or None,
        "hint": standing.hint or None,
    }


class Tally:
    """Takes one target after the other, and tells how all of them stand. `since` is Unix time."""

    def __init__(self, terms: Terms, since: float = -inf) -> None:
        self.terms = terms
        self.since = since
        self._standings: list[Standing] = []
        self._found: set[str] = set()
        self._servers: dict[str, list[Standing]] = {}
        self._unread: list[str] = []
        self._evaluates = False

    @property
    def judged(self) -> int:
        """How many targets were meant so far."""
        return len(self._standings)

    def add(self, record: TargetRecord) -> Standing | None:
        """Judge a target, if it is meant."""
        target = record.target
        if self.terms.selects(target):
            standing = Case(record, self.terms, self.since).standing()
            self._standings.append(standing)
            self._servers.setdefault(target.title, []).append(standing)
            self._evaluates |= any(probe.job.kind is Kind.EVALUATE for probe in record.probes.values())
            return standing
        if self.terms.may_turn_out(target) and _unknown(record):
            self._unread.append(target.name)
        return None

    def verdict(self, unread: Iterable[Target] = ()) -> GateVerdict:
        """How it all stands. `unread` stand for targets that are still to be found: while there are any that may be
        meant, nobody knows whether all is good.
        """
        known = {standing.target for standing in self._standings}
        waited = [*self._unread, *(target.name for target in unread if self.terms.may_select(target))]
        standings = [
            *self._standings,
            *(
                Standing(name, State.UNKNOWN, None, _TO_BE_FOUND, 0, self.terms.consecutive)
                for name in dict.fromkeys(waited)
                if name not in known
            ),
            *self._too_few(),
        ]
        problem = ""
        if not standings:
            problem = "no target is selected"
        elif self.terms.evaluate and not self._evaluates and not waited:
            problem = "no target that is selected has a probe of kind evaluate"
        return GateVerdict(tuple(standings), problem)

    def _too_few(self) -> Iterable[Standing]:
        """Targets that were found to be fewer servers than wanted."""
        want = self.terms.min_addresses
        for title, servers in self._servers.items():
            have = len(servers)
            if have < want:
                alone = have == 1 and servers[0].target == title
                detail = f"{have} address{'es' if have > 1 else ''} of it found, wanted are {want}"
                hint = "replicas: dns" if alone else ""
                worst = next((each.state for each in servers if not each.good), servers[0].state)
                yield Standing(title, worst, Obstacle.ADDRESSES, detail, have, want, hint)


def _unknown(record: TargetRecord) -> bool:
    """Whether what it speaks is about to be found out: it was not asked yet, or has just answered. One that was asked
    in vain is what its config says.
    """
    return any(
        probe.job.kind is Kind.DETECT and (probe.last is None or probe.last.observation.detected is not None)
        for probe in record.probes.values()
    )
