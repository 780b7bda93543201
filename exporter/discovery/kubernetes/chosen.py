"""What a role makes of the objects it keeps. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.discovery.kubernetes.kept import META, Kept, Place, Wanted, named

#: Objects of one collection, by namespace and name.
Objects = Mapping[str, Kept]


@dataclass(slots=True)
class Chosen:
    """Targets as label sets, each with when what it stands for was made (Unix time); objects that have no replica now;
    and why annotated ones can be no target.
    """

    targets: list[tuple[float, dict[str, str]]] = field(default_factory=list)
    asleep: int = 0
    problems: list[str] = field(default_factory=list)

    def add(
        self, owner: Kept, places: Iterable[Place], labels: Mapping[str, str] | None = None, *, each: bool = False
    ) -> None:
        """An object's addresses, `each` with a name of its own. Its annotations come last: they are meant."""
        asked = {name: value for name, value in (owner.asked or {}).items() if name.startswith("__")}
        for found in named(owner.id, places, each=each):
            self.targets.append((owner.made, {**owner.meta, **(labels or {}), **found, **asked}))

    def refuse(self, owner: Kept, why: str) -> None:
        """An object that can be no target."""
        self.problems.append(f"{owner.id}: {why}")


@dataclass(frozen=True, slots=True)
class Resource:
    """A collection: where it is, and what is kept of each object. `selected`: the selector is meant for it."""

    api: str
    plural: str
    keep: Callable[[Mapping[str, Any], Wanted], Kept]
    query: Mapping[str, str] = field(default_factory=dict)
    selected: bool = False

    def path(self, namespace: str | None) -> str:
        """Of one namespace, or of all."""
        return f"{self.api}/{f'namespaces/{namespace}/' if namespace else ''}{self.plural}"


@dataclass(frozen=True, slots=True)
class Role:
    """The collections that are watched, and what becomes of their objects, in the same order."""

    resources: tuple[Resource, ...]
    choose: Callable[[Sequence[Objects]], Chosen]


def of_knative(owner: Kept, prefix: str) -> bool:
    """Whether a Service, or its slice, is one of Knative: what comes through it wakes a workload, and counts as use."""
    present = f"{META}{prefix}_labelpresent_"
    return any(
        f"{present}{name}" in owner.meta
        for name in (
            "serving_knative_dev_service", "serving_knative_dev_route", "serving_knative_dev_revision",
            "networking_internal_knative_dev_serverlessservice",
        )
    )  # fmt: skip


def told_of_knative(chosen: Chosen, owner: Kept) -> None:
    """Say so to who asked for it."""
    if "probe" in (owner.asked or {}):
        chosen.refuse(owner, "a Service of Knative: asking through it would keep the workload awake; use another role")
