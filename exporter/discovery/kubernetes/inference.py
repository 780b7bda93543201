"""InferenceServices of KServe: each is one model, asked at its own address, or Pod by Pod where that kept it awake.

Source: the API serving.kserve.io/v1beta1, and the labels and annotations KServe and Knative act upon. What may be
scaled to zero is, once nobody asks: what comes through Knative counts as use, what goes straight to the port of the
model's container does not.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from exporter.discovery.kubernetes import pods
from exporter.discovery.kubernetes.chosen import Chosen, Objects, Resource, Role
from exporter.discovery.kubernetes.kept import META, Kept, Place, Wanted, at_port, kept, meta, reachable
from exporter.transport.resolve import is_literal

#: The label by which a Pod says whose it is, and the container in which the model is.
_OWNER = "serving.kserve.io/inferenceservice"
_CONTAINER = "kserve-container"
_PORT = "8080"
_STOPPED = "serving.kserve.io/stop"
_MIN_SCALE = ("autoscaling.knative.dev/min-scale", "autoscaling.knative.dev/minScale")
#: What KServe calls a protocol, and what it is called here.
_PROTOCOLS = {"v1": "kserve_v1", "v2": "open_inference", "grpc-v2": "open_inference"}


def keep_service(found: Mapping[str, Any], wanted: Wanted) -> Kept:
    """An InferenceService: where it is reached, and whether it may be scaled to zero."""
    status = found.get("status") or {}
    predictor = (found.get("spec") or {}).get("predictor") or {}
    annotations = found["metadata"].get("annotations") or {}
    url = str((status.get("address") or {}).get("url") or status.get("url") or "")
    version = str((predictor.get("model") or {}).get("protocolVersion") or "")
    ready = next((each["status"] for each in status.get("conditions") or () if each["type"] == "Ready"), "unknown")
    facts = {
        "url": _url(url),
        "sleeps": _least(annotations, predictor) == "0",
        "stopped": annotations.get(_STOPPED) == "true",
        "copies": ((status.get("modelStatus") or {}).get("copies") or {}).get("totalCopies"),
        "protocol": _PROTOCOLS.get(version, "") if wanted.guess else "",
        "wake": wanted.wake,
    }
    about = meta("inferenceservice", url=url, protocol_version=version, ready=str(ready).lower())
    return kept(found, "inferenceservice", wanted, about, facts=facts)


def keep_pod(found: Mapping[str, Any], wanted: Wanted) -> Kept:
    """A Pod of an InferenceService: `of` names it, unless the Pod is one of its transformer or explainer."""
    metadata = found["metadata"]
    labels = metadata.get("labels") or {}
    predicts = labels.get("component", "predictor") == "predictor"
    pod = pods.keep(found, wanted)
    return Kept(
        pod.id, pod.meta, of=f"{metadata['namespace']}/{labels[_OWNER]}" if predicts else "",
        places=pod.places, facts=pod.facts,
    )  # fmt: skip


def choose(collections: Sequence[Objects]) -> Chosen:
    """Every InferenceService that is watched and has a replica, or may be woken."""
    services, all_pods = collections
    chosen = Chosen()
    replicas: dict[str, list[Kept]] = defaultdict(list)
    for pod in all_pods.values():
        if not pod.facts["gone"]:
            replicas[pod.of].append(pod)
    for service in services.values():
        if service.problem:
            chosen.refuse(service, service.problem)
        if service.asked is None:
            continue
        mine, facts, port = replicas[service.id], service.facts, service.asked.get("port", "")
        protocol = "" if "__module__" in service.asked else facts["protocol"]
        labels = {"__model__": service.id.partition("/")[2], "__protocol__": protocol}
        wake = facts["wake"] and facts["url"]
        if facts["stopped"] or not (mine or facts["copies"] or wake):
            chosen.asleep += 1
        elif wake or (facts["url"] and not facts["sleeps"]):
            scheme, host, usual = facts["url"]
            chosen.add(service, [Place(host, port if port.isdigit() else usual, {"__scheme__": scheme})], labels)
        else:
            places = [place for pod in mine for place in _of_pod(pod, port)]
            chosen.add(service, places, labels, each=True)
    return chosen


def _of_pod(pod: Kept, port: str) -> list[Place]:
    """Where the model of a Pod listens: never the proxy that counts who asks."""
    own = [place for place in pod.places if place.labels.get(f"{META}pod_container_name") == _CONTAINER] or pod.places
    named = at_port(own, port, f"{META}pod_container_port_name")
    place = named[0] if named else own[0] if own else None
    if place is None or port in pod.facts["proxied"]:
        return []
    number = place.port if named else port if port.isdigit() else ""
    return [Place(place.host, number or _PORT, {**pod.meta, **place.labels}, pod.id.partition("/")[2])]


def _least(annotations: Mapping[str, Any], predictor: Mapping[str, Any]) -> str:
    """Replicas it is never scaled below: KServe has one where nothing is said."""
    said = (annotations.get(name) for name in _MIN_SCALE)
    return next((str(each) for each in said if each is not None), str(predictor.get("minReplicas", 1)))


def _url(url: str) -> tuple[str, str, str] | None:
    """Scheme, host and port; the path of KServe's urls is one of several APIs."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme in ("http", "https") and host and (reachable(host) or not is_literal(host)):
            return parts.scheme, host, str(parts.port or "")
    except ValueError:
        pass
    return None


INFERENCE_SERVICES = Role(
    (
        Resource("/apis/serving.kserve.io/v1beta1", "inferenceservices", keep_service, selected=True),
        Resource("/api/v1", "pods", keep_pod, {"labelSelector": _OWNER, **pods.ALIVE}),
    ),
    choose,
)
