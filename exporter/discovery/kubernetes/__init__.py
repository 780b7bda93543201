"""What runs in a Kubernetes cluster: objects of one role, listed, followed, and made into targets as a list's are.

A workload that has no replica is left out: to ask it would wake it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from exporter import log
from exporter.contracts import Found
from exporter.discovery.kubernetes.api import Api
from exporter.discovery.kubernetes.chosen import Objects, Role
from exporter.discovery.kubernetes.inference import INFERENCE_SERVICES
from exporter.discovery.kubernetes.kept import Wanted
from exporter.discovery.kubernetes.pods import PODS
from exporter.discovery.kubernetes.services import SERVICES, SLICES
from exporter.discovery.kubernetes.watch import Watched
from exporter.discovery.listing import Choice, Labels, Listing, Part
from exporter.model.failure import Failure

if TYPE_CHECKING:
    from exporter.transport.calls import Calls

__all__ = ["ROLES", "Kubernetes", "Selection", "Wanted"]

logger = logging.getLogger(__name__)

ROLES: dict[str, Role] = {
    "endpointslice": SLICES, "inferenceservice": INFERENCE_SERVICES, "pod": PODS, "service": SERVICES,
}  # fmt: skip
#: Seconds after which all is made anew though nothing was told, and the least between two times it is.
INTERVAL, PAUSE = 60.0, 0.5
#: Objects that can be no target which are told.
_TOLD = 10_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of which cluster. Without `namespaces`: of all; without `kubeconfig`: as `transport.kubernetes`
    finds it. `startup`: seconds a workload that is new may take to start, where it does not tell.
    """

    role: str
    namespaces: tuple[str, ...] = ()
    selector: str = ""
    kubeconfig: str | None = None
    context: str | None = None
    wanted: Wanted = field(default_factory=Wanted)
    startup: float = 0.0


class Kubernetes(Listing):
    """Implements `contracts.Follower` for the objects of one role."""

    def __init__(
        self, source: str, selection: Selection, calls: "Calls", choice: Choice, wall: Callable[[], float] = time.time
    ) -> None:
        place: Hashable = (selection.role, selection.namespaces, selection.kubeconfig, selection.context)
        super().__init__(source, place, INTERVAL, self._parts, choice)
        self.question = (self.question, selection)
        self._role = ROLES[selection.role]
        self._selection = selection
        self._wall = wall
        api = Api(calls, selection.kubeconfig, selection.context)
        #: By namespace, the collections of the role.
        self._watched = [
            [self._collection(api, namespace, index) for index in range(len(self._role.resources))]
            for namespace in selection.namespaces or (None,)
        ]
        self._asleep = 0
        self._startups: dict[str, str] | None = None
        self._refused: set[str] = set()

    async def find(self) -> Found:
        """What is there now, after having listed what is not followed yet."""
        return replace(await super().find(), asleep=self._asleep)

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow all collections until cancelled; `changed` is called at once, and then not too often."""
        news = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for each in self._all():
                group.create_task(each.follow(news.set))
            while True:
                await news.wait()
                news.clear()
                changed()
                await asyncio.sleep(PAUSE)

    def _all(self) -> list[Watched]:
        return [each for collections in self._watched for each in collections]

    def _collection(self, api: Api, namespace: str | None, index: int) -> Watched:
        resource, wanted = self._role.resources[index], self._selection.wanted
        query = dict(resource.query)
        if resource.selected and self._selection.selector:
            query["labelSelector"] = self._selection.selector
        shown = f"{resource.plural} of {namespace}" if namespace else resource.plural
        return Watched(api, shown, resource.path(namespace), query, lambda found: resource.keep(found, wanted))

    async def _parts(self) -> Sequence[Part]:
        """A part for all that is known, and one for each collection that could not be read. Raises `Failure` when none
        could.
        """
        everything = self._all()
        async with asyncio.TaskGroup() as group:
            for each in everything:
                group.create_task(each.list())
        failures = [(each.shown, each.failure) for each in everything if each.failure is not None]
        if failures and all(each.old for each in everything):
            shown, failure = failures[0]
            raise Failure(failure.reason, f"{shown}: {failure.detail}", http_status=failure.http_status)
        known = [
            [dict(each.kept) for each in collections if each.kept is not None]
            for collections in self._watched
            # Without the replicas nobody knows which may be asked.
            if all(each.kept is not None for each in collections)
        ]
        entries = await asyncio.to_thread(self._entries, known)
        problems = [Part(shown, None, f"{shown}: {failure.reason} {failure.detail}") for shown, failure in failures]
        return [Part("", entries), *problems]

    def _entries(self, known: Sequence[Sequence[Objects]]) -> list[Labels]:
        """What the role makes of it: in a thread, for there may be thousands."""
        found = [self._role.choose(collections) for collections in known]
        self._asleep = sum(each.asleep for each in found)
        for each in found:
            for problem in each.problems:
                self._refuse(problem, [])
        targets = [target for each in found for target in each.targets]
        before, self._startups = self._startups, {}
        for made, labels in targets:
            name = labels["__target__"]
            self._startups[name] = (before or {}).get(name) or self._startup(made, labels, before is None)
        return [{**labels, "__startup__": self._startups[labels["__target__"]]} for _, labels in targets]

    def _startup(self, made: float, labels: Labels, first: bool) -> str:
        """How long it may take to start, the same while it is there. What was there long before the exporter has had
        its time.
        """
        seconds = self._selection.startup
        usual = f"{round(seconds * 1000)}ms"
        return labels.get("__startup__", usual) if not first or self._wall() - made < seconds else "0s"

    def _refuse(self, problem: str, problems: list[str]) -> None:
        """Others write what is found: what they get wrong is told once, and is no failure of ours."""
        if problem in self._refused or len(self._refused) >= _TOLD:
            return
        self._refused.add(problem)
        log.event(logger, logging.WARNING, "an object can be no target", source=self.source, problem=problem)
