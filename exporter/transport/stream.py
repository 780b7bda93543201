"""An answer whose body is read as it comes."""

from collections.abc import Sequence
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING

from exporter.contracts import Chunk, Expired
from exporter.model.failure import Failure, Reason
from exporter.transport import content
from exporter.transport.message import Answer

if TYPE_CHECKING:
    from exporter.transport.http import HttpExchange


class Stream:
    """Implements `contracts.StreamResponse`."""

    __slots__ = ("headers", "status", "t0", "_answer", "_connection", "_deadline", "_decoder", "_readable", "_timers")

    def __init__(self, answer: Answer, exchange: "HttpExchange") -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.t0 = exchange.t0
        self._answer = answer
        self._connection = exchange.connection
        self._deadline = exchange.deadline
        self._timers = exchange.timers
        self._readable = content.readable(answer)
        self._decoder = content.decoder_of(answer, exchange.endpoint.max_body) if self._readable else None

    async def next(self, until: float) -> Sequence[Chunk] | None:
        """The chunks that arrived since the last call, or None at the clean end."""
        while True:
            await self._arrive(until)
            chunks: Sequence[Chunk] | None = self._take()
            if self._decoder is None:
                return chunks
            if chunks is None:
                self._decoder.finish()
                return None
            chunks = [decoded for chunk in chunks async for decoded in self._decoder.chunks(chunk)]
            if chunks:
                return chunks

    async def body(self, limit: int = 4096) -> bytes:
        """The rest of the body, at most `limit` bytes.

        The status of an answer that is not 2xx says more than a body that was cut or is in an unknown coding: there
        what came is returned, or nothing.
        """
        if not self._readable:
            return b""
        parts: list[bytes] = []
        size = 0
        try:
            while size < limit and (chunks := await self.next(self._deadline)) is not None:
                parts += [chunk.data for chunk in chunks]
                size += sum(len(chunk.data) for chunk in chunks)
        except Failure:
            if 200 <= self.status < 300:
                raise
        return b"".join(parts)[:limit]

    async def _arrive(self, until: float) -> None:
        """Wait for chunks or the end. Raises `Expired`, or `Failure` at the deadline."""
        answer, connection = self._answer, self._connection
        if answer.done or answer.failure is not None or connection is None:
            return
        # A flood has always something to read: the deadline holds for it too.
        if answer.chunks and perf_counter() < self._deadline:
            return
        limit = min(until, self._deadline)
        while perf_counter() < limit:
            timer = self._timers.at(limit, connection.wake)
            try:
                await connection.moved()
            finally:
                timer.cancel()
            if answer.chunks or answer.done or answer.failure is not None:
                return
            # What came holds no data: the size of a chunk by itself, its end, or what nobody reads.
        if limit < self._deadline:
            raise Expired
        connection.fail(Failure(Reason.TIMEOUT, f"the body did not end in time ({answer.body_bytes} bytes came)"))
        connection.abort()
        answer.forget()

    def _take(self) -> Sequence[Chunk] | None:
        answer = self._answer
        if answer.chunks:
            chunks = answer.take()
            if self._connection is not None:
                self._connection.drained()
            return chunks
        if answer.failure is not None:
            raise answer.failure
        return None


class StreamContext:
    """Opens the stream on entry; on leaving, aborts it unless it had come to its end."""

    __slots__ = ("_answer", "_body", "_exchange", "_headers", "_method", "_path")

    def __init__(
        self,
        exchange: "HttpExchange",
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
    ) -> None:
        self._exchange = exchange
        self._method = method
        self._path = path
        self._headers = headers
        self._body = body
        self._answer: Answer | None = None

    async def __aenter__(self) -> Stream:
        exchange = self._exchange
        self._answer, _ = await exchange.converse(
            self._method, self._path, self._headers, self._body, exchange.deadline, streaming=True
        )
        try:
            return Stream(self._answer, exchange)
        except BaseException:
            self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.booked:
            self._exchange.settle(answer)
