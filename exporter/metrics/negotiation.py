"""Which format a scraper gets: RFC 9110's Accept with q-values, as Prometheus 2 and 3, browsers and curl send it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

#: Escaping schemes a scraper may ask for. Our names need none, so every scheme gives the same bytes.
_ESCAPINGS = ("allow-utf-8", "underscores", "dots", "values")
_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write a scrape. `parameters` are those that tell it from others of its media type; a range may leave out
    the optional ones. `escaping` is said back to a scraper that asked for one.
    """

    media_type: str
    parameters: tuple[tuple[str, str], ...]
    optional: bool = True
    escaping: str = ""

    @property
    def openmetrics(self) -> bool:
        """Whether counters lose `_total` in headers, buckets carry exemplars and `# EOF` ends the text."""
        return self.media_type == "application/openmetrics-text"

    @property
    def protobuf(self) -> bool:
        """Whether it is no text: delimited MetricFamily messages, which alone can carry native histograms."""
        return self.media_type == "application/vnd.google.protobuf"

    @property
    def content_type(self) -> str:
        """The Content-Type header."""
        text = "; ".join((self.media_type, *(f"{name}={value}" for name, value in self.parameters)))
        text += "" if self.protobuf else "; charset=utf-8"
        return f"{text}; escaping={self.escaping}" if self.escaping else text


TEXT = Format("text/plain", (("version", "0.0.4"),))
OPENMETRICS = Format("application/openmetrics-text", (("version", "1.0.0"),))
#: Both parameters are needed: others say another message, or another way to write it.
PROTOBUF = Format(
    "application/vnd.google.protobuf",
    (("proto", "io.prometheus.client.MetricFamily"), ("encoding", "delimited")),
    optional=False,
)


@dataclass(frozen=True, slots=True)
class _Range:
    media_type: str
    parameters: Mapping[str, str]
    escaping: str
    quality: float
    position: int

    def fit(self, form: Format) -> int:
        """How closely this range names a format: 0 not at all, more is closer."""
        if self.media_type == form.media_type:
            asked = [self.parameters.get(name, "") for name, _ in form.parameters]
            same = [text == value.lower() for text, (_, value) in zip(asked, form.parameters, strict=True)]
            return 4 if all(same) else 3 if form.optional and not any(asked) else 0
        kind = form.media_type.partition("/")[0]
        return 2 if self.media_type == f"{kind}/*" else 1 if self.media_type == "*/*" else 0


def negotiate(accept: str) -> Format:
    """The format an Accept header prefers; text 0.0.4 for everything that asks for nothing we have."""
    ranges = list(_ranges(accept))
    best, chosen = (0.0, 0, 0), TEXT
    for form in (TEXT, OPENMETRICS, PROTOBUF):
        closest = max(ranges, key=lambda item: (item.fit(form), item.quality, -item.position), default=None)
        if closest is None or not (fit := closest.fit(form)) or not closest.quality:
            continue
        rank = (closest.quality, fit, -closest.position)
        if rank > best:
            best, chosen = rank, replace(form, escaping=closest.escaping)
    return chosen


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    qualities = {name: quality for name, _, quality in _items(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _ranges(accept: str) -> Iterator[_Range]:
    for position, (name, parameters, quality) in enumerate(_items(accept)):
        escaping = parameters.get("escaping", "")
        known = escaping if escaping in _ESCAPINGS else ""
        yield _Range(name, parameters, known, quality, position)


def _items(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Name, parameters and quality of each item of a list header; what is malformed is left out."""
    for item in header.split(","):
        name, *rest = (part.strip() for part in item.split(";"))
        parameters = {}
        for part in rest:
            key, _, text = part.partition("=")
            parameters[key.strip().lower()] = text.strip().strip('"').lower()
        quality = parameters.pop("q", "1")
        if name and _QUALITY.fullmatch(quality):
            yield name.lower(), parameters, float(quality)
