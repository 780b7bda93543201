"""Unary gRPC calls of one attempt: grpcio, of the extra `[grpc]`, makes them over connections of our own (`relay`)."""

import asyncio
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from random import getrandbits
from time import perf_counter
from typing import Any

from exporter.contracts import Reply
from exporter.model.endpoint import Endpoint
from exporter.model.extras import needs
from exporter.model.failure import Failure, Reason
from exporter.transport.account import Account
from exporter.transport.alarm import Alarm
from exporter.transport.content import inflated
from exporter.transport.credentials import Credential
from exporter.transport.dial import Dialler
from exporter.transport.faults import SHORTAGE, SHORTAGE_PAUSE, Stage, unopened
from exporter.transport.pool import Key, Pool
from exporter.transport.relay import Relay
from exporter.transport.rendezvous import meet, rendezvous
from exporter.transport.request import Fields, Outgoing
from exporter.transport.thread import imported
from exporter.transport.wire import Call

#: The asyncio API of grpcio, which takes a second to import where a core is shared.
LIBRARY = "grpc.aio"

_Pairs = Sequence[tuple[str, str]]
_Metadata = Sequence[tuple[str, str | bytes]]

#: grpcio does what it is told, once; names, proxies, retries and limits are not its business.
_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.http2.bdp_probe", 0),
    # A small message may unfold to one without end: we do that ourselves, under a bound. To say that we take none which
    # is compressed is no way out: grpcio then breaks off the call, unless the whole answer is there before it looks.
    ("grpc.per_message_decompression", 0),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),  # the relay counts
    ("grpc.max_metadata_size", 65536),
    ("grpc.absolute_max_metadata_size", 65536),
)
_UNKNOWN, _DEADLINE_EXCEEDED, _INTERNAL = 2, 4, 13
#: Seconds a call that was given up may take to end.
_CLEANING = 0.03
#: What grpcio says of an answer that is not gRPC but plain HTTP/2, such as a gateway's.
PLAIN = re.compile(r"http2 header with status: ([1-5]\d\d)")
#: What it says, with a status of its own and not the server's, of an answer that it could not read. How a server breaks
#: off a call (RST_STREAM) is no such thing: that stands for a status.
_UNREADABLE = re.compile(r"No status received|Stream removed( \((?!RST_STREAM).*\))?|Error parsing '[\w-]+' metadata.*")
#: Headers that mean nothing to gRPC, or that it writes itself.
_NOT_METADATA = frozenset({"accept", "accept-encoding", "content-type", "host", "user-agent"})
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


