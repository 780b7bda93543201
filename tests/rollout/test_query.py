"""The gate's question as a request puts it, and the answer."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from math import inf
from typing import Any

import pytest

from exporter.ledger import RECENT, TargetRecord
from exporter.model.job import Kind
from exporter.model.target import Target
from exporter.rollout.query import answer, read
from exporter.rollout.terms import Terms
from tests.rollout.remembered import START, STEP, Remembered, job, target

CHAT = job(Kind.HEALTH, target("assistant", labels={"team": "chat"}))
FRAUD = job(Kind.HEALTH, target("fraud", labels={"team": "risk"}))


async def ask(seen: Remembered, *query: tuple[str, str], unread: Sequence[Target] = ()) -> tuple[int, Any]:
    async def records() -> AsyncIterator[TargetRecord]:
        for record in seen.ledger:
            yield record

    status, text = await answer(query, records(), unread=lambda: unread)
    assert text.endswith("\n")
    return status, json.loads(text)


def test_everything_that_can_be_asked() -> None:
    terms, since, problems = read(
        [
            ("select", "team=chat"), ("select", "target=a=b"), ("consecutive", "5"), ("version", "3"),
            ("min_addresses", "2"), ("max_duration", "1m30s"), ("max_ttft", "500ms"), ("evaluate", "true"),
            ("since", "1000.5"),
        ]
    )  # fmt: skip
    assert problems == []
    assert since == 1000.5
    assert terms == Terms((("team", "chat"), ("target", "a=b")), 5, "3", 2, 90.0, 0.5, True)


def test_what_holds_where_nothing_is_said() -> None:
    assert read([]) == (Terms(), -inf, [])
    assert Terms().consecutive == 3


@pytest.mark.parametrize(
    "text",
    ["2026-02-03T04:05:06Z", "2026-02-03T06:05:06+02:00", "2026-02-03T06:05:06 02:00", "2026-02-03T04:05:06.000Z"],
)
def test_a_moment_with_its_zone(text: str) -> None:
    assert read([("since", text)]) == (Terms(), datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC).timestamp(), [])


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("select", "team", "select: found 'team'; allowed: label=value, such as select=team=chat"),
        ("select", "=chat", "select: found '=chat'; allowed: label=value, such as select=team=chat"),
        ("consecutive", "0", f"consecutive: found '0'; allowed: a number from 1 to {RECENT}"),
        ("consecutive", "11", f"consecutive: found '11'; allowed: a number from 1 to {RECENT}"),
        ("consecutive", "three", f"consecutive: found 'three'; allowed: a number from 1 to {RECENT}"),
        ("consecutive", "٣", f"consecutive: found '٣'; allowed: a number from 1 to {RECENT}"),
        ("min_addresses", "-1", "min_addresses: found '-1'; allowed: a number from 1 to 64"),
        ("version", "", "version: found ''; allowed: the version as the server tells it; without the parameter, any"),
        ("max_ttft", "2", "max_ttft: found '2'; allowed: a duration such as 500ms or 2s"),
        ("max_duration", "0", "max_duration: found '0'; allowed: a duration such as 500ms or 2s"),
        ("evaluate", "maybe", "evaluate: found 'maybe'; allowed: true or false"),
        ("since", "yesterday", _since := "since: found {}; allowed: Unix seconds, or RFC 3339 with a zone such as "
         "2026-02-03T04:05:06Z"),
        ("since", "2026-02-03T04:05:06", _since),
        ("since", "nan", _since),
        ("since", "1e999", _since),
        ("verison", "3", "verison: unknown parameter; did you mean version?"),
        ("min-addresses", "3", "min-addresses: unknown parameter; did you mean min_addresses?"),
        ("x", "3", "x: unknown parameter; allowed: select, consecutive, version, min_addresses, max_duration, "
         "max_ttft, evaluate, since"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked(name: str, text: str, problem: str) -> None:
    seen = Remembered(CHAT)
    seen.run(CHAT, times=3)
    status, body = await ask(seen, (name, text))
    assert status == 400
    assert body == {
        "ready": False, "error": "bad parameters", "problems": [problem.format(repr(text))],
    }  # fmt: skip


async def test_all_that_is_wrong_is_told_at_once() -> None:
    _, body = await ask(Remembered(CHAT), ("consecutive", "x"), ("version", "1"), ("version", "2"), ("y", "z"))
    assert [problem.partition(":")[0] for problem in body["problems"]] == ["consecutive", "version", "y"]
    assert body["problems"][1] == "version: given twice; only select may be"


async def test_ready_and_not_ready_have_one_form() -> None:
    seen = Remembered(CHAT, FRAUD)
    seen.run(CHAT, times=3)
    seen.run(FRAUD, times=2)
    status, body = await ask(seen)
    assert (status, body["ready"], body["targets"]) == (503, False, 2)
    assert body["blocking"] == [
        {"target": "fraud", "state": "healthy", "reason": None, "detail": "", "have": 2, "want": 3, "version": None,
         "hint": None}
    ]  # fmt: skip
    assert await ask(seen, ("consecutive", "2")) == (200, {"ready": True, "targets": 2, "blocking": []})
    assert await ask(seen, ("select", "team=chat")) == (200, {"ready": True, "targets": 1, "blocking": []})


async def test_the_body_is_that_of_the_command() -> None:
    seen = Remembered(CHAT, FRAUD)
    unread = [target("gateway")]
    _, body = await ask(seen, ("min_addresses", "2"), unread=unread)
    verdict = seen.verdict(unread=unread, consecutive=3, min_addresses=2)
    assert body == verdict.as_json()
    assert len(body["blocking"]) == 5


async def test_since_cuts_older_runs() -> None:
    seen = Remembered(CHAT)
    seen.run(CHAT, times=4)
    began = [START + number * STEP for number in range(4)]
    found = [(await ask(seen, ("since", str(since))))[0] for since in (began[0], began[1], began[1] + 0.1)]
    assert found == [200, 200, 503]


async def test_a_selection_that_nothing_fits_is_a_wrong_question() -> None:
    seen = Remembered(CHAT, FRAUD)
    status, body = await ask(seen, ("select", "team=chta"), ("select", "stage=x"))
    assert (status, body["ready"]) == (400, False)
    assert body["problems"] == [
        "select: no target is selected", "team: known are chat, risk", "stage: no target has this",
    ]  # fmt: skip


async def test_what_is_still_to_be_found_is_waited_for() -> None:
    unread = [target("gateway", labels={"team": "chat"})]
    assert (await ask(Remembered(), ("select", "team=chat"), unread=unread))[0] == 503
    assert (await ask(Remembered(), ("select", "team=risk"), unread=unread))[0] == 400


async def test_a_golden_set_that_nobody_has_is_a_wrong_question() -> None:
    seen = Remembered(CHAT)
    seen.run(CHAT, times=3)
    status, body = await ask(seen, ("evaluate", "true"))
    assert (status, body["problems"]) == (400, ["no target that is selected has a probe of kind evaluate"])
    assert (await ask(seen, ("evaluate", "false")))[0] == 200


async def test_who_still_tells_another_version_is_asked_again_and_not_too_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metadata, infer = job(Kind.METADATA), job(Kind.INFER)
    seen = Remembered(metadata, infer)
    seen.run(metadata, version="1")
    seen.run(infer, times=3)
    asked: list[tuple[str, str]] = []

    async def records() -> AsyncIterator[TargetRecord]:
        for record in seen.ledger:
            yield record

    async def gate(version: str, later: float) -> int:
        monkeypatch.setattr("time.time", lambda: START + later)
        return (await answer([("version", version)], records(), ask=lambda *probe: asked.append(probe)))[0]

    assert await gate("1", 60.0) == 200
    assert await gate("2", 4.0) == 503
    assert asked == []
    assert await gate("2", 6.0) == 503
    assert asked == [("a", "metadata")]
