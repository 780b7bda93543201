"""What `probe` tells a person."""

import io
import re

from exporter.cli.probe_report import tell
from exporter.cli.sheet import Plain
from exporter.cli.words import ADVICE
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from tests.cli.make import report, result, streamed


def told(*reports: object) -> str:
    file = io.StringIO()
    tell(Plain(file), list(reports))  # type: ignore[arg-type]
    return file.getvalue()


def test_what_a_person_sees() -> None:
    metadata = result(Kind.METADATA, seen=Observation(info={"model_id": "tiny"}, facts={"max_model_len": 8192.0}))
    text = told(report(result(), metadata, result(Kind.STREAM, duration=0.72, seen=streamed())))
    assert text.splitlines() == [
        "http://127.0.0.1:8000 is openai (vllm)",
        "  because GET /v1/models lists a model owned by vllm",
        "",
        "PROBE     STATUS    TOTAL  CONNECT  FIRST BYTE  TRANSFER",
        "health    healthy  3.1 ms   0.3 ms      2.2 ms    0.1 ms",
        "metadata  healthy  3.1 ms   0.3 ms      2.2 ms    0.1 ms",
        "stream    healthy  720 ms   0.3 ms      2.2 ms    0.1 ms",
        "",
        "  health    answered 200",
        "  metadata  answered 200",
        "  stream    answered 200",
        "            first reasoning token after 120 ms, first token after 240 ms, 40 tokens/s, longest silence 40 ms",
        "            the stream: complete, 13 token events",
        "            tokens: 6 input, 9 output, 4 reasoning",
        "            by the server's account: prefill 90 ms, decode 300 ms",
        "            it said: OK. All tokens are in the right place.",
        "",
        "The model",
        "  model_id       tiny",
        "  max_model_len  8192",
    ]


def test_a_failure_says_what_why_and_what_to_do() -> None:
    bad = result(
        reason=Reason.CONNECT_REFUSED, detail="connection refused by 127.0.0.1:8000", duration=None, phases={"dns": 0},
        attempts=3, failures=(Reason.CONNECT_REFUSED,) * 3, http_status=None,
    )  # fmt: skip
    text = told(report(bad))
    assert "connect_refused: connection refused by 127.0.0.1:8000 after 3 attempts\n" in text
    assert ADVICE[Reason.CONNECT_REFUSED] in text
    assert "error" in text


def test_a_model_that_was_left_asleep() -> None:
    asleep = result(Kind.INFER, detail="tiny is not loaded", skipped="asleep", duration=0.002)
    text = told(report(result(), asleep))
    assert re.search(r"^infer +asleep +2", text, re.M)
    assert "  infer   not asked, its model is asleep: tiny is not loaded\n" in text
    assert re.search(r"^infer +asleep$", told(report(result(), asleep), report(result(), asleep)), re.M)
    assert re.search(r"^infer +1/1 ", told(report(asleep), report(result(Kind.INFER))), re.M)


def test_advice_is_given_once() -> None:
    text = told(report(*(result(kind, Reason.DNS, "no such host") for kind in (Kind.HEALTH, Kind.READY))))
    assert text.count("dns: no such host") == 2
    assert text.count(ADVICE[Reason.DNS]) == 1


def test_a_server_that_was_not_recognised_says_so() -> None:
    text = told(report(result(protocol="auto"), found=None))
    assert text.startswith("http://127.0.0.1:8000: it does not show what it is\n")


def test_a_named_protocol_is_not_called_a_finding() -> None:
    assert told(report(result(protocol="mlflow"), found=None)).startswith("http://127.0.0.1:8000, asked as mlflow\n")


def test_nothing_offered() -> None:
    assert "Nothing was asked" in told(report())


def test_several_rounds_are_summarised() -> None:
    rounds = [
        report(result(duration=0.010), result(Kind.STREAM, duration=0.7, seen=streamed(0.1))),
        report(result(duration=0.030), result(Kind.STREAM, duration=0.9, seen=streamed(0.3, None))),
        report(
            result(duration=0.020),
            result(Kind.STREAM, Reason.STALLED, "no token for 1s", duration=2.0),
        ),
    ]
    lines = told(*rounds).splitlines()
    assert lines[3:8] == [
        "PROBE          HEALTHY     MIN  MEDIAN     MAX",
        "health             3/3   10 ms   20 ms   30 ms",
        "stream             2/3  700 ms  900 ms     2 s",
        "  first token           100 ms  200 ms  300 ms",
        "  tokens/s                  40      40      40",
    ]
    assert "  stream  1x stalled: no token for 1s" in lines


def test_a_server_cannot_steer_the_terminal() -> None:
    bad = result(reason=Reason.HTTP_STATUS, detail="HTTP 500: \x1b]0;owned\x07", http_status=500)
    talk = result(Kind.INFER, seen=Observation(answer="\x1b[2J", info={"model_id": "\x1b[31m"}))
    assert "\x1b" not in told(report(bad, talk))
