"""Pods: a target for each port of each container, as Prometheus has it. A Pod that exists is awake."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exporter.discovery.kubernetes.chosen import Chosen, Objects, Resource, Role
from exporter.discovery.kubernetes.kept import META, Kept, Place, Wanted, at_port, kept, meta, reachable

#: Knative counts what comes through this container, and keeps the Pod while anything comes.
_PROXY = "queue-proxy"
_OVER = ("Succeeded", "Failed")
#: Of a Pod that is over nothing is to be asked, and nothing need be told to us.
ALIVE = {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}


def keep(found: Mapping[str, Any], wanted: Wanted) -> Kept:
    """A Pod with an address for each port; `proxied` are the ports of Knative's proxy."""
    spec, status = found["spec"], found.get("status") or {}
    gone = "deletionTimestamp" in found["metadata"] or status.get("phase") in _OVER
    address = status.get("podIP")
    places: tuple[Place, ...] = ()
    if not gone and reachable(address):
        places = tuple(_places(str(address), spec, _states(status)))
    proxied = [
        str(port["containerPort"])
        for container in spec["containers"] if container["name"] == _PROXY
        for port in container.get("ports") or ()
    ]  # fmt: skip
    facts = {"proxied": proxied, "gone": gone}
    return kept(found, "pod", wanted, _about(found, status), places=places, facts=facts)


def choose(collections: Sequence[Objects]) -> Chosen:
    """Every Pod that is watched and has an address."""
    chosen = Chosen()
    for pod in collections[0].values():
        if pod.problem:
            chosen.refuse(pod, pod.problem)
        elif pod.asked is not None and pod.places:
            port = pod.asked.get("port", "")
            if port in pod.facts["proxied"]:
                chosen.refuse(pod, f"port {port} is that of Knative's queue-proxy: asking there keeps the Pod awake")
            elif places := at(pod, port):
                chosen.add(pod, places)
            else:
                chosen.refuse(pod, f"no port is called {port[:60]!r}")
    return chosen


def at(pod: Kept, port: str) -> list[Place]:
    """The addresses at a port, which need not be declared when it is a number."""
    places = at_port(pod.places, port, f"{META}pod_container_port_name")
    if not places and port.isdigit():
        first = pod.places[0]
        labels = {name: value for name, value in first.labels.items() if "_container_port_" not in name}
        return [Place(first.host, port, labels, first.who)]
    return places


def _places(address: str, spec: Mapping[str, Any], states: Mapping[str, str]) -> Iterator[Place]:
    for init, containers in ((False, spec["containers"]), (True, spec.get("initContainers") or ())):
        for container in containers:
            if container["name"] == _PROXY or (init and container.get("restartPolicy") != "Always"):
                continue
            labels = meta(
                "pod_container", name=container["name"], image=container.get("image"), init=init,
                id=states.get(container["name"]),
            )  # fmt: skip
            if seconds := _startup(container.get("startupProbe")):
                labels["__startup__"] = f"{seconds}s"
            ports = container.get("ports") or ()
            for port in ports:
                if port.get("protocol", "TCP") == "TCP":
                    more = meta(
                        "pod_container_port", name=port.get("name"), number=port["containerPort"], protocol="TCP"
                    )
                    yield Place(address, str(port["containerPort"]), {**labels, **more})
            if not ports:
                yield Place(address, "", labels)


def _startup(probe: Mapping[str, Any] | None) -> int:
    """Seconds kubelet gives a container to start, 0 where it is not told."""
    if not probe:
        return 0
    return int(probe.get("initialDelaySeconds", 0)) + int(probe.get("periodSeconds", 10)) * int(
        probe.get("failureThreshold", 3)
    )


def _states(status: Mapping[str, Any]) -> dict[str, str]:
    listed = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return {each["name"]: each.get("containerID", "") for each in listed}


def _about(found: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, str]:
    metadata = found["metadata"]
    ready = next((each["status"] for each in status.get("conditions") or () if each["type"] == "Ready"), "unknown")
    owner: Mapping[str, Any] = next(
        (each for each in metadata.get("ownerReferences") or () if each.get("controller")), {}
    )
    return meta(
        "pod", ip=status.get("podIP"), ready=ready.lower(), phase=status.get("phase"), uid=metadata.get("uid"),
        node_name=found["spec"].get("nodeName"), host_ip=status.get("hostIP"), controller_kind=owner.get("kind"),
        controller_name=owner.get("name"),
    )  # fmt: skip


PODS = Role((Resource("/api/v1", "pods", keep, ALIVE, selected=True),), choose)
