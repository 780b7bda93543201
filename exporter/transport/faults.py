"""One table from what sockets, ssl, the resolver and the HTTP parser raise to why a run failed."""

import errno
import ssl
import zlib
from collections.abc import Callable
from enum import StrEnum
from socket import gaierror
from typing import Any, NamedTuple

import httptools

from exporter.model.failure import Failure, Reason


class Stage(StrEnum):
    """How far a conversation had come."""

    LOOKUP = "look-up"
    CONNECT = "connect"
    TUNNEL = "tunnel"
    HANDSHAKE = "handshake"
    EXCHANGE = "exchange"


#: Our own shortage of descriptors: says nothing about the peer, so opening is tried again until the deadline, each
#: time after a pause (seconds).
SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE})
SHORTAGE_PAUSE = 0.05

# OpenSSL's X509_V_ERR_* codes, as SSLCertVerificationError.verify_code has them.
_EXPIRED = 10
_HOSTNAME = 62
_ADDRESS = 64


class Row(NamedTuple):
    """Errors of `kind`, raised at one of `stages` (None: any), for which `also` holds, mean `reason`."""

    kind: type[BaseException]
    reason: Reason
    stages: frozenset[Stage] | None = None
    also: Callable[[Any], bool] | None = None

    def matches(self, error: BaseException, stage: Stage) -> bool:
        """Whether this row speaks of `error` at `stage`."""
        return (
            isinstance(error, self.kind)
            and (self.stages is None or stage in self.stages)
            and (self.also is None or self.also(error))
        )


def _verdict(error: ssl.SSLCertVerificationError) -> int:
    return getattr(error, "verify_code", 0)  # one that Python itself raised has none


_connecting = frozenset({Stage.CONNECT})
_shaking = frozenset({Stage.HANDSHAKE})
_looking = frozenset({Stage.LOOKUP})

#: First match wins, so narrow rows stand before wide ones. SSLError is an OSError whose errno is no errno at all.
TABLE: tuple[Row, ...] = (
    Row(gaierror, Reason.DNS),
    Row(UnicodeError, Reason.DNS, _looking),
    Row(OSError, Reason.DNS, _looking),
    Row(ssl.SSLCertVerificationError, Reason.TLS_EXPIRED, also=lambda error: _verdict(error) == _EXPIRED),
    Row(ssl.SSLCertVerificationError, Reason.TLS_HOSTNAME, also=lambda error: _verdict(error) in (_HOSTNAME, _ADDRESS)),
    Row(ssl.SSLCertVerificationError, Reason.TLS_UNTRUSTED),
    Row(ssl.SSLError, Reason.TLS),
    # The event loops report an end of file in the middle of a handshake as a reset without an errno.
    Row(ConnectionResetError, Reason.TLS, _shaking, also=lambda error: error.errno is None),
    Row(ConnectionRefusedError, Reason.CONNECT_REFUSED, _connecting),
    Row(ConnectionResetError, Reason.RESET),
    Row(ConnectionAbortedError, Reason.RESET),
    Row(BrokenPipeError, Reason.RESET),
    Row(TimeoutError, Reason.CONNECT_TIMEOUT, _connecting),
    Row(TimeoutError, Reason.TIMEOUT),
    Row(OSError, Reason.CONNECT, _connecting),
    Row(OSError, Reason.RESET),
    Row(httptools.HttpParserError, Reason.PROTOCOL),
    Row(zlib.error, Reason.ENCODING),
)


def failure_of(error: BaseException, stage: Stage) -> Failure | None:
    """What `error` says about the peer; None when no row speaks of it, which makes it a bug of ours."""
    for row in TABLE:
        if row.matches(error, stage):
            return Failure(row.reason, _detail(error, stage))
    return None


def unopened(stage: Stage, address: str, proxy: str = "") -> Failure:
    """What it means that the deadline came while a connection was being opened, to a `proxy` where there is one."""
    at = f"proxy {proxy}: " if proxy else ""
    if stage is Stage.LOOKUP:
        return Failure(Reason.DNS, f"{at}the look-up of the name did not end in time")
    if stage is Stage.CONNECT:
        return Failure(Reason.CONNECT_TIMEOUT, f"{at}{address}: no connection in time")
    if stage is Stage.TUNNEL:
        return Failure(Reason.CONNECT_TIMEOUT, f"{at}no connection to the target in time")
    return Failure(Reason.TIMEOUT, "the TLS handshake did not end in time")


def _detail(error: BaseException, stage: Stage) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(getattr(error, "verify_message", "") or "the certificate cannot be verified")
    if isinstance(error, ssl.SSLError):
        reason = (getattr(error, "reason", "") or "").replace("_", " ").lower()
        if reason in ("wrong version number", "record layer failure", "http request", "packet length too long"):
            return f"{reason}: the server does not seem to speak TLS on this port"
        return reason or "TLS failed"
    if isinstance(error, gaierror):
        return str(error.strerror or "look-up failed").lower()
    if isinstance(error, UnicodeError):
        return "not a name that can be looked up"
    if isinstance(error, OSError):
        text = error.strerror or str(error) or type(error).__name__
        return text[:1].lower() + text[1:]
    if isinstance(error, httptools.HttpParserError):
        return f"not valid HTTP: {error}"
    return f"{error or type(error).__name__} ({stage})"
