"""A whole run: every example has one outcome, and the score stands for all of them or for nothing."""

import asyncio
import json
import math

import pytest

from exporter.evaluation.ask import Progress
from exporter.model.evaluation import Threshold
from exporter.model.failure import Asleep, Failure, Reason
from exporter.model.job import Retry
from exporter.model.observation import Observation, Output
from exporter.model.score import Outcome
from exporter.model.stream import Tokens
from tests.evaluation.make import SECRET, Asking, Server, evaluations, job, refused, rows

pytestmark = pytest.mark.slow


@pytest.fixture
def golden(tmp_path):
    path = tmp_path / "golden.jsonl"
    path.write_text(rows(40))
    return path


async def run(made, questions=None, **given):
    return await evaluations(**given).run(made, questions or Asking())


def off(share):
    """Answers that are wrong for so many of a hundred."""
    return lambda given: given["x"] if given["x"] % 100 >= share else -1


async def test_every_example_is_asked_once_and_scored(golden):
    server = Server()
    seen = await run(job(server, golden))
    assert sorted(server.asked) == list(range(40))
    assert seen.failure is None
    assert seen.score.value == 1.0
    assert seen.score.coverage == 1.0
    assert seen.score.outcomes == {
        Outcome.SCORED: 40, Outcome.UNREADABLE: 0, Outcome.FAILED: 0, Outcome.NOT_ASKED: 0,
    }  # fmt: skip
    assert len(seen.score.dataset) == 64


@pytest.mark.parametrize("in_flight", [1, 4])
async def test_so_many_are_asked_at_once_and_no_more(golden, in_flight):
    server = Server(latency=0.002)
    await run(job(server, golden, in_flight=in_flight))
    assert server.most_at_once == in_flight


async def test_a_score_is_bad_only_when_its_whole_interval_is(golden):
    path = golden
    path.write_text(rows(100))
    server = Server(off(20))
    seen = await run(job(server, path, threshold=Threshold(0.85)))
    assert seen.failure is None  # 0.8, and up to 0.867 it may be
    assert (seen.score.value, seen.score.threshold, seen.score.below) == (0.8, 0.85, False)
    seen = await run(job(server, path, threshold=Threshold(0.9)))
    assert seen.failure.reason is Reason.EXPECTATION
    assert seen.failure.detail == "accuracy is 0.8, its 95 % interval (0.7112 to 0.8666) wholly below 0.9"
    assert seen.score.below


async def test_an_error_is_bad_when_it_is_high(golden):
    made = job(Server(lambda given: given["x"] + 2), golden, scorer="mae", threshold=Threshold(1.0))
    seen = await run(made)
    assert seen.failure.reason is Reason.EXPECTATION
    assert "wholly above 1" in seen.failure.detail
    seen = await run(job(Server(lambda given: given["x"] + 2), golden, scorer="mae", threshold=Threshold(2.0)))
    assert seen.failure is None


async def test_failures_are_asked_again_after_all_others(golden):
    failing = {3: 1, 7: 2}

    def answer(given):
        number = given["x"]
        if failing.get(number):
            failing[number] -= 1
            return refused
        return number

    server = Server(answer)
    seen = await run(job(server, golden))
    assert seen.score.outcomes[Outcome.SCORED] == 40
    assert server.asked[40:] == [3, 7, 7]


@pytest.mark.parametrize(
    ("failure", "retry", "tries"),
    [
        (Failure(Reason.AUTH, "no"), Retry(3, 0.001, 0.001), 1),
        (Failure(Reason.HTTP_STATUS, "no", http_status=422), Retry(3, 0.001, 0.001), 1),
        (Failure(Reason.HTTP_STATUS, "no", http_status=500), Retry(3, 0.001, 0.001), 3),
        (Failure(Reason.TIMEOUT, "late"), Retry(3, 0.001, 0.001), 3),
        (Failure(Reason.TIMEOUT, "late"), Retry(1, 0.001, 0.001), 1),
        (Failure(Reason.OVERLOADED, "busy"), Retry(2, 0.001, 0.001), 2),
        (Failure(Reason.TIMEOUT, "late"), Retry(3, 0.001, 0.001, frozenset({Reason.DNS, 503})), 1),
        (Failure(Reason.HTTP_STATUS, "no", http_status=503), Retry(3, 0.001, 0.001, frozenset({503})), 3),
    ],
)
async def test_what_may_pass_is_asked_again(golden, failure, retry, tries):
    server = Server(lambda given: failure if given["x"] == 5 else given["x"])
    seen = await run(job(server, golden, retry=retry))
    assert server.asked.count(5) == tries
    assert seen.score.outcomes[Outcome.FAILED] == 1
    assert seen.score.value == 1.0


