"""What is kept of an object: labels under the names Prometheus gives them, and what its annotations ask for. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from exporter.discovery.groups import MAX_TEXT
from exporter.model.endpoint import bracketed

META = "__meta_kubernetes_"
#: Annotations that are read, and how the labels are called they stand for.
OURS = "model-exporter/"
_LABELS = {
    "protocol": "__protocol__", "model": "__model__", "module": "__module__", "scheme": "__scheme__",
    "path": "__path__", "startup": "__startup__",
}  # fmt: skip
#: A socket of the exporter's own machine is nothing to be named from a cluster.
_SCHEMES = ("http", "https", "grpc", "grpcs", "tcp")
_ODD = re.compile(r"[^a-zA-Z0-9_]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which objects are watched: those annotated `probe: "true"`, with `annotated` false all but those that say
    "false". `modules` are those an annotation may name; `guess`: a protocol may be told by the object; `wake`: what has
    no replica is asked all the same.
    """

    annotated: bool = True
    modules: frozenset[str] = frozenset()
    guess: bool = True
    wake: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """One address of an object: a label set without a name yet."""

    host: str
    port: str
    labels: Mapping[str, str]
    who: str = ""  #: the pod's name


@dataclass(frozen=True, slots=True)
class Kept:
    """One object. `meta` are labels about it. `asked` is what annotations ask for (labels, `port` and `probe`): None
    where it is not to be watched, and `problem` says where it cannot be. `of` is the name of the object it belongs to,
    `facts` what its role needs to know.
    """

    id: str
    meta: Mapping[str, str]
    asked: Mapping[str, str] | None = None
    problem: str = ""
    made: float = 0.0
    of: str = ""
    places: tuple[Place, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def kept(
    found: Mapping[str, Any], prefix: str, wanted: Wanted, about: Mapping[str, str] | None = None, **more: Any
) -> Kept:
    """An object with what all roles keep; `about` are further labels. Raises KeyError and its like for what is no
    object.
    """
    metadata = found["metadata"]
    asked, problem = None, ""
    try:
        asked = _asked(metadata.get("annotations") or {}, wanted)
    except ValueError as error:
        problem = str(error)
    return Kept(
        id_of(metadata), {**meta_of(metadata, prefix), **(about or {})}, asked, problem, _time(metadata), **more
    )


def id_of(metadata: Mapping[str, Any]) -> str:
    """Namespace and name."""
    return f"{metadata['namespace']}/{metadata['name']}"


def meta_of(metadata: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """The labels Prometheus makes of every object's name, labels and annotations."""
    labels = {f"{META}namespace": metadata["namespace"], f"{META}{prefix}_name": metadata["name"]}
    for section, one in (("labels", "label"), ("annotations", "annotation")):
        for name, value in (metadata.get(section) or {}).items():
            shown = _ODD.sub("_", name)
            labels[f"{META}{prefix}_{one}present_{shown}"] = "true"
            if len(value) <= MAX_TEXT:
                labels[f"{META}{prefix}_{one}_{shown}"] = value
    return labels


def meta(prefix: str, **values: Any) -> dict[str, str]:
    """Further labels, of those that have a value."""
    return {f"{META}{prefix}_{name}": text(value) for name, value in values.items() if value not in (None, "")}


def text(value: Any) -> str:
    """As Prometheus writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def at_port(places: Sequence[Place], wanted: str, name: str) -> list[Place]:
    """Those at the port an annotation wants, by its number or by its name, which is in the label `name`; all where it
    wants none.
    """
    return [place for place in places if not wanted or wanted in (place.port, place.labels.get(name))]


def reachable(address: Any) -> bool:
    """Whether an address can be one of a pod: whoever writes objects must not name the exporter's own machine, or what
    a cloud has at link-local addresses.
    """
    try:
        found = ip_address(str(address))
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None) or found
    return not (mapped.is_loopback or mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified)


def named(owner: str, places: Iterable[Place], *, each: bool = False) -> Iterator[dict[str, str]]:
    """The label sets of the addresses of one object, each with a name of its own: the object's, with `each` the pod's
    or the address too; with the port where there are several, and with the address where that is not enough.
    """
    found = list(places)
    bases = [f"{owner}/{place.who or bracketed(place.host)}" if each else owner for place in found]
    longer = [f"{base}:{place.port}" for base, place in zip(bases, found, strict=True)]
    once, again = Counter(bases), Counter(longer)
    for place, base, long in zip(found, bases, longer, strict=True):
        address = f"{bracketed(place.host)}:{place.port}" if place.port else bracketed(place.host)
        name = base if once[base] == 1 else long if again[long] == 1 else f"{owner}/{address}"
        yield {"__target__": name, **place.labels, "__address__": address}


def _asked(annotations: Mapping[str, str], wanted: Wanted) -> dict[str, str] | None:
    """What annotations ask for. Raises ValueError for what they may not ask."""
    own = {name.removeprefix(OURS): value for name, value in annotations.items() if name.startswith(OURS)}
    probe = own.get("probe", "false" if wanted.annotated else "true")
    if probe not in ("true", "false"):
        raise ValueError(f'annotation {OURS}probe: found {probe[:60]!r}; allowed: "true", "false"')
    if probe == "false":
        return None
    if (scheme := own.get("scheme", "http")) not in _SCHEMES:
        raise ValueError(f"annotation {OURS}scheme: found {scheme[:60]!r}; allowed: {', '.join(_SCHEMES)}")
    if (module := own.get("module")) is not None and module not in wanted.modules:
        raise ValueError(f"annotation {OURS}module: {module[:60]!r} is not one of the modules of the entry")
    port = own.get("port", "1")
    if port.isascii() and port.isdigit() and not 1 <= int(port[:9]) <= 65535:
        raise ValueError(f"annotation {OURS}port: found {port[:60]!r}; allowed: 1 to 65535, or a name")
    return {_LABELS.get(name, name): value for name, value in own.items() if value}


def _time(metadata: Mapping[str, Any]) -> float:
    """Unix time of creation."""
    made = metadata.get("creationTimestamp")
    return datetime.fromisoformat(made).timestamp() if isinstance(made, str) else 0.0
