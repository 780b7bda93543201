"""Scrapes in protobuf as the protobuf library reads them, by metrics.proto of prometheus/client_model."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.decoder import _DecodeVarint
from prometheus_client import Metric
from prometheus_client.samples import Exemplar, Sample

from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import PROTOBUF

_PACKAGE = "io.prometheus.client"
#: Message: (field, number, type, repeated). A type with a capital is another message of the package.
_MESSAGES = {
    "Timestamp": [("seconds", 1, "int64", 0), ("nanos", 2, "int32", 0)],
    "LabelPair": [("name", 1, "string", 0), ("value", 2, "string", 0)],
    "Gauge": [("value", 1, "double", 0)],
    "Counter": [("value", 1, "double", 0), ("exemplar", 2, "Exemplar", 0)],
    "Bucket": [
        ("cumulative_count", 1, "uint64", 0), ("upper_bound", 2, "double", 0), ("exemplar", 3, "Exemplar", 0),
        ("cumulative_count_float", 4, "double", 0),
    ],
    "BucketSpan": [("offset", 1, "sint32", 0), ("length", 2, "uint32", 0)],
    "Exemplar": [("label", 1, "LabelPair", 1), ("value", 2, "double", 0), ("timestamp", 3, "Timestamp", 0)],
    "Histogram": [
        ("sample_count", 1, "uint64", 0), ("sample_sum", 2, "double", 0), ("bucket", 3, "Bucket", 1),
        ("schema", 5, "sint32", 0), ("zero_threshold", 6, "double", 0), ("zero_count", 7, "uint64", 0),
        ("negative_span", 9, "BucketSpan", 1), ("negative_delta", 10, "sint64", 1),
        ("positive_span", 12, "BucketSpan", 1), ("positive_delta", 13, "sint64", 1), ("exemplars", 16, "Exemplar", 1),
    ],
    "Metric": [
        ("label", 1, "LabelPair", 1), ("gauge", 2, "Gauge", 0), ("counter", 3, "Counter", 0),
        ("histogram", 7, "Histogram", 0), ("timestamp_ms", 6, "int64", 0),
    ],
    "MetricFamily": [
        ("name", 1, "string", 0), ("help", 2, "string", 0), ("type", 3, "MetricType", 0), ("metric", 4, "Metric", 1),
        ("unit", 5, "string", 0),
    ],
}  # fmt: skip
_TYPES = ("counter", "gauge", "summary", "untyped", "histogram", "gauge_histogram")


def _family_class() -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package=_PACKAGE, syntax="proto2")
    enum = file.enum_type.add(name="MetricType")
    for number, name in enumerate(_TYPES):
        enum.value.add(name=name.upper(), number=number)
    for message, fields in _MESSAGES.items():
        made = file.message_type.add(name=message)
        for name, number, kind, repeated in fields:
            one = made.field.add(name=name, number=number)
            one.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            if kind[0].isupper():
                one.type = field.TYPE_ENUM if kind == "MetricType" else field.TYPE_MESSAGE
                one.type_name = f".{_PACKAGE}.{kind}"
            else:
                one.type = getattr(field, f"TYPE_{kind.upper()}")
                one.options.packed = bool(repeated) and kind != "string"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.MetricFamily"))


MetricFamily = _family_class()


async def scraped(exposition: Exposition) -> list[Any]:
    """The families of one scrape."""
    return read(b"".join([piece async for piece in exposition.render(PROTOBUF)]))


def read(data: bytes) -> list[Any]:
    """Delimited families, of which the library writes the very same bytes."""
    found = []
    at = 0
    while at < len(data):
        size, at = _DecodeVarint(data, at)
        assert at + size <= len(data), "a family is shorter than its length says"
        family = MetricFamily.FromString(data[at : at + size])
        assert family.SerializeToString(deterministic=True) == data[at : at + size], "fields unknown, twice or unsorted"
        at += size
        kind = _TYPES[family.type]
        assert family.HasField("type")
        assert family.metric
        assert all(metric.HasField(kind) for metric in family.metric)
        found.append(family)
    return found


def as_text(families: Iterable[Any]) -> list[Metric]:
    """The same families as the parsers of text give them; native buckets are left out."""
    return [_as_text(family) for family in families]


def _as_text(family: Any) -> Metric:
    kind = _TYPES[family.type]
    made = Metric(family.name.removesuffix("_total") if kind == "counter" else family.name, family.help, kind)
    for metric in family.metric:
        labels = {pair.name: pair.value for pair in metric.label}
        assert len(labels) == len(metric.label), "a label twice"
        if kind == "histogram":
            made.samples += _samples(family.name, labels, metric.histogram)
        else:
            made.samples.append(Sample(family.name, labels, getattr(metric, kind).value))
    return made


def _samples(name: str, labels: dict[str, str], histogram: Any) -> Iterator[Sample]:
    for bucket in histogram.bucket:
        edge = "+Inf" if bucket.upper_bound == math.inf else str(bucket.upper_bound)
        spot = _exemplar(bucket.exemplar) if bucket.HasField("exemplar") else None
        yield Sample(f"{name}_bucket", {**labels, "le": edge}, bucket.cumulative_count, None, spot)
    yield Sample(f"{name}_count", labels, histogram.sample_count)
    yield Sample(f"{name}_sum", labels, histogram.sample_sum)


def _exemplar(found: Any) -> Exemplar:
    labels = {pair.name: pair.value for pair in found.label}
    return Exemplar(labels, found.value, found.timestamp.seconds + found.timestamp.nanos / 1e9)


def buckets(histogram: Any) -> dict[int, int]:
    """Count by index of the native buckets that are not empty, checked as a scraper checks them."""
    found = {}
    at = count = 0
    deltas = iter(histogram.positive_delta)
    for number, span in enumerate(histogram.positive_span):
        assert span.length > 0
        assert number == 0 or span.offset > 0
        at += span.offset
        for _ in range(span.length):
            count += next(deltas)
            assert count >= 0
            if count:
                found[at] = count
            at += 1
    assert next(deltas, None) is None
    assert sum(found.values()) + histogram.zero_count == histogram.sample_count
    return found
