"""How a record's share of a family becomes lines of text: for each shape of `family` a template, filled by one
formatting of bytes.

That copies what stands between the gaps as it is, where one of str looks at each character; nothing is replaced, cut
apart or encoded afterwards. The labels stand in each line and are among what fills it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

from exporter.ledger import Histogram
from exporter.metrics.text import pairs
from exporter.metrics.wire import Block, Key, One

#: Makes a family's block from its name and its own labels.
Lines = Callable[[str, tuple[str, ...]], Block]

_EXEMPLAR = b' # {trace_id="%b"} %.6g %.3f'
_NOTHING = (b"", 0)
#: Text that a server told may have anything in it.
_CONTROLS = str.maketrans("\0\1", "\ufffd\ufffd")


def spec(name: str) -> str:
    """How numbers are written. Times are measured and have 17 digits, of which formatting makes several times the work
    of 12; 14 are a tenth of a millisecond of a time of day. Other numbers are whole, or written as they are.
    """
    name = name.removesuffix("_total")
    return "%.14g" if name.endswith("_timestamp_seconds") else "%.12g" if name.endswith("_seconds") else "%a"


def one(name: str, *, whole: bool) -> bytes:
    """The line of a family that has one number and no labels of its own; it takes the labels and the number."""
    return f"{name}{{%b}} {'%d' if whole else spec(name)}\n".encode()


def alone(name: str, shape: One) -> Block:
    """Such a family by itself."""
    template, read = one(name, whole=shape.whole), shape.read

    def block(labels: bytes, record: Any) -> tuple[bytes, int]:
        number = read(record)
        return _NOTHING if number is None else (template % (labels, number), 1)

    return block


def closed(keys: tuple[Key, ...], read: Callable[[Any], Iterable[float]]) -> Lines:
    def lines(name: str, names: tuple[str, ...]) -> Block:
        template, count = _template(name, names, keys, spec(name)), len(keys)

        def block(labels: bytes, record: Any) -> tuple[bytes, int]:
            return template % _spread(labels, read(record), count), count

        return block

    return lines


def values(read: Callable[[Any], Mapping[Any, Any]], form: str = "") -> Lines:
    def lines(name: str, names: tuple[str, ...]) -> Block:
        # Keys come from closed sets or the config: the few combinations there are stay prepared.
        template = lru_cache(maxsize=256)(lambda keys: _template(name, names, keys, form or spec(name)))

        def block(labels: bytes, record: Any) -> tuple[bytes, int]:
            found = read(record)
            if not found:
                return _NOTHING
            count = len(found)
            return template(tuple(found)) % _spread(labels, found.values(), count), count

        return block

    return lines


def info(read: Callable[[Any], Iterable[tuple[str, str]]]) -> Lines:
    def lines(name: str, _: tuple[str, ...]) -> Block:
        template = f"{name}{{%b,%b}} 1\n".encode()
        return lambda labels, record: (template % (labels, _clean(pairs(read(record))).encode()), 1)

    return lines


def histogram(read: Callable[[Any], Histogram]) -> Lines:
    def lines(name: str, _: tuple[str, ...]) -> Block:
        of = _Buckets(name, "").of
        return lambda labels, record: of(labels, read(record))

    return lines


def histograms(read: Callable[[Any], Iterable[tuple[Key, Histogram]]]) -> Lines:
    def lines(name: str, names: tuple[str, ...]) -> Block:
        each = lru_cache(maxsize=64)(lambda key: _Buckets(name, f",{_own(names, key)}").of)

        def block(labels: bytes, record: Any) -> tuple[bytes, int]:
            made = [each(key)(labels, found) for key, found in read(record)]
            return b"".join([text for text, _ in made]), sum(samples for _, samples in made)

        return block

    return lines


class _Buckets:
    """Lines of one histogram. The template of the bounds seen last is kept: records rarely have others."""

    __slots__ = ("_bounds", "_name", "_own", "_plain", "_spotted")

    def __init__(self, name: str, own: str) -> None:
        self._name = name
        self._own = own
        self._bounds: Sequence[float] | None = None
        self._plain = self._spotted = b""

    def of(self, labels: bytes, found: Histogram) -> tuple[bytes, int]:
        if found.bounds is not self._bounds and found.bounds != self._bounds:
            self._prepare(found.bounds)
        counts = list(accumulate(found.counts))
        buckets = len(counts)
        if found.exemplars is None:
            return self._plain % _spread(labels, (*counts, found.sum, counts[-1]), buckets + 2), buckets + 2
        filled: list[Any] = [labels, 0, b""] * buckets
        filled[1::3] = counts
        filled[2::3] = [b"" if exemplar is None else _EXEMPLAR % exemplar for exemplar in found.exemplars]
        return self._spotted % (*filled, labels, found.sum, labels, counts[-1]), buckets + 2

    def _prepare(self, bounds: Sequence[float]) -> None:
        edges = [*(str(float(bound)) for bound in bounds), "+Inf"]
        name, own = self._name, self._own.replace("%", "%%")
        buckets = "".join(f'{name}_bucket{{%b{own},le="{edge}"}} %d%b\n' for edge in edges)
        self._spotted = f"{buckets}{name}_sum{{%b{own}}} %.12g\n{name}_count{{%b{own}}} %d\n".encode()
        self._plain = self._spotted.replace(b"%d%b\n", b"%d\n")
        self._bounds = bounds


def _spread(labels: bytes, numbers: Iterable[Any], count: int) -> tuple[Any, ...]:
    """What fills so many lines: in each the labels stand before the number."""
    filled: list[Any] = [labels] * (2 * count)
    filled[1::2] = numbers
    return tuple(filled)


def _template(name: str, names: tuple[str, ...], keys: Iterable[Key], form: str) -> bytes:
    owns = [_own(names, key).replace("%", "%%") for key in keys]
    return "".join(f"{name}{{%b,{own}}} {form}\n" for own in owns).encode()


def _own(names: tuple[str, ...], key: Key) -> str:
    """A family's own labels for a key."""
    parts = (key,) if isinstance(key, str) else key
    return _clean(pairs(zip(names, map(str, parts), strict=True)))


def _clean(text: str) -> str:
    return text.translate(_CONTROLS)
