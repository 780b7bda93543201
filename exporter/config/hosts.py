"""Patterns of hosts: names, `*.suffix`, addresses and networks, each with an optional `:port`."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from exporter.settings import problem

_GLOB = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_*-]{1,63}(?:\.[A-Za-z0-9_*-]{1,63})*|\*")


def split(pattern: str) -> tuple[str, int | None]:
    """Host part and port of a pattern; an IPv6 address or network stands in brackets when it has a port.

    Raises ValueError.
    """
    host, port = pattern, ""
    if pattern.startswith("["):
        host, bracket, rest = pattern[1:].partition("]")
        if not bracket or (rest and not rest.startswith((":", "/"))):
            raise ValueError("brackets")
        if rest.startswith("/"):
            bits, _, port = rest[1:].partition(":")
            host = f"{host}/{bits}"
        else:
            port = rest[1:]
    elif pattern.count(":") == 1:
        host, _, port = pattern.partition(":")
    if ":" in pattern and not pattern.startswith("[") and pattern.count(":") == 1 and not port:
        raise ValueError("port")
    if not port or port == "*":
        return host, None
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError("port")
    return host, int(port)


def _check(value: Any) -> str:
    if not isinstance(value, str):
        raise problem("host", "found {found}; string expected: a host or network", found=value)
    try:
        host, _ = split(value)
        if "/" in host or ":" in host:
            ip_network(host, strict=False)
        elif not _GLOB.fullmatch(host):
            raise ValueError("host")
    except ValueError:
        raise problem(
            "host",
            "found {found}; allowed: a name, *.suffix, address or network, with an optional :port, such as "
            "10.0.0.0/8 or *.models.svc:8080",
            found=value,
        ) from None
    return value


def covers(patterns: Iterable[str], host: str, port: int) -> bool:
    """Whether one of the patterns names this host, as it is written in a url, and this port. Nothing is resolved:
    networks cover addresses only.
    """
    name = host.lower().rstrip(".")
    for pattern in patterns:
        wanted, wanted_port = split(pattern)
        if wanted_port is not None and wanted_port != port:
            continue
        try:
            address = ip_address(name)
        except ValueError:
            if "/" not in wanted and fnmatchcase(name, wanted.lower()):
                return True
            continue
        try:
            if address in ip_network(wanted, strict=False):
                return True
        except ValueError:
            if wanted == "*":
                return True
    return False


#: A host pattern as text.
HostPattern = Annotated[str, BeforeValidator(_check), WithJsonSchema({"type": "string", "minLength": 1})]
