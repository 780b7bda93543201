"""The log of a pod's container, followed through the API server, and how the container ended.

Source: Kubernetes API v1 (`pods/{name}/log`, `pods`), as every version since 1.5 has it. Needs the permission to `get`
pods and `pods/log`, and with a selector to `list` pods.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple
from urllib.parse import quote, urlencode

from exporter.model.failure import Failure, Reason
from exporter.model.training import Outcome
from exporter.training.sources import Anew, Ended, Event, Gap, Open, Pause, Text
from exporter.training.sources.backoff import Backoff
from exporter.training.sources.server import ask, stream
from exporter.training.sources.stamps import Stamps
from exporter.transport import Transport
from exporter.transport.kubernetes import Cluster, find

#: Seconds between two looks at a pod that has ended, or has not begun.
INTERVAL = 5.0
#: Of a list of pods their metadata are enough; all the rest would be a hundred times as long.
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
#: The annotation by which a pod of several containers says which one is meant.
_DEFAULT = "kubectl.kubernetes.io/default-container"


class Container(NamedTuple):
    """One run of one container: `run` differs from that of any other. `exit_status` is None while it goes on."""

    pod: str
    name: str
    run: str
    waiting: str
    exit_status: int | None


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """Implements `Source` for one pod: the named one, or the newest that `selector` (of labels) selects.

    Without `container` it is the pod's default or first one. Without `kubeconfig` it is the usual cluster: see `find`.
    """

    pressing: ClassVar[bool] = True

    pod: str | None = None
    selector: str | None = None
    namespace: str | None = None
    container: str | None = None
    kubeconfig: str | None = None
    context: str | None = None

    @property
    def shown(self) -> str:
        """Namespace and pod."""
        return f"pod {self.namespace + '/' if self.namespace else ''}{self.pod or self.selector}"

    async def events(self, transport: Transport) -> AsyncGenerator[Event, None]:
        """See `Source`. After a break it goes on with the first line that was not read; a new container begins anew."""
        backoff, reading = Backoff(), _Reading()
        cluster: Cluster | None = None
        while True:
            try:
                if cluster is None:
                    cluster = await find(self.kubeconfig, self.context)
                pods = _Pods(cluster, self.namespace or cluster.namespace, transport)
                async with aclosing(self._round(pods, reading)) as events:
                    async for event in events:
                        yield event
                        backoff.reset()
            except Failure as failure:
                if failure.http_status == 401:
                    cluster = None  # its token may be a new one
                yield Gap()
                yield Pause(str(failure), reconnects=True)
                await asyncio.sleep(backoff.next())

    async def _round(self, pods: "_Pods", reading: "_Reading") -> AsyncGenerator[Event, None]:
        """Read until the log ends. Raises `Failure`."""
        name = self.pod if self.pod is not None else await pods.newest(self.selector or "")
        container = await pods.container(name, self.container)
        if container.run != reading.run:
            if reading.run is not None:
                yield Anew(sure=True)
            reading.run, reading.stamps, reading.ended = container.run, Stamps(), False
        if container.waiting:
            raise Failure(Reason.NOT_READY, f"the container is waiting: {container.waiting}")
        if reading.ended:
            await asyncio.sleep(INTERVAL)
            return
        async with aclosing(pods.log(container, reading.stamps)) as events:
            async for event in events:
                yield event
        container = await pods.container(container.pod, container.name)
        if container.run != reading.run:
            return
        if container.exit_status is None:
            raise Failure(Reason.DISCONNECTED, "the log ended, and the container goes on")
        yield Ended(Outcome.of_exit(container.exit_status))
        reading.ended = True


class _Reading:
    """Which run of a container is read, how far, and whether it has ended."""

    __slots__ = ("ended", "run", "stamps")

    def __init__(self) -> None:
        self.run: str | None = None
        self.stamps = Stamps()
        self.ended = False


class _Pods:
    """What the API server tells of the pods of a namespace. Raises `Failure`."""

    def __init__(self, cluster: Cluster, namespace: str, transport: Transport) -> None:
        self._server = cluster.service
        self._path = f"{self._server.url}/api/v1/namespaces/{quote(namespace, safe='')}/pods"
        self._transport = transport

    async def newest(self, selector: str) -> str:
        """The pod that was made last of those that are selected."""
        query = urlencode({"labelSelector": selector, "limit": "100"})
        answer = await ask(self._server, self._transport, f"{self._path}?{query}", {"Accept": _METADATA})
        try:
            pods = [pod["metadata"] for pod in answer["items"]]
            made = [(str(pod["creationTimestamp"]), str(pod["name"])) for pod in pods]
        except (KeyError, TypeError):
            raise _strange("pods") from None
        if not made:
            raise Failure(Reason.NOT_READY, "no pod is selected")
        return max(made)[1]

    async def container(self, pod: str, wanted: str | None) -> Container:
        """How a container of a pod is now."""
        answer = await ask(self._server, self._transport, f"{self._path}/{quote(pod, safe='')}")
        try:
            return _container(answer, pod, wanted)
        except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError):
            raise _strange("a pod") from None

    async def log(self, container: Container, stamps: Stamps) -> AsyncGenerator[Event, None]:
        """The log from where it was read to, until it ends."""
        stamps.resume()
        query = {"container": container.name, "follow": "true", "timestamps": "true"}
        if stamps.since:
            query["sinceTime"] = stamps.since
        url = f"{self._path}/{quote(container.pod, safe='')}/log?{urlencode(query)}"
        async with stream(self._server, self._transport, url) as flow:
            if flow.status != 200:
                raise Failure(Reason.HTTP_STATUS, f"the server answers {flow.status}", http_status=flow.status)
            yield Open()
            async for piece in flow.pieces():
                if data := stamps.feed(piece):
                    now = time.time()
                    yield Text(data, min(stamps.at or now, now))


def _container(pod: Mapping[str, Any], name: str, wanted: str | None) -> Container:
    metadata, spec = pod["metadata"], pod["spec"]
    chosen = wanted or (metadata.get("annotations") or {}).get(_DEFAULT) or spec["containers"][0]["name"]
    listed = [*(pod.get("status", {}).get("containerStatuses") or ())]
    listed += pod.get("status", {}).get("initContainerStatuses") or ()
    status = next((each for each in listed if each["name"] == chosen), None)
    if status is None:
        if chosen not in [each["name"] for each in (*spec["containers"], *(spec.get("initContainers") or ()))]:
            raise Failure(Reason.NOT_READY, "the pod has no such container")
        reason = pod.get("status", {}).get("reason") or "the pod is not scheduled yet"
        return Container(name, chosen, f"{metadata['uid']} 0", str(reason)[:100], None)
    state = status.get("state") or {}
    terminated = state.get("terminated")
    waiting = ""
    if "waiting" in state and not status.get("restartCount"):
        waiting = str(state["waiting"].get("reason") or "no reason told")[:100]
    if "waiting" in state and terminated is None:
        # Between two runs (CrashLoopBackOff) what there is to read is the last one's.
        terminated = (status.get("lastState") or {}).get("terminated")
    exit_status = None if terminated is None else int(terminated["exitCode"])
    run = f"{metadata['uid']} {status.get('restartCount', 0)}"
    return Container(name, chosen, run, waiting, exit_status)


def _strange(what: str) -> Failure:
    return Failure(Reason.MALFORMED, f"the answer about {what} is not one of Kubernetes'")