async def test_a_retry_after_is_waited_for(golden):
    asked_at = []

    def answer(given):
        asked_at.append(asyncio.get_running_loop().time())
        return Failure(Reason.RATE_LIMITED, "slowly", retry_after=0.2) if len(asked_at) == 1 else given["x"]

    golden.write_text(rows(2))
    seen = await run(job(Server(answer), golden))
    assert seen.score.outcomes[Outcome.SCORED] == 2
    assert asked_at[2] - asked_at[1] >= 0.19


async def test_a_run_that_covers_too_little_says_nothing(golden):
    server = Server(lambda given: refused if given["x"] >= 37 else -1)
    seen = await run(job(server, golden, threshold=Threshold(0.5)))
    assert seen.failure.reason is Reason.INCONCLUSIVE
    assert seen.failure.detail == (
        "37 of 40 examples were answered, and 0.95 of them have to be: connect_refused 3; first: connection refused"
    )
    assert seen.score.coverage == 37 / 40
    assert seen.score.value is None
    seen = await run(job(server, golden, threshold=Threshold(0.5), min_coverage=0.9))
    assert seen.failure.reason is Reason.EXPECTATION


async def test_an_answer_nobody_can_read_is_none(golden):
    server = Server(lambda given: "many" if given["x"] == 0 else given["x"])
    seen = await run(job(server, golden, scorer="mae"))
    assert seen.score.outcomes[Outcome.UNREADABLE] == 1
    assert seen.score.value == 0.0
    assert server.asked.count(0) == 1


async def test_a_spent_budget_ends_the_run(golden):
    questions = Asking(room=25)
    server = Server()
    seen = await run(job(server, golden, in_flight=3), questions)
    assert len(server.asked) == 25
    assert seen.failure.reason is Reason.INCONCLUSIVE
    assert "not asked 15 (the budget is spent)" in seen.failure.detail
    assert seen.score.outcomes[Outcome.SCORED] == 25
    assert seen.score.examples == 40


async def test_a_retry_that_the_budget_does_not_allow_stays_failed(golden):
    seen = await run(job(Server(lambda given: refused if given["x"] < 2 else given["x"]), golden), Asking(room=41))
    assert seen.score.outcomes[Outcome.FAILED] == 2
    assert seen.score.outcomes[Outcome.NOT_ASKED] == 0
    assert seen.score.value == 1.0  # 38 of 40 is enough


async def test_the_time_of_a_run_ends_it(golden):
    for _ in range(5):  # a machine that stands still may be late for all of it, or have nothing under way at the end
        server = Server(latency=0.02)
        seen = await run(job(server, golden, in_flight=2), Asking(seconds=0.2))
        outcomes = seen.score.outcomes
        if outcomes[Outcome.SCORED] and outcomes[Outcome.FAILED]:
            break
    assert sum(outcomes.values()) == 40
    assert outcomes[Outcome.SCORED] > 0
    assert 0 < outcomes[Outcome.FAILED] <= 2  # what was under way
    assert outcomes[Outcome.NOT_ASKED] > 0
    assert "(the time was over)" in seen.failure.detail


async def test_a_sleeping_model_is_not_woken(golden):
    server = Server(lambda given: Asleep("not loaded"))
    with pytest.raises(Asleep):
        await run(job(server, golden, in_flight=1))
    assert len(server.asked) == 1


async def test_a_bad_data_set_asks_nothing(golden, caplog):
    golden.write_text(rows(3) + '{"id": 9}\n{"id": 9, "input": {}, "expected": 1}\n')
    server = Server()
    questions = Asking()
    seen = await run(job(server, golden), questions)
    assert questions.jobs == []
    assert seen.failure.reason is Reason.INCONCLUSIVE
    assert seen.failure.detail.startswith("data set: golden.jsonl:4: input: required key is missing;")
    assert seen.score.dataset == ""
    assert len(caplog.records) == 4


async def test_each_example_is_a_question_with_its_own_deadline(golden):
    questions = Asking()
    await run(job(Server(), golden), questions)
    assert {(one.schedule.timeout, one.schedule.deadline, one.retry.attempts) for one in questions.jobs} == {
        (5.0, 5.0, 1)
    }
    assert {one.evaluation for one in questions.jobs} == {None}
    assert {one.target.name for one in questions.jobs} == {"fraud"}


