"""A target's url, taken apart and judged. What is wrong is said without quoting it: it may hold a password."""

import re
import sys
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv6Address
from typing import Annotated, Any, Literal, NamedTuple, cast
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from exporter.model.endpoint import bracketed
from exporter.settings import problem

Scheme = Literal["http", "https", "grpc", "grpcs", "tcp", "unix"]
#: The default port; None: the url has to name one.
_PORTS = {"http": 80, "https": 443, "grpc": None, "grpcs": None, "tcp": None}
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
#: What nearly every url is like; thousands of them are taken apart at a start.
_USUAL = re.compile(r"(https?)://([a-z0-9]+(?:[.-][a-z0-9]+)*)(?::([1-9][0-9]{0,4}))?((?:/[A-Za-z0-9._~-]+)*)/?")
_FOREIGN = re.compile(r"[^\x21-\x7e]|\\")
SCHEMES = ("http", "https", "grpc", "grpcs", "tcp", "unix")
MAX_URL = 2048
_HIGHEST = 65535


class Address(NamedTuple):
    """A checked url: `host` without brackets, `port` always set (0 for unix), `path` without a trailing slash. An
    `Endpoint` begins with the same fields.
    """

    scheme: Scheme
    host: str
    port: int
    path: str
    query: str

    @property
    def name(self) -> str:
        """`host:port[/path]`, the default name of a target."""
        if self.scheme == "unix":
            return f"unix:{self.host}"
        return f"{bracketed(self.host)}:{self.port}{self.path}"

    @property
    def shown(self) -> str:
        """The url for people, its query hidden."""
        if self.scheme == "unix":
            return f"unix://{self.host}"
        query = "?<hidden>" if self.query else ""
        return f"{self.scheme}://{self.name}{query}"


def without_query(url: str) -> str:
    """A url for people, its query hidden."""
    bare, query, _ = url.partition("?")
    return f"{bare}?<hidden>" if query else bare


def parse(value: Any, schemes: Sequence[str] = SCHEMES) -> Address:
    """Check a url, of one of these schemes; http and https are always among them. Raises a problem that says what is
    wrong with it.
    """
    if isinstance(value, Address):
        return value
    if not isinstance(value, str):
        raise problem("url", "found {found}; string expected: a url such as http://host:8000", found=value)
    usual = _USUAL.fullmatch(value)
    if usual is not None and len(usual[2]) <= 63 and len(value) <= MAX_URL:
        port = int(usual[3] or _PORTS[usual[1]] or 0)
        if port <= _HIGHEST:
            return Address(cast(Scheme, sys.intern(usual[1])), usual[2], port, sys.intern(usual[4]), "")
    return _parse(value, schemes)


def _parse(value: str, schemes: Sequence[str] = SCHEMES) -> Address:
    allowed = f"allowed: {', '.join(schemes)}"
    _check_characters(value)
    scheme, colon, rest = value.partition("://")
    scheme = scheme.lower()
    if not colon or not scheme.isascii() or not scheme.isalpha():
        raise problem("url", f"the url has no scheme; {allowed}, such as http://host:8000")
    if scheme not in schemes:
        raise problem(
            "url", f"the scheme {scheme[:20]} is {'not for this' if scheme in SCHEMES else 'unknown'}; {allowed}"
        )
    if scheme == "unix":
        return _unix(rest)
    if "@" in re.split(r"[/?#]", rest, maxsplit=1)[0]:
        raise problem("url", "the url holds credentials (not shown); they belong in auth")
    if "#" in rest:
        raise problem("url", "the url has a fragment (#...), which is never sent; leave it out")
    try:
        parts = urlsplit(value)
    except ValueError:
        raise problem("url", "the url has an invalid host; allowed: a name, an IPv4 address or [IPv6]") from None
    host = _host(parts)
    return Address(cast(Scheme, scheme), host, *_rest(scheme, parts))


def _rest(scheme: str, parts: SplitResult) -> tuple[int, str, str]:
    """Port, path and query."""
    port = _port(parts) or _PORTS[scheme]
    if port is None:
        raise problem(
            "url", f"the url names no port, and {scheme} has no usual one; allowed: such as {scheme}://host:8001"
        )
    path = parts.path.rstrip("/")
    if scheme not in ("http", "https") and (path or parts.query):
        raise problem("url", f"the url has a path or a query, which {scheme} has no use for; leave it out")
    return port, sys.intern(path), parts.query  # ten thousand urls are much alike


def _check_characters(value: str) -> None:
    if len(value) > MAX_URL:
        raise problem("url", f"the url is longer than {MAX_URL} characters")
    if match := _FOREIGN.search(value):
        char = match[0]
        if char < " " or char == "\x7f":
            raise problem("url", "the url holds a control character; leave it out, or write it percent-encoded")
        if char in (" ", "\\"):
            raise problem("url", f"the url holds a {'space' if char == ' ' else 'backslash'}; write it percent-encoded")
        raise problem("url", "the url holds a character outside ASCII; write names in punycode, paths percent-encoded")


def _unix(rest: str) -> Address:
    if not rest.startswith("/") or "?" in rest or "#" in rest or rest.endswith("/"):
        raise problem("url", "the url names no socket; allowed: unix:///absolute/path")
    if len(rest) > 107:
        raise problem("url", "the path of a unix socket is longer than 107 bytes")
    return Address("unix", rest, 0, "", "")


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if not host:
        raise problem("url", "the url has no host; allowed: such as http://host:8000")
    if "[" in parts.netloc:
        address, _, zone = host.partition("%")
        try:
            IPv6Address(address)
        except (AddressValueError, ValueError):
            raise problem("url", "the url has an invalid host: no IPv6 address in the brackets") from None
        return f"{address}%{zone.removeprefix('25')}" if zone else address
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise problem("url", "the url has an invalid host; allowed: a name, an IPv4 address or [IPv6]")
    return host


def _port(parts: SplitResult) -> int | None:
    text = parts.netloc.rpartition("]")[2].rpartition(":")
    if not text[1]:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text[2]) or not 1 <= int(text[2]) <= _HIGHEST:
        raise problem("url", "the url has an invalid port; allowed: 1 to 65535")
    return int(text[2])


#: A target's url, as an `Address`.
Url = Annotated[
    Address,
    BeforeValidator(parse),
    PlainSerializer(lambda address: address.shown),
    WithJsonSchema(
        {"type": "string", "pattern": "^(https?|grpcs?|tcp|unix)://", "examples": ["http://127.0.0.1:8000"]}
    ),
]
