"""The way through an HTTP proxy: what it is asked for, and what its refusals mean.

Requests to http targets name the whole url (RFC 9112, 3.2.2); for everything else a tunnel is asked for with CONNECT
(RFC 9110, 9.3.6). What a proxy says of itself is told apart from what a target says through it, as far as it says so.
"""

from http import HTTPStatus

from exporter.contracts import Headers
from exporter.model.endpoint import Endpoint, Proxy, bracketed
from exporter.model.failure import Failure, Reason
from exporter.transport import auth
from exporter.transport.connection import Connection
from exporter.transport.message import Answer


def authority_of(endpoint: Endpoint) -> str:
    """`host:port` that a proxy is asked for; it looks names up itself."""
    host = endpoint.addresses[0] if endpoint.addresses else endpoint.host
    return f"{bracketed(host.partition('%')[0])}:{endpoint.connect_port}"


class Tunnel(Answer):
    """The answer to CONNECT. What follows it comes from the other end of the tunnel, and is kept in `beyond`: servers
    may speak first.
    """

    __slots__ = ("beyond", "_tail")

    def __init__(self) -> None:
        super().__init__(0, head_only=True)
        self.beyond = b""
        self._tail = b""

    def feed(self, at: float, data: bytes | memoryview) -> None:
        """Take what one read brought."""
        data = bytes(data)
        while data and not self.done and self.failure is None:
            end = (self._tail + data).find(b"\r\n\r\n")
            cut = len(data) if end < 0 else end + 4 - len(self._tail)
            head, data = data[:cut], data[cut:]
            self._tail = (self._tail + head)[-3:] if end < 0 else b""
            super().feed(at, head)
        self.beyond += data


async def tunnel(connection: Connection, endpoint: Endpoint, proxy: Proxy) -> tuple[float, bytes]:
    """Have the proxy connect us to the endpoint; seconds from the question to the answer, and what came after it.
    Raises `Failure`.
    """
    authority = authority_of(endpoint)
    header = auth.proxy_header_of(proxy)
    let = "" if header is None else f"{header[0]}: {header[1]}\r\n"
    answer = Tunnel()
    began = connection.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{let}\r\n".encode(), answer)
    while not answer.done and answer.failure is None:
        await connection.moved()
    if answer.failure is not None:
        raise Failure(answer.failure.reason, f"proxy {proxy.name}: {answer.failure.detail}")
    if not 200 <= answer.status < 300:
        raise refusal(proxy, answer.status)
    return answer.ended - began, answer.beyond


def refusal(proxy: Proxy, status: int) -> Failure:
    """What it means that a proxy answered a status of its own in place of letting us through."""
    try:
        said = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        said = str(status)
    if status in (401, 403, 407):
        reason = Reason.AUTH
    elif 400 <= status < 500:
        reason = Reason.HTTP_STATUS
    else:
        reason = Reason.CONNECT
    return Failure(reason, f"proxy {proxy.name} refused: {said}", http_status=status)


def failure_told(endpoint: Endpoint, status: int, headers: Headers) -> Failure | None:
    """What a proxy says of itself in an answer it gave in the target's place; None when it may be the target's own."""
    proxy = endpoint.proxy
    if proxy is None or status < 400 or not (status == 407 or _is_its_own(headers)):
        return None
    if status < 500:
        return refusal(proxy, status)
    return Failure(Reason.CONNECT, f"proxy {proxy.name} did not reach the target ({status})", http_status=status)


def _is_its_own(headers: Headers) -> bool:
    """Whether an error is a proxy's, by RFC 9209, as Squid marks it, or as tinyproxy signs what it did not pass on."""
    if headers.get("x-squid-error") or "error=" in headers.get("proxy-status"):
        return True
    return headers.get("server").startswith("tinyproxy/") and not headers.get("via")
