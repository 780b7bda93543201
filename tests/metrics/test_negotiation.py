import pytest

from exporter.metrics.negotiation import OPENMETRICS, TEXT, accepts_gzip, negotiate

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,"
    "application/openmetrics-text;version=0.0.1;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
)
PROMETHEUS_3_NATIVE = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7," + PROMETHEUS_3
)
PROTOBUF_ASKED = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
PROMETHEUS_2_NATIVE = (
    f"{PROTOBUF_ASKED},application/openmetrics-text;version=1.0.0;q=0.8,"
    "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PROTOBUF_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (PROMETHEUS_3, f"{OPENMETRICS_TYPE}; escaping=allow-utf-8"),
        (PROMETHEUS_3_NATIVE, PROTOBUF_TYPE),
        (PROMETHEUS_2_NATIVE, PROTOBUF_TYPE),
        (f"{PROTOBUF_ASKED};escaping=allow-utf-8;q=0.6,text/plain;q=0.5", f"{PROTOBUF_TYPE}; escaping=allow-utf-8"),
        (f"{PROTOBUF_ASKED};q=0.4,text/plain;q=0.5", TEXT_TYPE),
        (f"{PROTOBUF_ASKED};q=0,text/plain;q=0.5", TEXT_TYPE),
        (f"{PROTOBUF_ASKED},application/openmetrics-text", PROTOBUF_TYPE),
        (f"application/openmetrics-text;version=1.0.0,{PROTOBUF_ASKED}", OPENMETRICS_TYPE),
        ("application/vnd.google.protobuf", TEXT_TYPE),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", TEXT_TYPE),
        ("application/vnd.google.protobuf;proto=io.other.Family;encoding=delimited", TEXT_TYPE),
        (PROMETHEUS_2, OPENMETRICS_TYPE),
        (
            "application/openmetrics-text; version=1.0.0; escaping=underscores",
            f"{OPENMETRICS_TYPE}; escaping=underscores",
        ),
        ('application/openmetrics-text; version=1.0.0; escaping="x\r\ny"', OPENMETRICS_TYPE),
        ("application/openmetrics-text", OPENMETRICS_TYPE),
        ("APPLICATION/OpenMetrics-Text ; Version=1.0.0", OPENMETRICS_TYPE),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", TEXT_TYPE),
        ("application/openmetrics-text;version=0.0.1", TEXT_TYPE),
        ("text/plain;version=0.0.4;escaping=values", f"{TEXT_TYPE}; escaping=values"),
        ("text/plain;version=1.0.0", TEXT_TYPE),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.3", TEXT_TYPE),
        ("application/openmetrics-text;q=0.4,text/plain;q=0.3", OPENMETRICS_TYPE),
        ("text/plain;q=0.3,application/openmetrics-text;q=0.3", TEXT_TYPE),
        ("application/openmetrics-text;q=0.3,text/plain;q=0.3", OPENMETRICS_TYPE),
        ("application/openmetrics-text,*/*", OPENMETRICS_TYPE),
        ("application/openmetrics-text;q=0,*/*", TEXT_TYPE),
        ("text/plain;q=0,*/*;q=0.5", OPENMETRICS_TYPE),
        ("application/*", OPENMETRICS_TYPE),
        ("text/*", TEXT_TYPE),
        (BROWSER, TEXT_TYPE),
        ("*/*", TEXT_TYPE),
        ("", TEXT_TYPE),
        ("image/png", TEXT_TYPE),
        ("text/plain;q=0", TEXT_TYPE),
        ("application/openmetrics-text;q=0", TEXT_TYPE),
        (";;;,,,=;q=;q", TEXT_TYPE),
        ("application/openmetrics-text;q=nan", TEXT_TYPE),
        ("application/openmetrics-text;q=1e9", TEXT_TYPE),
        ("application/openmetrics-text;q=-1,text/plain;q=0.1", TEXT_TYPE),
        ("\x00\xff", TEXT_TYPE),
    ],
)
def test_accept(accept: str, expected: str) -> None:
    assert negotiate(accept).content_type == expected


def test_formats() -> None:
    assert TEXT.content_type == TEXT_TYPE
    assert OPENMETRICS.content_type == OPENMETRICS_TYPE
    assert OPENMETRICS.openmetrics
    assert not TEXT.openmetrics


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("gzip", True),
        ("GZIP;q=0.5, br", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("identity", False),
        ("br", False),
        ("", False),
    ],
)
def test_accept_encoding(accept_encoding: str, expected: bool) -> None:
    assert accepts_gzip(accept_encoding) is expected
