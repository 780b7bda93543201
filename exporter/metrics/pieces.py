"""A scrape's bytes from blocks made before: family by family, in pieces small enough to stop after each."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from prometheus_client.core import Metric

from exporter.metrics import own, protobuf, replicas, training
from exporter.metrics.blocks import Blocks, Group
from exporter.metrics.family import Family
from exporter.metrics.negotiation import Format
from exporter.metrics.text import Type, header

#: Targets whose blocks of one family are joined at once.
_CHUNK = 128

#: In a line, an unescaped quote stands only around label values, so no label value can hold this.
_EXEMPLAR = re.compile(rb' # \{trace_id="[^\n]*')


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a scrape shows, in the encoding of `groups`: for each group the targets' block tuples; those of replicas
    together and of training jobs; and the exporter's own families. `samples` is how many all of these have. `first`
    are families that stand before all others.
    """

    groups: Sequence[Group]
    columns: Sequence[list[Blocks]]
    replicas: Sequence[Blocks] = ()
    trainings: Sequence[Blocks] = ()
    own: Sequence[Metric] = ()
    samples: int = 0
    first: Sequence[Metric] = ()

    def families(self) -> Iterator[tuple[Family, int, Sequence[Blocks]]]:
        """Each family of what is watched: its place in the tuples, and these."""
        families = [*(group.families for group in self.groups), replicas.REPLICA_FAMILIES, training.TRAINING_FAMILIES]
        for chosen, column in zip(families, (*self.columns, self.replicas, self.trainings), strict=True):
            for position, family in enumerate(chosen):
                yield family, position, column


def pieces(snapshot: Snapshot, form: Format) -> Iterator[bytes]:
    """The whole scrape, in order. Families without series are left out."""
    write = _protobuf if form.protobuf else _text
    one = _protobuf_of if form.protobuf else _text_of
    yield from (one(metric, form) for metric in snapshot.first)
    yield from write(snapshot, form)
    yield from (one(metric, form) for metric in snapshot.own)
    if form.openmetrics:
        yield b"# EOF\n"


def _text(snapshot: Snapshot, form: Format) -> Iterator[bytes]:
    for family, position, column in snapshot.families():
        head = header(family.name, family.type, family.help, openmetrics=form.openmetrics)
        bare = family.type is Type.HISTOGRAM and not form.openmetrics
        block = itemgetter(position)
        for start in range(0, len(column), _CHUNK):
            body = b"".join(map(block, column[start : start + _CHUNK]))
            if body:
                yield head + (_EXEMPLAR.sub(b"", body) if bare else body)
                head = b""
            elif len(column) > _CHUNK:
                yield b""  # to find nothing at thousands of targets takes its time, too: a place to stop


def _text_of(metric: Metric, form: Format) -> bytes:
    name, kind = own.named(metric)
    body = own.lines(metric)
    return header(name, kind, metric.documentation, openmetrics=form.openmetrics) + body if body else b""


def _protobuf(snapshot: Snapshot, _: Format) -> Iterator[bytes]:
    for family, position, column in snapshot.families():
        block = itemgetter(position)
        size = 0
        for start in range(0, len(column), _CHUNK):
            size += sum(map(len, map(block, column[start : start + _CHUNK])))
            yield b""  # the length comes first, and adding it up takes its time, too
        if not size:
            continue
        yield protobuf.header(family.name, family.type, family.help, size)
        for start in range(0, len(column), _CHUNK):
            yield b"".join(map(block, column[start : start + _CHUNK]))


def _protobuf_of(metric: Metric, _: Format) -> bytes:
    name, kind = own.named(metric)
    body = own.metrics(metric)
    return protobuf.header(name, kind, metric.documentation, len(body)) + body if body else b""