class Unary:
    """The calls of one exchange, one at a time. The first opens a connection, further ones use it."""

    __slots__ = (
        "_account", "_asked", "_dialler", "_endpoint", "_keep", "_outgoing", "_pool", "_relay", "_reply", "_trace_id",
        "_used",
    )  # fmt: skip

    def __init__(
        self, outgoing: Outgoing, dialler: Dialler, pool: Pool, account: Account, trace_id: str, keep: Key | None
    ) -> None:
        self._outgoing = outgoing
        self._endpoint = _as_grpc(outgoing.endpoint)
        self._dialler = dialler
        self._pool = pool
        self._account = account
        self._trace_id = trace_id
        self._keep = keep
        self._relay: Relay | None = None
        # What an account of the attempt is made from, should it fail: the last call.
        self._asked: tuple[str, _Metadata, bytes] = ("", (), b"")
        self._used: Relay | None = None
        self._reply: Reply | None = None

    async def call(
        self,
        method: str,
        message: bytes,
        given: _Pairs,
        until: float,
        hidden: set[str],
        credential: Credential | None = None,
    ) -> Reply:
        """Make a call that ends at `until`. Credentials that go with it are added to `hidden`. Raises `Failure`."""
        fields = self._outgoing.fields(given, hidden, credential)
        metadata = _metadata(fields, self._trace_id)
        self._asked, self._used, self._reply = (method, metadata, message), None, None
        if perf_counter() >= until:
            raise Failure(Reason.TIMEOUT, "no time was left to start")
        self._account.stage = Stage.EXCHANGE  # until the dialler has another word for it
        alarm = Alarm(self._dialler.timers, until)
        try:
            library = await _library()
            if self._relay is None and self._keep is not None:
                self._relay = self._pool.take(self._keep, self._made_by(hidden), Relay)
            self._reply = reply = await self._made(library, method, message, metadata, fields, until)
            return reply
        except asyncio.CancelledError:
            if alarm.rang():
                raise self._given_up() from None  # by no name: frame and failure would hold each other
            self._drop()
            raise
        except BaseException:
            self._drop()
            raise
        finally:
            alarm.off()
            self._account.end(perf_counter())

    @property
    def made(self) -> Call:
        """The last call."""
        method, metadata, message = self._asked
        return Call(method, [name for name, _ in metadata], message, self._used, self._reply)

    def close(self, hidden: set[str]) -> None:
        """Give up the connection, or keep it for the next run where that was asked for."""
        relay, self._relay = self._relay, None
        if relay is None:
            return
        if self._keep is not None and relay.usable:
            self._pool.put(self._keep, relay, self._made_by(hidden))
        else:
            relay.abort()

    async def _made(
        self, library: Any, method: str, message: bytes, metadata: _Metadata, fields: Fields, until: float
    ) -> Reply:
        account, relay = self._account, self._relay
        while True:
            reused = relay is not None and relay.usable
            if relay is None or not reused:
                relay = await self._open(library, fields, until)
            else:
                relay.expect(account)
                account.address = relay.address
            self._used = relay
            try:
                return await _ask(library, relay, method, message, metadata, until)
            except Failure as failure:
                if not reused or relay.first_at or failure.reason not in (Reason.DISCONNECTED, Reason.RESET):
                    raise
            # The server had closed it while it lay unused: that says nothing about the server's health.
            account.restart()
            relay.abort()
            relay = None

    async def _open(self, library: Any, fields: Fields, until: float) -> Relay:
        """Connect, and let grpcio speak over the connection."""
        endpoint, account = self._endpoint, self._account
        self._relay = relay = Relay(account, endpoint.max_body)
        connection = await self._dialler.dial(endpoint, account, until, self._outgoing.addresses, relay, through=True)
        relay.carry(connection)
        # What is ours to do now is not the server's time. Nobody stamps the end of a tunnel.
        account.end(connection.shaken or (connection.made if endpoint.proxy is None else perf_counter()))
        options = (
            *_OPTIONS,
            ("grpc.default_authority", fields["host"][1]),
            ("grpc.primary_user_agent", fields["user-agent"][1]),
            ("grpc.http2_scheme", "https" if endpoint.secure else "http"),
        )
        while relay.failure is None:
            try:
                with rendezvous() as (listener, address):
                    relay.channel = library.insecure_channel(address, options=options)
                    relay.channel.get_state(try_to_connect=True)
                    await meet(listener, relay)
                    return relay
            except OSError as error:
                if error.errno not in SHORTAGE:
                    raise
                await asyncio.sleep(SHORTAGE_PAUSE)
        raise relay.failure

    def _made_by(self, hidden: set[str]) -> object:
        return (self._endpoint, self._dialler.context_of(self._endpoint), frozenset(hidden))

    def _given_up(self) -> Failure:
        """What it means that the deadline came now; nothing goes on after it."""
        failure = self._late()
        self._drop()
        return failure

    def _drop(self) -> None:
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.abort()

    def _late(self) -> Failure:
        """What it means that the deadline came now."""
        account, relay = self._account, self._relay
        if account.stage is not Stage.EXCHANGE:
            return unopened(account.stage, account.address, account.proxy)
        if relay is None or not relay.joined:
            return Failure(Reason.INCONCLUSIVE, "grpcio was not ready in time: nothing was asked")
        return _timeout(relay)


def _as_grpc(endpoint: Endpoint) -> Endpoint:
    """The endpoint, for gRPC: it decides what a handshake offers."""
    match endpoint.scheme:
        case "http":
            return replace(endpoint, scheme="grpc")
        case "https":
            return replace(endpoint, scheme="grpcs")
    return endpoint


def missing() -> Failure:
    """What it means that the extra is not installed: it is no news of the server, so it changes no state."""
    return Failure(Reason.INTERNAL, f"gRPC {needs('grpc')}")


