"""What the gRPC server of these tests offers."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from exporter.model.failure import Failure
from exporter.transport.http import HttpExchange
from tests.support.grpc_fake import Call, GrpcFake, grpc

ECHO, SLEEP, SAY = "/test.Test/Echo", "/test.Test/Sleep", "/test.Test/Say"

Open = Callable[..., HttpExchange]


def echo(call: Call) -> bytes:
    return call.message


def sleep(call: Call) -> bytes:
    """After so many seconds, unless nobody waits any more."""
    until = time.monotonic() + float(call.message)
    while call.context.is_active() and time.monotonic() < until:
        time.sleep(0.01)
    return b"late"


def say(call: Call) -> bytes:
    """A status by its name, and a text."""
    return call.refuse(*call.message.decode().split(" ", 1))


METHODS = {ECHO: echo, SLEEP: sleep, SAY: say}


async def failure_of(call: Awaitable[Any]) -> Failure:
    with pytest.raises(Failure) as caught:
        await call
    return caught.value


def secure(folder, kind="good", client_ca=None):
    pem = (folder / f"{kind}.pem").read_bytes()
    key, _, rest = pem.partition(b"-----END PRIVATE KEY-----\n")
    key += b"-----END PRIVATE KEY-----\n"
    return GrpcFake(METHODS, credentials=grpc.ssl_server_credentials(
        [(key, rest)], client_ca, require_client_auth=client_ca is not None))  # fmt: skip
