"""Where a redirect may lead: the same origin, over http(s), a few hops, never in a circle."""

from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from exporter.model.failure import Failure, Reason

MAX_HOPS = 5
_STATUS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}


class Step(NamedTuple):
    """What to ask next."""

    method: str
    path: str
    keeps_body: bool


def is_redirect(status: int) -> bool:
    """Whether an answer of this status asks us to go elsewhere."""
    return status in _STATUS


def follow(origin: str, method: str, path: str, status: int, location: str) -> Step:
    """The next request. `origin` is `scheme://host[:port]`. Raises `Failure(redirect)`; never quotes the location."""
    if not location:
        raise _refused("without a Location", status)
    if not location.isascii() or not location.isprintable() or " " in location:
        raise _refused("with a Location that is no URL", status)
    try:
        here, there = urlsplit(origin + path), urlsplit(urljoin(origin + path, location))
        same = _origin(here) == _origin(there)
    except ValueError:
        raise _refused("with a Location that is no URL", status) from None
    if there.scheme not in _PORTS:
        raise _refused("to something that is not http", status)
    if "@" in there.netloc:
        raise _refused("to an address with credentials in it", status)
    if not same:
        raise _refused("to another origin", status)
    target = (there.path or "/") + (f"?{there.query}" if there.query else "")
    if status == 303 and method != "HEAD":
        return Step("GET", target, False)
    if status in (301, 302) and method == "POST":
        return Step("GET", target, False)
    return Step(method, target, True)


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return (url.scheme, url.hostname, url.port or _PORTS.get(url.scheme))


def _refused(what: str, status: int) -> Failure:
    return Failure(Reason.REDIRECT, f"{status} {what}", http_status=status)
