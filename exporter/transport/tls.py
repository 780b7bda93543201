"""TLS: contexts shared by settings and rebuilt when files change, and a session without sockets around one SSLObject.

The event loop's own TLS layer is not used: it hides when a handshake ended and the certificate of one that failed, and
closing it against a peer that stopped reading holds the descriptor. Ours is a pair of buffers.
"""

import logging
import ssl
from calendar import timegm
from pathlib import Path

from exporter.log import event
from exporter.model.endpoint import Tls
from exporter.model.failure import Failure, Reason
from exporter.transport.faults import Stage, failure_of

_log = logging.getLogger(__name__)

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_Stamp = tuple[tuple[int, int, int] | None, ...]
_MAX_CONTEXTS = 1024
_READ = 65536


class Contexts:
    """One SSLContext per settings (system CAs cost milliseconds and most of a megabyte), as fresh as its files."""

    def __init__(self) -> None:
        self._known: dict[tuple[Tls, str], tuple[_Stamp, ssl.SSLContext]] = {}

    def get(self, tls: Tls, alpn: str) -> ssl.SSLContext:
        """The context in force. Raises `Failure(tls)` when its files cannot be used and never could be."""
        stamp = tuple(_stamp(path) for path in (tls.ca_file, tls.cert_file, tls.key_file) if path)
        known = self._known.get((tls, alpn))
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            context = _build(tls, alpn)
        except (OSError, ValueError) as error:
            what = error.strerror if isinstance(error, OSError) and error.strerror else "not usable"
            files = ", ".join(path for path in (tls.ca_file, tls.cert_file, tls.key_file) if path)
            if known is None:
                raise Failure(Reason.TLS, f"cannot load {files}: {what}") from None
            # Caught between the two halves of a rotation: the old pair is better than none.
            event(_log, logging.WARNING, "TLS files changed and cannot be loaded, keeping the old ones", files=files)
            context = known[1]
        if len(self._known) >= _MAX_CONTEXTS:
            self._known.clear()
        self._known[tls, alpn] = (stamp, context)
        return context


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _build(tls: Tls, alpn: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _VERSIONS[tls.min_version]
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.ca_file:
        context.load_verify_locations(cafile=tls.ca_file)
    elif not tls.insecure_skip_verify:
        context.load_default_certs()
    if alpn:
        context.set_alpn_protocols([alpn])
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")  # else OpenSSL would ask on the terminal


class Session:
    """One TLS client session between bytes from the wire and bytes to it."""

    __slots__ = ("_in", "_out", "_ssl", "established")

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._in, self._out, server_hostname=server_name)
        self.established = False

    def handshake(self, data: bytes | memoryview = b"") -> bytes:
        """One step; returns what to send. Raises ssl.SSLError; `outgoing()` may then hold an alert for the peer."""
        if data:
            self._in.write(data)
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            pass
        else:
            self.established = True
        return self._out.read()

    def outgoing(self) -> bytes:
        """What waits to be sent."""
        return self._out.read()

    def end(self) -> None:
        """The peer closed its side."""
        self._in.write_eof()

    def encrypt(self, data: bytes) -> bytes:
        """What to send so that the peer reads `data`."""
        self._ssl.write(data)
        return self._out.read()

    def decrypt(self, data: bytes | memoryview = b"") -> tuple[bytes, bool]:
        """What the peer said, and whether it also said that this was all. Raises ssl.SSLError."""
        if data:
            self._in.write(data)
        parts = []
        closed = False
        try:
            while part := self._ssl.read(_READ):
                parts.append(part)
            closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            closed = True
        return (parts[0] if len(parts) == 1 else b"".join(parts)), closed

    def not_after(self) -> float | None:
        """Unix time at which the peer's certificate stops being good; also after a handshake that failed on it.

        That of the verified chain's first to expire, or of the leaf where no chain was verified.
        """
        ends = [end for end in map(_not_after, self._chain()) if end is not None]
        return min(ends, default=None)

    def _chain(self) -> list[bytes]:
        inner = getattr(self._ssl, "_sslobj", None)
        if inner is None:
            return []
        if self.established and self._ssl.context.verify_mode is ssl.CERT_REQUIRED:
            return _der(inner.get_verified_chain())
        return _der(inner.get_unverified_chain())[:1]


def _der(chain: list[object] | None) -> list[bytes]:
    found = []
    for certificate in chain or ():
        if isinstance(certificate, bytes):
            found.append(certificate)
        elif (public_bytes := getattr(certificate, "public_bytes", None)) is not None:
            found.append(public_bytes(ssl._ssl.ENCODING_DER))  # type: ignore[attr-defined]
    return found


def failure_of_handshake(error: BaseException) -> Failure | None:
    """Why a handshake failed."""
    return failure_of(error, Stage.HANDSHAKE)


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the content of the DER element at `at`."""
    tag, length, at = der[at], der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(der[at : at + count], "big")
        at += count
    return tag, at, at + length


def _not_after(der: bytes) -> float | None:
    """The end of a certificate's validity (RFC 5280, 4.1), as Unix time; None when it cannot be read."""
    try:
        at = _element(der, _element(der, 0)[1])[1]  # Certificate -> TBSCertificate
        if der[at] == 0xA0:  # version
            at = _element(der, at)[2]
        for _ in range(3):  # serial number, signature algorithm, issuer
            at = _element(der, at)[2]
        at = _element(der, at)[1]  # validity -> notBefore
        tag, start, end = _element(der, _element(der, at)[2])
        text = der[start:end].decode("ascii")
        if tag == 0x17:  # UTCTime has two digits of the year, from 1950 to 2049
            text = ("20" if int(text[:2]) < 50 else "19") + text
        fields = [int(text[:4])] + [int(text[index : index + 2]) for index in range(4, 14, 2)]
        return float(timegm((*fields, 0, 0, 0)))
    except (IndexError, ValueError):
        return None
