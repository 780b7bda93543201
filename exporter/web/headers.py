"""Headers every answer carries, and which origins may ask for a change."""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from aiohttp import web

#: Methods any path of ours knows.
METHODS = ("GET", "HEAD", "POST", "DELETE")

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Server": "model-exporter",
}


def harden(response: web.StreamResponse, chosen: Mapping[str, str] = MappingProxyType({})) -> None:
    """Set the security headers, those `chosen` in the web config in place of ours. Answers are not kept by caches
    unless a handler says so.
    """
    response.headers.update(_HEADERS)
    response.headers.update(chosen)
    response.headers.setdefault("Cache-Control", "no-store")


def same_origin(request: web.BaseRequest, external_url: str = "") -> bool:
    """Whether a change may be asked for: by a program (no Origin), or by a page of our own.

    Only host and port are compared: TLS may end at a proxy, and behind one that changes the Host header
    `external_url` is the origin browsers see.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    asking = _authority(origin)
    return bool(asking) and asking in (request.host.lower(), _authority(external_url))


def _authority(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in ("http", "https") else ""
