"""The closed vocabulary: every reason has a row, the page says the same, and each status code is one of four things."""

import re
from pathlib import Path

import pytest

from exporter.model.failure import TABLE, Evidence, Failure, Reason, Row, Status, row_of

PAGE = Path(__file__).parents[2] / "docs" / "failures.md"

#: Evidence, with its status: reasons; those that are tried again by themselves in capitals.
JUDGED = """
dead error       DNS CONNECT_REFUSED connect_timeout CONNECT RESET DISCONNECTED tls tls_expired tls_untrusted
dead error       tls_hostname protocol
slow error       timeout timeout_first_token stalled
broken error     encoding truncated too_large malformed
broken unhealthy http_status empty incomplete error_event
refused unhealthy redirect auth model_not_found
busy unhealthy   rate_limited overloaded
loading unhealthy not_ready
wrong unhealthy  expectation
none error       internal inconclusive
"""


def expected() -> dict[Reason, Row]:
    table = {}
    for evidence, status, *reasons in (line.split() for line in JUDGED.strip().splitlines()):
        for reason in reasons:
            table[Reason(reason.lower())] = Row(Status(status), Evidence(evidence), retried=reason.isupper())
    return table


def test_every_reason_is_judged_and_as_it_is_written_here() -> None:
    assert set(TABLE) == set(Reason)
    assert dict(TABLE) == expected()


def test_the_page_has_every_reason_and_judges_it_alike() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| ([^|]+?) \|", PAGE.read_text(), re.MULTILINE)
    assert [name for name, _ in rows] == [reason.value for reason in Reason]
    for name, judged in rows:
        row = TABLE[Reason(name)]
        evidence = "by code" if name == "http_status" else row.evidence
        assert judged == f"{row.status}, {evidence}", name


def test_each_status_code() -> None:
    for code in range(100, 600):
        evidence = Evidence.REFUSED if 400 <= code < 500 else Evidence.BROKEN
        evidence = {408: Evidence.SLOW, 504: Evidence.SLOW, 425: Evidence.BUSY}.get(code, evidence)
        judged = Failure(Reason.HTTP_STATUS, http_status=code).row
        assert judged == Row(Status.UNHEALTHY, evidence, retried=code in (502, 503)), code


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.HTTP_STATUS])
def test_a_code_beside_another_reason_changes_nothing(reason: Reason) -> None:
    assert row_of(reason, 503) == TABLE[reason]


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.EXPECTATION])
def test_what_is_load_is_no_failure(reason: Reason) -> None:
    """A timeout while tokens flow, and an answer that is right and late."""
    assert Failure(reason, busy=True).row == Row(Status.UNHEALTHY, Evidence.BUSY)
