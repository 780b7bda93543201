"""TLS of our own port: the handshake comes before the connection, under its limits and in its crowd."""

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Mapping
from typing import Any, Protocol, cast

from exporter.model.access import ServerTls
from exporter.transport.turns import turns

#: Seconds a client has for its handshake, and for its goodbye.
HANDSHAKE_TIMEOUT = 8
GOODBYE_TIMEOUT = 1
#: Seconds that a step of a handshake takes on the loop: of thousands who shake hands at once a few do in each turn.
STEP = 0.0005
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


def context(tls: ServerTls) -> ssl.SSLContext:
    """What new connections shake hands by. Raises OSError (ssl.SSLError is one) and ValueError for unusable files."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version, made.maximum_version = _VERSIONS[tls.min_version], _VERSIONS[tls.max_version]
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if tls.ciphers:
        made.set_ciphers(":".join(tls.ciphers))
    made.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
    made.verify_mode = _VERIFY[tls.client_certificate]
    if tls.client_ca_file is not None:
        made.load_verify_locations(cafile=tls.client_ca_file)
        # A session of before would carry a client past CAs that were replaced since.
        made.num_tickets = 0
        made.options |= ssl.OP_NO_TICKET
    made.set_alpn_protocols(["http/1.1"])
    return made


def _no_password() -> str:
    raise ValueError("the key is encrypted")  # else OpenSSL would ask on the terminal


def named(certificate: Mapping[str, Any] | None, allowed: tuple[str, ...]) -> bool:
    """Whether a client's certificate (as `getpeercert` gives it) holds one of the names allowed; none: any will do."""
    if not allowed:
        return True
    return any(value in allowed for _, value in (certificate or {}).get("subjectAltName", ()))


class Guest(Protocol):
    """What a crowd counts: it can be shown the door."""

    def drop(self) -> None:
        """Close at once."""


class Crowd(Protocol):
    """The places there are."""

    def admit(self, connection: Guest, now: float) -> bool:
        """Take one in. False: there is no place."""

    def leave(self, connection: Guest) -> None:
        """Forget one."""


class Handshake(SSLProtocol):
    """One client's TLS: until its handshake is done it has a place in the crowd, and `connection` knows nothing of it.

    asyncio's own layer, used as it uses it itself, on every loop: `start_tls` would lose what a client says before the
    loop comes to it, and `ssl=` of a server would let any number shake hands, unseen.
    """

    max_size = 32 * 1024  # of its buffer; asyncio takes a quarter of a megabyte

    def __init__(self, crowd: Crowd, connection: asyncio.Protocol, tls: ssl.SSLContext, sans: tuple[str, ...]) -> None:
        self._entering = asyncio.get_running_loop()
        self._crowd = crowd
        self._sans = sans
        self._wire: asyncio.Transport | None = None
        self._shaken = False
        nobody: Any = None  # waits for it
        super().__init__(
            self._entering, connection, tls, nobody, server_side=True, ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
            ssl_shutdown_timeout=GOODBYE_TIMEOUT,
        )  # fmt: skip

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client is there; it gets a place or none, and no answer before it has shaken hands."""
        self._wire = cast(asyncio.Transport, transport)
        if self._crowd.admit(self, self._entering.time()):
            super().connection_made(transport)
        else:
            self.drop()

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has gone."""
        self._crowd.leave(self)
        self._wire = None
        super().connection_lost(exc)

    def buffer_updated(self, nbytes: int) -> None:
        """Something came. A step of the handshake waits for its turn, and nothing more comes until then."""
        if self._shaken or self._wire is None:
            super().buffer_updated(nbytes)
            return
        self._wire.pause_reading()
        turns.after(STEP, lambda: self._step(nbytes))

    def _step(self, nbytes: int) -> None:
        if self._wire is not None and not self._wire.is_closing():
            self._wire.resume_reading()
            super().buffer_updated(nbytes)

    def drop(self) -> None:
        """Close at once: others wait for the place."""
        self._crowd.leave(self)
        if self._wire is not None:
            self._wire.abort()

    def passed(self, transport: asyncio.BaseTransport) -> bool:
        """The handshake is done: whether the client is one that may come in."""
        self._shaken = True
        self._crowd.leave(self)
        return named(transport.get_extra_info("peercert"), self._sans)
