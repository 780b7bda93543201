"""How a record's share of a family becomes protobuf: for each shape of `family` its twin."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from exporter.ledger import Histogram
from exporter.metrics import protobuf
from exporter.metrics.protobuf import double
from exporter.metrics.text import Type

Key = str | tuple[str, ...]

#: Gives a record's Metrics of one family, joined, and how many samples they have. First come the labels before the
#: family's own, encoded.
Block = Callable[[bytes, Any], tuple[bytes, int]]
#: Makes a family's block from its type and its own labels.
Wire = Callable[[Type, tuple[str, ...]], Block]

_NOTHING = (b"", 0)


@dataclass(frozen=True, slots=True)
class One:
    """Of a family that has at most one number and no labels of its own: how that is read. `whole`: it is an int."""

    read: Callable[[Any], float | None]
    whole: bool = False


def alone(kind: Type, shape: One) -> Block:
    """A family of one number by itself."""
    read, counter = shape.read, kind is Type.COUNTER

    def block(labels: bytes, record: Any) -> tuple[bytes, int]:
        number = read(record)
        return _NOTHING if number is None else (protobuf.single(labels)[counter] + double(number), 1)

    return block


def own(names: tuple[str, ...], key: Key) -> bytes:
    """A family's own labels for a key."""
    parts = (key,) if isinstance(key, str) else key
    return protobuf.pairs(zip(names, map(str, parts), strict=True))


def closed(keys: tuple[Key, ...], read: Callable[[Any], Iterable[float]]) -> Wire:
    def wire(kind: Type, names: tuple[str, ...]) -> Block:
        owns = [own(names, key) for key in keys]
        prepared = lru_cache(maxsize=256)(lambda length: [protobuf.sample(kind, length, each) for each in owns])

        def block(labels: bytes, record: Any) -> tuple[bytes, int]:
            found = zip(prepared(len(labels)), read(record), strict=True)
            return b"".join([head + labels + tail + double(number) for (head, tail), number in found]), len(owns)

        return block

    return wire


def values(read: Callable[[Any], Mapping[Any, float | bytes]]) -> Wire:
    def wire(kind: Type, names: tuple[str, ...]) -> Block:
        @lru_cache(maxsize=1024)
        def prepared(length: int, keys: tuple[Key, ...]) -> list[tuple[bytes, bytes]]:
            return [protobuf.sample(kind, length, own(names, key)) for key in keys]

        def block(labels: bytes, record: Any) -> tuple[bytes, int]:
            found = read(record)
            if not found:
                return _NOTHING
            each = zip(prepared(len(labels), tuple(found)), found.values(), strict=True)
            made = [head + labels + tail + double(float(number)) for (head, tail), number in each]
            return b"".join(made), len(made)

        return block

    return wire


def info(read: Callable[[Any], Iterable[tuple[str, str]]]) -> Wire:
    def wire(kind: Type, _: tuple[str, ...]) -> Block:
        def block(labels: bytes, record: Any) -> tuple[bytes, int]:
            head, tail = protobuf.sample(kind, len(labels), protobuf.pairs(read(record)))
            return head + labels + tail + double(1), 1

        return block

    return wire


def histogram(read: Callable[[Any], Histogram]) -> Wire:
    def wire(_: Type, __: tuple[str, ...]) -> Block:
        return lambda labels, record: _one(labels, read(record))

    return wire


def histograms(read: Callable[[Any], Iterable[tuple[Key, Histogram]]]) -> Wire:
    def wire(_: Type, names: tuple[str, ...]) -> Block:
        def block(labels: bytes, record: Any) -> tuple[bytes, int]:
            made = [_one(labels + own(names, key), found) for key, found in read(record)]
            return b"".join([metric for metric, _ in made]), sum(samples for _, samples in made)

        return block

    return wire


def _one(labels: bytes, found: Histogram) -> tuple[bytes, int]:
    native = found.native
    classic = 0 if native is not None and native.alone else len(found.counts) + 2
    return protobuf.of_histogram(labels, found), classic + (native is not None)