async def test_tokens_of_all_examples_are_counted(golden):
    golden.write_text(rows(3))
    answer = Observation(output=Output(text="0"), tokens=Tokens(input=5, output=2))
    seen = await run(job(Server(lambda given: answer), golden))
    assert seen.tokens == Tokens(input=15, output=6)


async def test_the_record_goes_to_whoever_wants_it_and_to_the_file(golden, tmp_path):
    golden.write_text(rows(2, tags=["a"]))
    records, path = [], tmp_path / "out.json"
    path.write_text("old")
    server = Server(lambda given: f"it is {SECRET}" if given["x"] == 0 else given["x"])
    made = job(server, golden, save=str(path), labels={"team": "risk"}, threshold=Threshold(0.1))
    await run(made, on_record=records.append, wall=lambda: 1_700_000_000.0)
    (record,) = records
    assert record.fields["outcomes"] == {"scored": 2, "unreadable": 0, "failed": 0, "not_asked": 0}
    written = json.loads(path.read_text())
    assert written == record.whole()
    assert written["at"] == 1_700_000_000.0
    assert (written["target"], written["model"], written["labels"]) == ("fraud", "fraud-2", {"team": "risk"})
    assert (written["metric"], written["score"], written["threshold"]) == ("accuracy", 0.5, 0.1)
    assert [one["id"] for one in written["examples"]] == ["0", "1"]
    assert written["examples"][0] | {"seconds": 0} == {
        "id": "0", "tags": ["a"], "outcome": "scored", "score": 0.0, "expected": 0, "answer": "it is ***",
        "reason": None, "detail": "", "seconds": 0, "tries": 1,
    }  # fmt: skip
    assert list(tmp_path.glob(".*")) == []


async def test_a_listener_or_a_folder_that_fails_spoils_no_run(golden, caplog, tmp_path):
    def fail(record):
        raise RuntimeError("no")

    seen = await run(job(Server(), golden, save=str(tmp_path / "nowhere" / "out.json")), on_record=fail)
    assert seen.failure is None
    assert "evaluation not written" in caplog.text


async def test_progress_is_told_example_by_example(golden):
    golden.write_text(rows(3))
    told: list[Progress] = []
    await run(job(Server(), golden), on_progress=told.append)
    assert [one.outcomes[Outcome.SCORED] for one in told] == [1, 2, 3]
    assert {one.examples for one in told} == {3}


async def test_cancelling_a_run_leaves_nothing_behind(golden, tmp_path):
    records, path = [], tmp_path / "out.json"
    server = Server(latency=0.01)
    made = job(server, golden, in_flight=4, save=str(path))
    task = asyncio.ensure_future(run(made, on_record=records.append))
    while len(server.asked) < 10:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.at_once == 0
    assert records == []
    assert not path.exists()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_baseline_is_what_a_score_is_held_against(golden, tmp_path):
    golden.write_text(rows(100))
    digest = (await run(job(Server(), golden))).score.dataset
    baseline = tmp_path / "baseline.json"
    made = job(Server(off(20)), golden, threshold=Threshold(drop=0.05, baseline=str(baseline)))

    def keep(**other):
        baseline.write_text(json.dumps({"metric": "accuracy", "score": 0.9, "dataset": digest, **other}))

    keep()
    seen = await run(made)
    assert math.isclose(seen.score.threshold, 0.85)
    assert seen.failure is None
    keep(score=0.95)
    assert (await run(made)).failure.reason is Reason.EXPECTATION
    for other, words in (({"dataset": "0" * 64}, "dataset is 0000"), ({"metric": "f1"}, "metric is f1"),
                         ({"score": "high"}, "is none")):  # fmt: skip
        keep(**other)
        seen = await run(made)
        assert seen.failure.reason is Reason.INCONCLUSIVE
        assert words in seen.failure.detail
        assert seen.score.value is None
    baseline.unlink()
    assert "cannot be read" in (await run(made)).failure.detail


async def test_an_error_may_grow_by_so_much(golden, tmp_path):
    digest = (await run(job(Server(), golden))).score.dataset
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"metric": "mae", "score": 1.0, "dataset": digest}))
    made = job(
        Server(lambda given: given["x"] + 2),
        golden,
        scorer="mae",
        threshold=Threshold(drop=0.5, baseline=str(baseline)),
    )
    seen = await run(made)
    assert seen.score.threshold == 1.5
    assert seen.failure.reason is Reason.EXPECTATION
