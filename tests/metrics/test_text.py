import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics.text import Type, escape, header, number, pairs

ANY_TEXT = st.text(st.characters())
SURROGATE = 'a\ud800"'  # JSON can carry a lone one


@given(ANY_TEXT)
@example(SURROGATE)
def test_any_label_value_is_one_valid_line(value: str) -> None:
    line = f"m{{a={chr(34)}{escape(value)}{chr(34)}}} 1\n"
    assert line.count("\n") == 1
    ((sample,),) = (family.samples for family in text_string_to_metric_families(line.encode().decode()))
    assert sample.labels == {"a": "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, "1"), (0.25, "0.25"), (1e-7, "1e-07"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")],
)
def test_number(value: float, expected: str) -> None:
    assert number(value) == expected


def test_pairs() -> None:
    assert pairs([("a", "1"), ("b", 'say "hi"\\\n')]) == r'a="1",b="say \"hi\"\\\n"'


def test_only_counters_have_two_names() -> None:
    assert header("runs_total", Type.COUNTER, "Runs.", openmetrics=True) == b"# HELP runs Runs.\n# TYPE runs counter\n"
    assert header("runs_total", Type.COUNTER, "Runs.", openmetrics=False) == (
        b"# HELP runs_total Runs.\n# TYPE runs_total counter\n"
    )
    assert b"# TYPE a_info gauge" in header("a_info", Type.GAUGE, "A.", openmetrics=True)
