"""What a gRPC status means, for every protocol spoken over gRPC: each code counts as the HTTP status it stands for, and
is judged by the rules of `answer`; and the messages of calls, read with suspicion.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from exporter.contracts import Headers, Reply
from exporter.model.failure import Failure, Reason
from exporter.protocols import answer
from exporter.protocols.address import segment
from exporter.protocols.text import quote
from exporter.transport.grpc import LIBRARY, PLAIN, missing
from exporter.transport.thread import imported


class Status(NamedTuple):
    """A status code: its name, and the HTTP status it stands for."""

    name: str
    http: int


#: Source: google/rpc/code.proto, but for two. CANCELLED is there a caller who went away (499); here the server gave up.
#: UNIMPLEMENTED is what a route that does not exist is to HTTP.
STATUSES: Mapping[int, Status] = MappingProxyType(
    {
        1: Status("CANCELLED", 500),
        2: Status("UNKNOWN", 500),
        3: Status("INVALID_ARGUMENT", 400),
        4: Status("DEADLINE_EXCEEDED", 504),
        5: Status("NOT_FOUND", 404),
        6: Status("ALREADY_EXISTS", 409),
        7: Status("PERMISSION_DENIED", 403),
        8: Status("RESOURCE_EXHAUSTED", 429),
        9: Status("FAILED_PRECONDITION", 400),
        10: Status("ABORTED", 409),
        11: Status("OUT_OF_RANGE", 400),
        12: Status("UNIMPLEMENTED", 404),
        13: Status("INTERNAL", 500),
        14: Status("UNAVAILABLE", 503),
        15: Status("DATA_LOSS", 500),
        16: Status("UNAUTHENTICATED", 401),
    }
)
OK, UNKNOWN, DEADLINE_EXCEEDED, NOT_FOUND, RESOURCE_EXHAUSTED, UNIMPLEMENTED = 0, 2, 4, 5, 8, 12

_RATE = re.compile(r"\brate\b|quota")
_NO_HEADERS = Headers()


def require(reply: Reply, *, model: str = "") -> None:
    """Raise the `Failure` of a reply whose status is not OK. `model` is what the call was about, where it was."""
    failure = judge(reply, model=model)
    if failure is not None:
        raise failure


def judge(reply: Reply, *, model: str = "") -> Failure | None:
    """The failure that a reply stands for, None for OK."""
    if reply.code == OK:
        return None
    name, status = STATUSES.get(reply.code, Status(f"status {reply.code}", 500))
    said = quote(reply.message)
    detail = f"{name}: {said}" if said else name
    if reply.code == DEADLINE_EXCEEDED:
        return Failure(Reason.TIMEOUT, f"{detail} (so the server)")
    text = reply.message.lower()
    if reply.code == UNKNOWN and model and "not found" in text:
        status = 404  # MLServer has no better code for it
    if reply.code == RESOURCE_EXHAUSTED and not _RATE.search(text):
        # It stands for a full queue, and for a request that is too large.
        reason = Reason.HTTP_STATUS if "larger than max" in text else Reason.OVERLOADED
        return Failure(reason, detail, http_status=413 if reason is Reason.HTTP_STATUS else status)
    if match := PLAIN.search(reply.message):
        status = int(match[1])
    if reply.code == UNIMPLEMENTED:
        model = ""  # a method is missing, whatever it was asked about
    # As in a path, the name of the model is evidence enough.
    path = f"/{segment(model)}" if model else ""
    failure = answer.judge(status, _NO_HEADERS, reply.message.encode(), model=model, path=path)
    return Failure(failure.reason if failure is not None else Reason.PROTOCOL, detail, http_status=status)


def imports(*names: str) -> tuple[str, ...]:
    """Modules to import before anything is asked: grpcio, and generated messages."""
    return (LIBRARY, *map(_module, names))


async def messages(name: str) -> Any:
    """A module of generated messages. Raises `Failure` (internal) where the extra `[grpc]` is not installed."""
    try:
        return await imported(_module(name))
    except ImportError:
        raise missing() from None


def _module(name: str) -> str:
    return f"exporter.protocols.proto.{name}_pb2"


def read(kind: Any, body: bytes) -> Any:
    """The message of a body. Raises `Failure` (malformed)."""
    from google.protobuf.message import DecodeError

    try:
        return kind.FromString(body)
    except DecodeError:
        raise Failure(Reason.MALFORMED, f"the answer is not a {kind.DESCRIPTOR.name}") from None
