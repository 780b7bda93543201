"""Undoes a Content-Encoding in small steps under a bound: we ask for none, and some servers send one anyway."""

import zlib
from collections.abc import AsyncIterator, Iterator
from time import perf_counter

from exporter.contracts import Chunk
from exporter.model.failure import Failure, Reason
from exporter.transport.message import Answer
from exporter.transport.turns import turns

#: Bytes one step may produce: what the event loop waits for is one step.
STEP = 262_144
#: Compressed members one after another; more is an attack on the counter of bytes, for empty ones produce none.
MAX_MEMBERS = 1000

#: Bytes of a whole body that are fed at a time.
SLICE = 65536

#: Codings worth naming; any other word is the peer's own and is not repeated.
_NAMED = frozenset({"br", "zstd", "compress", "dcb", "dcz"})
_CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": zlib.MAX_WBITS}


class Decoder:
    """One body's decoder: feed, then take steps. Raises `Failure` (encoding, too_large)."""

    __slots__ = ("_coding", "_left", "_limit", "_members", "_pending", "_zlib")

    def __init__(self, coding: str, limit: int) -> None:
        if coding not in _CODINGS:
            name = coding if coding in _NAMED else "of another kind"
            raise Failure(Reason.ENCODING, f"a Content-Encoding {name}, which was not asked for and is not understood")
        self._coding = coding
        self._limit = limit
        self._left = limit
        self._members = 0
        self._pending = b""
        self._zlib: zlib._Decompress | None = None

    def feed(self, data: bytes | bytearray) -> Iterator[bytes]:
        """Pieces of the decoded body, each at most STEP bytes; let the loop run between them. Use up each iterator."""
        self._pending += data
        full = False  # the engine may hold more than one step gave room for
        while (self._pending or full) and (engine := self._engine()) is not None:
            room = min(STEP, self._left + 1)
            try:
                piece = engine.decompress(self._pending, room)
            except zlib.error:
                raise Failure(Reason.ENCODING, f"the body is not valid {self._coding}") from None
            self._pending = engine.unconsumed_tail
            full = len(piece) == room and not engine.eof
            if engine.eof:
                self._pending = engine.unused_data
                self._zlib = None
                if self._pending and self._coding == "deflate":
                    raise Failure(Reason.ENCODING, "bytes after the end of the deflate data")
            self._left -= len(piece)
            if self._left < 0:
                raise Failure(Reason.TOO_LARGE, f"the decoded body is longer than {self._limit} bytes")
            if piece:
                yield piece

    def _engine(self) -> "zlib._Decompress | None":
        """What decodes the pending bytes; None when they are padding, or too few to tell."""
        if self._zlib is None:
            if self._members and not self._pending.strip(b"\0"):
                self._pending = b""
                return None
            if self._coding == "deflate" and len(self._pending) < 2:
                return None
            self._members += 1
            if self._members > MAX_MEMBERS:
                raise Failure(Reason.ENCODING, f"more than {MAX_MEMBERS} compressed members")
            self._zlib = zlib.decompressobj(self._wbits())
        return self._zlib

    async def chunks(self, chunk: Chunk) -> AsyncIterator[Chunk]:
        """The same for a chunk, letting the loop run; the pieces keep its stamp."""
        began = perf_counter()
        for piece in self.feed(chunk.data):
            took = perf_counter() - began
            yield Chunk(chunk.at, piece)
            if len(piece) >= STEP:
                await turns.pause(took)
            began = perf_counter()

    def finish(self) -> None:
        """The body has ended: raise `Failure(encoding)` when its compressed data has not."""
        if self._zlib is not None or self._pending:
            raise Failure(Reason.ENCODING, f"the {self._coding} data is cut short")

    def _wbits(self) -> int:
        if self._coding == "deflate" and not (
            self._pending[0] & 0x0F == 8 and int.from_bytes(self._pending[:2], "big") % 31 == 0
        ):
            return -zlib.MAX_WBITS  # some servers send the bare data without its zlib header
        return _CODINGS[self._coding]


async def decoded(answer: Answer, raw: bytes | bytearray, limit: int, until: float) -> bytes:
    """A finished answer's body `raw`, decoded step by step until the moment `until`. Raises `Failure`.

    What cannot be decoded is dropped from an answer that is not 2xx: its status says more than its body.
    """
    try:
        return await inflated(answer.coding, raw, limit, until)
    except Failure:
        if 200 <= answer.status < 300:
            raise
        return b""


async def inflated(coding: str, raw: bytes | bytearray, limit: int, until: float) -> bytes:
    """`raw` decoded step by step until the moment `until`. Raises `Failure` (encoding, too_large, timeout)."""
    whole = bytearray()  # one piece that grows, as `Answer` gathers them
    decoder = Decoder(coding, limit)
    began = perf_counter()
    for start in range(0, len(raw), SLICE):
        for piece in decoder.feed(raw[start : start + SLICE]):
            whole += piece
            if len(piece) >= STEP:
                await turns.pause(perf_counter() - began)
                began = perf_counter()
        if perf_counter() > until:
            raise Failure(Reason.TIMEOUT, "the body could not be decoded in time")
    decoder.finish()
    return bytes(whole)


def readable(answer: Answer) -> bool:
    """Whether a body is worth a decoder, or the `Failure` of there being none: that of an answer which is not 2xx is
    left alone where it is in a coding we do not know.
    """
    return not answer.coding or answer.coding in _CODINGS or 200 <= answer.status < 300


def decoder_of(answer: Answer, limit: int) -> Decoder | None:
    """The decoder for a body that is read as it comes; None when it needs none."""
    coding = answer.coding
    if not coding or (answer.done and not answer.chunks):
        return None
    return Decoder(coding, limit)
