"""Replicas of one target: their addresses as a config gives them, and the target's jobs moved to one of them."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from exporter.model.endpoint import bracketed
from exporter.model.job import Job
from exporter.model.target import MAX_ADDRESSES
from exporter.settings import problem

DNS: Literal["dns"] = "dns"
_ALLOWED = "allowed: such as 10.0.0.1, 10.0.0.1:8000 or [fd00::1]:8000"


class Place(NamedTuple):
    """An IP address without brackets, and a port; 0 for that of the url."""

    address: str
    port: int = 0

    def shown(self, port: int) -> str:
        """`address:port`, IPv6 in brackets; `port` is that of the url."""
        return f"{bracketed(self.address)}:{self.port or port}"


def parse(value: Any) -> Literal["dns"] | tuple[Place, ...]:
    """`dns`, or a list of addresses. Raises a problem that says what is wrong with it."""
    if value == DNS:
        return DNS
    if not isinstance(value, list | tuple):
        raise problem("replicas", "found {found}; allowed: dns, or a list of addresses", found=value)
    if not value or len(value) > MAX_ADDRESSES:
        raise problem("replicas", f"found {len(value)} addresses; allowed: 1 to {MAX_ADDRESSES}, or dns")
    return tuple(each if isinstance(each, Place) else _place(each) for each in value)


def at(jobs: Sequence[Job], place: Place) -> list[Job]:
    """The jobs of one target, as those of its replica at a place."""
    if not jobs:
        return []
    target = jobs[0].target
    shown = place.shown(target.endpoint.port)
    port = 0 if place.port == target.endpoint.port else place.port
    moved = replace(
        target,
        name=f"{target.name}@{shown}",
        group=target.name,
        address=shown,
        endpoint=replace(target.endpoint, addresses=(place.address,), address_port=port),
    )
    return [replace(job, target=moved, fingerprint=f"{job.fingerprint}@{shown}") for job in jobs]


def _place(value: Any, hint: str = "; dns looks names up") -> Place:
    if not isinstance(value, str):
        raise problem("replicas", f"found {{found}} in the list; {_ALLOWED}, as text", found=value)
    host, colon, port = value, "", ""
    if value.startswith("["):
        host, bracket, rest = value[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in ("", ":"):
            raise problem("replicas", f"found {{found}} in the list; {_ALLOWED}", found=value)
    elif value.count(":") == 1:
        host, colon, port = value.partition(":")
    if colon and not (port.isascii() and port.isdigit() and len(port) < 6 and 1 <= int(port) <= 65535):
        raise problem("replicas", "found {found} in the list: an invalid port; allowed: 1 to 65535", found=value)
    try:
        address = ip_address(host)
    except ValueError:
        message = f"found {{found}} in the list, which is no IP address; {_ALLOWED}{hint}"
        raise problem("replicas", message, found=value) from None
    return Place(str(address), int(port) if colon else 0)


def _written(value: Literal["dns"] | tuple[Place, ...]) -> str | list[str]:
    if isinstance(value, str):
        return value
    return [place.shown(0) if place.port else place.address for place in value]


#: One address, with a port or without.
Address = Annotated[
    Place,
    PlainValidator(lambda value: value if isinstance(value, Place) else _place(value, hint="")),
    PlainSerializer(lambda place: _written((place,))[0]),
    WithJsonSchema({"type": "string"}),
]
#: `dns`, or addresses.
Replicas = Annotated[
    Literal["dns"] | tuple[Place, ...],
    PlainValidator(parse),
    PlainSerializer(_written),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": DNS, "type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_ADDRESSES},
            ]
        }
    ),
]
