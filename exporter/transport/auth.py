"""What an endpoint's credentials look like on the wire, and how they are kept out of everything else."""

from base64 import b64encode
from collections.abc import Iterable

from exporter.model.endpoint import Basic, Bearer, HeaderAuth, Proxy, Service, Standing
from exporter.transport import secrets

HIDDEN = "<hidden>"

# Shorter values are too common in ordinary text for replacing them to be anything but noise.
_WHOLE = 4
# A text may have been cut in the middle of a secret: this much of its beginning is enough to recognise it.
_PREFIX = 8


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
    for value in sorted(values, key=len, reverse=True):
        for form in {value, value.replace("\\", "\\\\").replace('"', '\\"')}:
            text = _replace(text, form)
    return text


def _replace(text: str, secret: str) -> str:
    if len(secret) < _PREFIX:
        return text.replace(secret, HIDDEN) if len(secret) >= _WHOLE else text
    start = text.find(secret[:_PREFIX])
    while start >= 0:
        end = start + _PREFIX
        while end < len(text) and end - start < len(secret) and text[end] == secret[end - start]:
            end += 1
        text = text[:start] + HIDDEN + text[end:]
        start = text.find(secret[:_PREFIX], start + len(HIDDEN))
    return text
