"""One request over TLS, with a client's certificate or without."""

import http.client
import ssl
from collections.abc import Mapping
from pathlib import Path

from tests.support.web import Answer


def fetch(
    port: int,
    path: str,
    *,
    ca: Path,
    certificate: Path | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
) -> Answer:
    """Ask on a new connection. Raises OSError (ssl.SSLError is one)."""
    trust = ssl.create_default_context(cafile=ca)
    if certificate is not None:
        trust.load_cert_chain(certificate)
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trust)
    try:
        connection.request(method, path, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, dict(response.headers), response.read().decode(errors="replace"), 0.0)
    except http.client.HTTPException as error:
        raise OSError(repr(error)) from error
    finally:
        connection.close()
