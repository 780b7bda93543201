"""Which addresses /probe may be pointed at. Pure: a url is read strictly, then held against the allow-list."""

import fnmatch
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Schemes a target may have, with the default port; 0: the url has to name one.
SCHEMES = {"http": 80, "https": 443, "grpc": 0, "grpcs": 0, "tcp": 0}

_URL = re.compile(
    r"([a-z][a-z0-9+.-]*)://([^/?#\\]*)([/][^?#]*)?(\?[^#]*)?(#.*)?", re.ASCII | re.IGNORECASE | re.DOTALL
)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a url leads: `host` is a lower-case name or an address in its one canonical spelling."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def address(self) -> Address | None:
        """The host as an address, None when it is a name."""
        return _address(self.host)


def read(text: str) -> Place:
    """Read a url the strict way: one spelling per place, so that what is checked is what is connected to.

    `host:port` without a scheme is http, as Prometheus writes `__address__`. Raises ValueError saying what is wrong.
    """
    if len(text) > 2048:
        raise ValueError("the url is longer than 2048 characters")
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("the url holds a character that must be percent-encoded, or punycode in a name")
    if "://" not in text:
        text = f"http://{text}"
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError("not a url")
    scheme, authority, path = match[1].lower(), match[2], match[3] or ""
    if scheme not in SCHEMES:
        raise ValueError(f"scheme {scheme[:20]}; allowed: {', '.join(SCHEMES)}")
    if match[5]:
        raise ValueError("a fragment has no meaning in a target")
    if any(segment in (".", "..") for segment in path.lower().replace("%2e", ".").replace("%2f", "/").split("/")):
        raise ValueError("a path with . or .. segments can be read in more than one way")
    if "@" in authority:
        raise ValueError("credentials do not belong in a url")
    host, port = _split(authority.lower(), SCHEMES[scheme])
    return Place(text, scheme, host, port, path.rstrip("/"))


def _split(authority: str, default: int) -> tuple[str, int]:
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        address = _address(host)
        if not bracket or not isinstance(address, ipaddress.IPv6Address) or rest[:1] not in ("", ":"):
            raise ValueError("the host in brackets is not an IPv6 address")
        return str(address), _port(rest, default)
    host, colon, port = authority.partition(":")
    if not _NAME.fullmatch(host) or len(host) > 253:
        raise ValueError("the host is neither a name nor an address; a dot at its end is not allowed")
    if _NUMBER.fullmatch(host.rpartition(".")[2]) and not isinstance(_address(host), ipaddress.IPv4Address):
        raise ValueError("an IPv4 address is written as four decimal numbers")
    return host, _port(colon + port, default)


def _port(text: str, default: int) -> int:
    if not text:
        if not default:
            raise ValueError("the url needs a port")
        return default
    digits = text[1:]
    if not re.fullmatch(r"[0-9]{1,5}", digits, re.ASCII) or not 1 <= int(digits) <= 65535:
        raise ValueError("the port is not a number from 1 to 65535")
    return int(digits)


def canonical(host: str) -> str:
    """A host as `Place` spells it: names in lower case, addresses in their one canonical form."""
    address = _address(host)
    return host.lower() if address is None else str(address)


def _address(host: str) -> Address | None:
    if "%" in host:
        return None
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def forbidden(address: Address) -> str:
    """Why no request may go to an address, whatever the allow-list says; empty when one may."""
    for reason, networks in _FORBIDDEN.items():
        if any(address in network for network in networks):
            return reason
    if isinstance(address, ipaddress.IPv6Address) and _embeds(address):
        return "IPv4 inside IPv6"
    return "a cloud's metadata service" if address in _METADATA else ""


def _embeds(address: ipaddress.IPv6Address) -> bool:
    if address == _LOOPBACK:  # not is_loopback: newer Pythons say yes to ::ffff:127.0.0.1
        return False
    return bool(address.sixtofour or address.teredo) or any(address in network for network in _EMBEDDING)


_LOOPBACK = ipaddress.ip_address("::1")
_FORBIDDEN = {
    "unspecified": tuple(map(ipaddress.ip_network, ("0.0.0.0/8", "::/128"))),
    "link-local": tuple(map(ipaddress.ip_network, ("169.254.0.0/16", "fe80::/10"))),
    "multicast": tuple(map(ipaddress.ip_network, ("224.0.0.0/4", "ff00::/8"))),
    "reserved": tuple(map(ipaddress.ip_network, ("240.0.0.0/4", "fec0::/10"))),
}
_EMBEDDING = tuple(map(ipaddress.ip_network, ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")))
#: Metadata services outside the link-local range: AWS over IPv6, Alibaba Cloud.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200")))


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of the allow-list: a network or a glob over host names, and a port (None: any)."""

    network: Network | None
    glob: str
    port: int | None

    def may_cover(self, place: Place) -> bool:
        """Whether this entry could cover `place`, were its name looked up. What no entry could is not looked up."""
        if self.port is not None and self.port != place.port:
            return False
        if place.address is not None:
            return place.address in self.network if self.network is not None else self.glob == "*"
        return self.network is not None or fnmatch.fnmatchcase(place.host, self.glob)

    def covers(self, place: Place, address: Address) -> bool:
        """Whether this entry lets `place` be reached at `address`."""
        return self.may_cover(place) and (self.network is None or address in self.network)


def rule(entry: str) -> Rule:
    """Read an entry: `10.0.0.0/8`, `[fd00::]/8:8000`, `10.1.2.3:8080`, `*.models.svc:8080`, `llm.example`, `*`.

    `*` in a glob stands for any characters, dots included. Globs match names only, but `*` alone is every host; the
    port may be `*`, too. Raises ValueError.
    """
    text = entry.strip().lower()
    if (network := _network(text)) is not None:
        return Rule(network, "", None)
    match = _ENTRY.fullmatch(text)
    if match is None or (match["port"] not in (None, "*") and not 1 <= int(match["port"]) <= 65535):
        raise ValueError(f"{entry!r}; allowed: a network, an address or a glob over host names, each with :port")
    port = None if match["port"] in (None, "*") else int(match["port"])
    inner, host = match["inner"], match["host"] or ""
    network = _network(inner + (match["bits"] or "") if inner else host)
    if network is None and (inner or "/" in host):
        raise ValueError(f"{entry!r} is no network; allowed: such as 10.0.0.0/8 or [fd00::]/8:8000")
    return Rule(network, "" if network else host, port)


#: A network in brackets, or a host, an IPv4 network or a glob; then a port.
_ENTRY = re.compile(
    r"(?:\[(?P<inner>[^\[\]]+)\](?P<bits>/[0-9]{1,3})?|(?P<host>[a-z0-9_.*?/-]+))(?::(?P<port>[0-9]{1,5}|\*))?",
    re.ASCII,
)


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def usable(place: Place, found: Iterable[str], rules: Sequence[Rule], *, configured: bool) -> tuple[str, ...]:
    """Those of a name's addresses that `place` may be reached at, in the order given.

    `configured`: a target of the config covers the url, so no rule has to. Empty: the request is denied.
    """
    good = []
    for text in found:
        address = _address(text)
        if address is None or forbidden(address):
            continue
        if configured or any(entry.covers(place, address) for entry in rules):
            good.append(text)
    return tuple(good)
