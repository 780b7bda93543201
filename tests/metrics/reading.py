"""Scrapes as Prometheus's own library reads them."""

import math
import re
from collections.abc import Iterable, Mapping

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import OPENMETRICS, TEXT, Format

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(exposition: Exposition, form: Format = TEXT) -> str:
    return b"".join([text async for text in exposition.render(form)]).decode()


def families(text: str, form: Format = TEXT) -> list[Metric]:
    return list((parse_openmetrics if form is OPENMETRICS else parse_text)(text))


def series(found: Iterable[Metric], prefix: str = "model_probe_") -> Series:
    """Every sample by name and labels; a series that comes twice is an error."""
    known: Series = {}
    for family in found:
        for sample in family.samples:
            if sample.name.startswith(prefix):
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in known, f"{key} twice"
                known[key] = sample.value
    return known


def same(ours: Mapping[object, float], theirs: Mapping[object, float]) -> None:
    """Equal series with equal values."""
    missing, more = theirs.keys() - ours.keys(), ours.keys() - theirs.keys()
    assert not missing, some(missing)
    assert not more, some(more)
    # Text has 12 digits of what is measured.
    wrong = {key: (ours[key], theirs[key]) for key in ours if not math.isclose(ours[key], theirs[key], rel_tol=1e-11)}
    assert not wrong, some(wrong.items())


def some(found: Iterable[object]) -> str:
    """A few of many, for a failure's message."""
    return "\n".join(sorted(map(str, found))[:8])


_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)( # .*)?")


def lines_of(text: str, name: str) -> list[str]:
    """The sample lines of a name."""
    return [line for line in text.splitlines() if re.match(rf"{name}[{{ ]", line)]


def check_layout(text: str, form: Format) -> None:
    """What a parser forgives and a scraper may not: each family in one piece, its header first, no blank line."""
    lines = text.split("\n")
    assert lines.pop() == ""
    if form is OPENMETRICS:
        assert lines.pop() == "# EOF"
    done: set[str] = set()
    helped = current = ""
    for line in lines:
        if line.startswith("# HELP "):
            helped = line.split(" ")[2]
            assert line.removeprefix(f"# HELP {helped} "), line
        elif line.startswith("# TYPE "):
            current = line.split(" ")[2]
            assert current == helped, line
            assert current not in done, f"{current} in two pieces"
            done.add(current)
        else:
            match = _SAMPLE.fullmatch(line)
            assert match, line
            base = re.sub("_(total|bucket|sum|count)$", "", match[1])
            assert match[1] == current or base == current.removesuffix("_total"), f"{line} under {current}"
            assert not match[4] or form is OPENMETRICS, line
