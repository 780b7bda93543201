"""A real gRPC server in threads: what a method answers is a function of the request's bytes."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple, Self

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before grpcio is imported

import grpc


class Call(NamedTuple):
    """What was asked. Metadata names are in lower case; `context` is grpcio's."""

    method: str
    message: bytes
    metadata: Mapping[str, str]
    context: Any

    def refuse(self, code: str, text: str = "") -> bytes:
        """End the call with a status, by its name."""
        self.context.abort(getattr(grpc.StatusCode, code), text)
        raise AssertionError("abort raises")


class GrpcFake:
    """Serves on a free loopback port until the block ends; `calls` keeps what was asked, oldest first."""

    def __init__(
        self,
        methods: Mapping[str, Callable[[Call], bytes]],
        *,
        credentials: Any = None,
        options: list[tuple[str, Any]] | None = None,
        compression: Any = None,
    ) -> None:
        self.methods = dict(methods)
        self.calls: list[Call] = []
        self._pool = ThreadPoolExecutor(8)
        self._server = grpc.server(self._pool, options=[("grpc.so_reuseport", 0), *(options or [])],
                                   compression=compression)  # fmt: skip
        self._server.add_generic_rpc_handlers((_Handler(self),))
        address = "127.0.0.1:0"
        self.port: int = (
            self._server.add_secure_port(address, credentials)
            if credentials is not None
            else self._server.add_insecure_port(address)
        )
        self._server.start()

    def answer(self, message: bytes, context: Any, method: str) -> bytes:
        """What a call gets."""
        metadata = dict(context.invocation_metadata())
        call = Call(method, message, metadata, context)
        self.calls.append(call)
        return self.methods[method](call)

    def stop(self) -> None:
        """End it; calls that are going on are cancelled."""
        self._server.stop(0).wait()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, fake: GrpcFake) -> None:
        self.fake = fake

    def service(self, details: Any) -> Any:
        method = details.method
        if method not in self.fake.methods:
            return None  # grpcio answers UNIMPLEMENTED
        return grpc.unary_unary_rpc_method_handler(lambda message, context: self.fake.answer(message, context, method))
