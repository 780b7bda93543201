"""The protobuf format of a scrape, written by hand: each family an io.prometheus.client.MetricFamily with its length
before it.

It needs a dozen field numbers and no library. A family's Metrics stand last in it, each with its tag and length, so
that they are joined from blocks made before, and its own length is a sum. Source: metrics.proto of client_model,
https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from math import inf
from struct import Struct

from exporter.ledger import Histogram
from exporter.ledger.native import ZERO_THRESHOLD, Native
from exporter.metrics.text import Type, valid

#: MetricType of each of our types.
_TYPES = {Type.COUNTER: 0, Type.GAUGE: 1, Type.HISTOGRAM: 4}
#: Tag and length of a Metric's `gauge` (2) or `counter` (3), and the tag of its `value` (1), a double.
_GAUGE, _COUNTER = b"\x12\x09\x09", b"\x1a\x09\x09"
#: Bytes of a whole gauge or counter.
_VALUE_BYTES = 11

double = Struct("<d").pack


@lru_cache(maxsize=4096)
def varint(number: int) -> bytes:
    """A number >= 0 in base 128, the least significant seven bits first."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


@lru_cache(maxsize=4096)
def _zigzag(number: int) -> bytes:
    return varint(number << 1 if number >= 0 else ~(number << 1))


def _sized(tag: bytes, body: bytes) -> bytes:
    return b"%b%b%b" % (tag, varint(len(body)), body)


def pairs(labels: Iterable[tuple[str, str]]) -> bytes:
    """LabelPairs, each with tag and length, as they stand in a Metric."""
    return b"".join([_sized(b"\x0a", _pair(name, value)) for name, value in labels])


def _pair(name: str, value: str) -> bytes:
    return _sized(b"\x0a", name.encode()) + _sized(b"\x12", valid(value).encode())


def header(name: str, kind: Type, text: str, size: int) -> bytes:
    """What stands before a family's Metrics, which have `size` bytes together."""
    head = _sized(b"\x0a", name.encode()) + _sized(b"\x12", text.encode()) + b"\x18" + varint(_TYPES[kind])
    return varint(len(head) + size) + head


def sample(kind: Type, labels: int, own: bytes = b"") -> tuple[bytes, bytes]:
    """A Metric with one number, but for the labels before its own, which are so many bytes, and the number: what stands
    before the former, and between them.
    """
    return b"\x22" + varint(labels + len(own) + _VALUE_BYTES), own + (_COUNTER if kind is Type.COUNTER else _GAUGE)


def single(labels: bytes) -> tuple[bytes, bytes]:
    """A gauge and a counter that have no labels but these, up to their number."""
    head = b"\x22" + varint(len(labels) + _VALUE_BYTES) + labels
    return head + _GAUGE, head + _COUNTER


def of_histogram(labels: bytes, found: Histogram) -> bytes:
    """A Metric with a histogram: its buckets are classic, native or both, as the histogram has them."""
    native = found.native
    counts = list(accumulate(found.counts))
    parts = [b"\x08", varint(counts[-1]), b"\x11", double(found.sum)]  # sample_count, sample_sum
    exemplars = found.exemplars or ()
    if native is None or not native.alone:
        buckets = [_bucket(count) + edge for count, edge in zip(counts, _edges(found.bounds), strict=True)]
        for at, exemplar in enumerate(exemplars):
            if exemplar is not None:
                buckets[at] = _sized(b"\x1a", buckets[at][2:] + _exemplar(b"\x1a", *exemplar))
        parts += buckets
    if native is not None:
        _native(native, parts)
        if native.alone:
            parts += [_exemplar(b"\x82\x01", *exemplar) for exemplar in exemplars if exemplar is not None]
    body = b"".join(parts)
    size = varint(len(body))
    return b"\x22%b%b\x3a%b%b" % (varint(len(labels) + 1 + len(size) + len(body)), labels, size, body)


@lru_cache(maxsize=4096)
def _bucket(count: int) -> bytes:
    """A bucket (3) up to its edge, which is nine bytes: one byte of tag, one of length, the cumulative count (1)."""
    number = varint(count)
    return b"\x1a%b\x08%b" % (varint(len(number) + 10), number)


@lru_cache(maxsize=64)
def _edges(bounds: Sequence[float]) -> list[bytes]:
    """`upper_bound` of each bucket."""
    return [b"\x11" + double(edge) for edge in (*bounds, inf)]


def _exemplar(tag: bytes, trace_id: bytes, value: float, at: float) -> bytes:
    """Its time is in milliseconds, as Prometheus keeps it."""
    millis = round(at * 1000)
    seconds, nanos = varint(millis // 1000), varint(millis % 1000 * 1_000_000)
    label = _TRACE_ID % trace_id if len(trace_id) == 32 else pairs((("trace_id", trace_id.decode()),))
    size = len(seconds) + len(nanos) + 2
    rest = (double(value), varint(size), seconds, nanos)
    return b"%b%b%b\x11%b\x1a%b\x08%b\x10%b" % (tag, varint(len(label) + size + 11), label, *rest)


#: LabelPair of the usual length.
_TRACE_ID = pairs((("trace_id", "%b" + 30 * " "),)).replace(30 * b" ", b"")


def _native(native: Native, parts: list[bytes]) -> None:
    """Spans of successive buckets, and each bucket's count less that of the one before."""
    parts += (b"\x28", _zigzag(native.schema), _ZERO, varint(native.zero))
    deltas: list[bytes] = []
    start = end = before = 0  # of the span so far; and the count of its last bucket
    past = 0  # where the span before ended
    for at in sorted(native.buckets):
        if deltas and at - end <= _GAP:
            for _ in range(end, at):
                deltas.append(_zigzag(-before))
                before = 0
        else:
            if deltas:
                parts.append(_span(start - past, end - start))
                past = end
            start = at
        count = native.buckets[at]
        deltas.append(_zigzag(count - before))
        before, end = count, at + 1
    if deltas:
        parts += (_span(start - past, end - start), _sized(b"\x6a", b"".join(deltas)))


def _span(offset: int, length: int) -> bytes:
    return _sized(b"\x62", b"\x08%b\x10%b" % (_zigzag(offset), varint(length)))


#: Empty buckets that are written out, because another span would be longer.
_GAP = 2
_ZERO = b"\x31" + double(ZERO_THRESHOLD) + b"\x38"
