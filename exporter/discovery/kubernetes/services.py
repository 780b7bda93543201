"""Services, and the addresses behind them (EndpointSlices). A Service without any is asleep, and not asked."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exporter.discovery.kubernetes.chosen import Chosen, Objects, Resource, Role, of_knative, told_of_knative
from exporter.discovery.kubernetes.kept import META, Kept, Place, Wanted, at_port, kept, meta, reachable

_SLICES = "/apis/discovery.k8s.io/v1"
#: The label by which a slice says whose it is.
_SERVICE = "kubernetes.io/service-name"


def keep_service(found: Mapping[str, Any], wanted: Wanted) -> Kept:
    """A Service with its DNS name at each port."""
    metadata, spec = found["metadata"], found["spec"]
    host = f"{metadata['name']}.{metadata['namespace']}.svc"
    kind = spec.get("type", "ClusterIP")
    balancer = spec.get("loadBalancerIP")
    external = spec.get("externalName") if kind == "ExternalName" else None
    about = meta(
        "service", type=kind, cluster_ip=None if external else spec.get("clusterIP"), loadbalancer_ip=balancer,
        external_name=external,
    )  # fmt: skip
    places = tuple(
        Place(
            host, str(port["port"]),
            {**about, **meta("service", port_name=port.get("name"), port_number=port["port"], port_protocol="TCP")},
        )
        for port in spec.get("ports") or () if port.get("protocol", "TCP") == "TCP"
    )  # fmt: skip
    facts = {"external": kind == "ExternalName", "about": about, "wake": wanted.wake}
    return kept(found, "service", wanted, places=places, facts=facts)


def keep_slice(found: Mapping[str, Any], wanted: Wanted) -> Kept:
    """A slice with each of its addresses at each port."""
    metadata = found["metadata"]
    service = (metadata.get("labels") or {}).get(_SERVICE)
    of = f"{metadata['namespace']}/{service}" if service else ""
    return kept(found, "endpointslice", wanted, of=of, places=tuple(_places(found)))


def choose_services(collections: Sequence[Objects]) -> Chosen:
    """Services that are watched and have a replica, ready or not, or may be woken."""
    services, slices = collections
    chosen = Chosen()
    replicas = Counter(each.of for each in slices.values() for _ in each.places)
    for service in services.values():
        if not _usable(chosen, service):
            continue
        if not replicas[service.id] and not service.facts["wake"]:
            chosen.asleep += 1
        elif places := _at(chosen, service, service.places, f"{META}service_port_name"):
            chosen.add(service, places)
    return chosen


def choose_slices(collections: Sequence[Objects]) -> Chosen:
    """Addresses behind Services that are watched; of slices without a Service those that are."""
    slices, services = collections
    chosen = Chosen()
    mine: dict[str, list[Kept]] = defaultdict(list)
    for each in slices.values():
        mine[each.of or each.id].append(each)
    for name, parts in mine.items():
        service = services.get(name) if parts[0].of else None
        owner = service or parts[0]
        if (service is None and parts[0].of) or not _usable(chosen, owner):
            continue
        places = [
            Place(place.host, place.port, {**part.meta, **place.labels}, place.who)
            for part in parts for place in part.places
        ]  # fmt: skip
        about = service.facts["about"] if service is not None else {}
        if not places:
            chosen.asleep += 1
        elif there := _at(chosen, owner, places, f"{META}endpointslice_port_name"):
            chosen.add(owner, there, about, each=True)
    return chosen


def _usable(chosen: Chosen, owner: Kept) -> bool:
    if owner.problem:
        chosen.refuse(owner, owner.problem)
    if owner.asked is None:
        return False
    if of_knative(owner, "service") or of_knative(owner, "endpointslice"):
        told_of_knative(chosen, owner)
        return False
    if owner.facts.get("external"):
        if "probe" in owner.asked:
            chosen.refuse(owner, "a Service of type ExternalName: nobody can tell what is behind it")
        return False
    return True


def _at(chosen: Chosen, owner: Kept, places: Sequence[Place], name: str) -> list[Place]:
    port = (owner.asked or {}).get("port", "")
    there = at_port(places, port, name)
    if port and not there:
        chosen.refuse(owner, f"it has no port {port[:60]!r}")
    return there


def _places(found: Mapping[str, Any]) -> Iterator[Place]:
    for endpoint in found.get("endpoints") or ():
        conditions = endpoint.get("conditions") or {}
        if conditions.get("terminating"):
            continue
        target = endpoint.get("targetRef") or {}
        about = {
            **meta(
                "endpointslice", address_type=found.get("addressType"), address_target_kind=target.get("kind"),
                address_target_name=target.get("name"),
            ),
            **meta(
                "endpointslice_endpoint", hostname=endpoint.get("hostname"), node_name=endpoint.get("nodeName"),
                zone=endpoint.get("zone"), **{f"conditions_{name}": value for name, value in conditions.items()},
            ),
        }  # fmt: skip
        who = target["name"] if target.get("kind") == "Pod" else ""
        for address in endpoint.get("addresses") or ():
            if not reachable(address):
                continue
            for port in found.get("ports") or ():
                if port.get("port") and port.get("protocol", "TCP") == "TCP":
                    more = meta(
                        "endpointslice_port", name=port.get("name"), protocol="TCP",
                        app_protocol=port.get("appProtocol"),
                    )  # fmt: skip
                    labels = {**about, f"{META}endpointslice_port": str(port["port"]), **more}
                    yield Place(address, str(port["port"]), labels, who)


SERVICES = Role(
    (Resource("/api/v1", "services", keep_service, selected=True), Resource(_SLICES, "endpointslices", keep_slice)),
    choose_services,
)
SLICES = Role(
    (Resource(_SLICES, "endpointslices", keep_slice, selected=True), Resource("/api/v1", "services", keep_service)),
    choose_slices,
)
