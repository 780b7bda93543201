"""What an endpoint's credentials look like on the wire, and how they are kept out of everything else."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote, quote_plus, unquote_plus

from exporter.model.endpoint import Basic, Bearer, HeaderAuth, Proxy, Service, Standing
from exporter.transport import secrets

HIDDEN = "<hidden>"

# Shorter values are too common in ordinary text for replacing them to be anything but noise.
_WHOLE = 4
# A text may have been cut in the middle of a secret: this much of its beginning is enough to recognise it.
_PREFIX = 8
#: What is written alike wherever it is written.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
_HEX = re.compile(r"%[0-9A-F]{2}")


def header_of(auth: Standing) -> tuple[str, str]:
    """The one header that carries the credential. Raises `Failure(auth)` when a secret cannot be read."""
    match auth:
        case Bearer():
            return "Authorization", f"Bearer {secrets.read(auth.token)}"
        case Basic():
            pair = f"{auth.username}:{secrets.read(auth.password)}"
            return "Authorization", "Basic " + b64encode(pair.encode()).decode("ascii")
        case HeaderAuth():
            return auth.name, secrets.read(auth.value)


def headers_of(service: Service) -> dict[str, str]:
    """The headers of a server that is no target, its credential among them. Raises `Failure(auth)`."""
    headers = {name: secrets.read(value) for name, value in service.headers}
    if service.auth is not None:
        name, value = header_of(service.auth)
        headers[name] = value
    return headers


def proxy_header_of(proxy: Proxy | None) -> tuple[str, str] | None:
    """The header that lets us through a proxy, None where it asks for none. Raises `Failure(auth)`."""
    if proxy is None or proxy.auth is None:
        return None
    return "Proxy-Authorization", header_of(proxy.auth)[1]


def values_of(auth: Standing) -> list[str]:
    """Every text that would give the credential away. Raises `Failure(auth)` when a secret cannot be read."""
    value = header_of(auth)[1]
    match auth:
        case Bearer():
            return [value.removeprefix("Bearer ")]
        case Basic():
            return [value.removeprefix("Basic "), secrets.read(auth.password)]
        case HeaderAuth():
            return [value]


def redact(text: str, values: Iterable[str]) -> str:
    """`text` with every secret of `values` replaced, also where the text was cut in the middle of one."""
    return hide(text, forms(values))


def forms(values: Iterable[str]) -> list[str]:
    """All that gives one of `values` away, for `hide`: the longest first, for one may be a part of another."""
    return sorted({form for value in values for form in _forms(value)}, key=len, reverse=True)


def hide(text: str, known: Sequence[str]) -> str:
    """`text` without what is `known`: first what is there whole, so that no other form takes a beginning of it away."""
    for form in known:
        if len(form) >= _WHOLE:
            text = text.replace(form, HIDDEN)
    for form in known:
        if len(form) >= _PREFIX:
            text = _cut(text, form)
    return text


#: Each empty one would be 216 bytes.
_NO_SECRETS: Final[frozenset[str]] = frozenset()


def secrets_of(query: str) -> frozenset[str]:
    """The values of a url's query, any of which may be a key: as they were written, and decoded."""
    if not query:
        return _NO_SECRETS
    values = [pair.partition("=")[2] for pair in query.split("&")]
    return frozenset(form for value in values if value for form in (value, unquote_plus(value)))


def _forms(value: str) -> set[str]:
    """A secret as a peer may repeat it: as it is, within JSON, a url or HTML, and as base64."""
    forms = {value}
    if len(value) >= _PREFIX:
        forms.add(b64encode(value.encode()).decode("ascii").rstrip("="))
    if not _PLAIN.fullmatch(value):
        encoded = (quote(value, safe=""), quote(value), quote_plus(value))
        forms.update(encoded, (_HEX.sub(lambda found: found[0].lower(), each) for each in encoded))
        forms.update(json.dumps(value, ensure_ascii=plain)[1:-1] for plain in (True, False))
        forms.update((_html(value, "&#x27;"), _html(value, "&#39;")))
    return forms


def _html(value: str, apostrophe: str) -> str:
    value = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return value.replace('"', "&quot;").replace("'", apostrophe)


def _cut(text: str, secret: str) -> str:
    """`text` without the beginnings of a secret."""
    start = text.find(secret[:_PREFIX])
    while start >= 0:
        end = start + _PREFIX
        while end < len(text) and end - start < len(secret) and text[end] == secret[end - start]:
            end += 1
        text = text[:start] + HIDDEN + text[end:]
        start = text.find(secret[:_PREFIX], start + len(HIDDEN))
    return text