async def _library() -> Any:
    """The asyncio API of grpcio. Raises `Failure` (internal) where it is not installed."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it has to say comes as a status
    try:
        library = await imported(LIBRARY)
    except ImportError:
        raise missing() from None
    _wake(library)
    return library


@cache
def _wake(library: Any) -> Any:
    """Once for all. An idle channel keeps grpcio's threads: to start them costs more than a call."""
    # It would write down what peers say, byte for byte: an echoed credential too.
    logging.getLogger("grpc").setLevel(logging.CRITICAL + 1)
    return library.insecure_channel("unix:")


async def _ask(library: Any, relay: Relay, method: str, message: bytes, metadata: _Metadata, until: float) -> Reply:
    """One call over an open relay. What the server said is returned, what grpcio concluded is raised."""
    left = max(0.001, until - perf_counter())
    call = relay.channel.unary_unary(method)(message, metadata=metadata, timeout=left)
    ending = asyncio.ensure_future(_end_of(library, call))
    try:
        code, text, body = await asyncio.shield(ending)
    except asyncio.CancelledError:
        # Cancelled, grpcio would still have something to say to the loop, which may be gone by then. Without its
        # connection it comes to an end by itself.
        relay.abort()
        await asyncio.wait((ending,), timeout=_CLEANING)
        raise
    if relay.done:
        if code in (_UNKNOWN, _INTERNAL) and _UNREADABLE.fullmatch(text) and not PLAIN.search(text):
            raise _unreadable(text)
        if code == 0 and body is None:
            raise Failure(Reason.PROTOCOL, "not valid gRPC: all is well, and there is no message")
        if relay.compressed and body:
            coding = "gzip" if body.startswith(b"\x1f\x8b") else "deflate"
            body = await inflated(coding, body, relay.max_body, until)
        return Reply(code, text, body or b"", relay.ended)
    if PLAIN.search(text):  # the head says it all, whatever follows
        return Reply(code, text, b"", relay.first_at)
    if relay.failure is not None:
        raise relay.failure
    if relay.going_away:
        raise Failure(Reason.DISCONNECTED, "the server takes no more calls on this connection")
    if code == _DEADLINE_EXCEEDED or perf_counter() >= until:
        raise _timeout(relay)
    raise _unreadable(text)


def _unreadable(text: str) -> Failure:
    """What it means that grpcio could not read the answer, which it may say before all of it has come."""
    return Failure(Reason.ENCODING if "'grpc-encoding'" in text else Reason.PROTOCOL, f"not valid gRPC: {text}")


async def _end_of(library: Any, call: Any) -> tuple[int, str, bytes | None]:
    """Status, text and message of a call."""
    try:
        return 0, "", await call
    except library.AioRpcError as error:
        return int(error.code().value[0]), error.details() or "", None
    except KeyError as unknown:  # old versions know no word for a status that gRPC does not have; newer ones call it so
        return _UNKNOWN, f"status {unknown}", None


def _timeout(relay: Relay) -> Failure:
    if not relay.greeted:
        return Failure(Reason.TIMEOUT, "the server did not begin to speak HTTP/2 in time")
    if not relay.first_at:
        return Failure(Reason.TIMEOUT, "no answer in time")
    return Failure(Reason.TIMEOUT, f"the answer did not end in time ({relay.body_bytes} bytes came)")


def _metadata(fields: Fields, trace_id: str) -> _Metadata:
    """What goes with a call. Raises `Failure` (auth) for a value that gRPC cannot carry."""
    pairs: list[tuple[str, str | bytes]] = []
    for name, (_, value) in fields.items():
        if name in _NOT_METADATA:
            continue
        if name.endswith("-bin"):
            pairs.append((name, value.encode()))
        elif _NAME.issuperset(name) and not name.startswith("grpc-") and value.isascii() and value.isprintable():
            pairs.append((name, value))
        else:
            raise Failure(Reason.AUTH, f"gRPC cannot carry the header {name}: letters, digits, -_. and ASCII values")
    pairs.append(("traceparent", f"00-{trace_id}-{getrandbits(64) or 1:016x}-01"))
    return pairs
