"""Where answers are scored: on the loop, in another process, by a program."""

import asyncio
import os
import sys

import pytest

from exporter.evaluation.answers import Unreadable
from exporter.evaluation.dataset import Example
from exporter.evaluation.judge import Judge
from exporter.model.evaluation import Scoring
from exporter.model.observation import Output

pytestmark = pytest.mark.slow

#: A program that scores by how long an answer is, and can be told to do worse.
PROGRAM = """
import json, os, sys, time
for line in sys.stdin:
    given = json.loads(line)
    said = given["answer"]
    if said == "die":
        os._exit(1)
    if said == "hang":
        time.sleep(60)
    if said == "long":
        print("1" * 2_000_000, flush=True)
    elif said == "noise":
        print("nothing", flush=True)
    elif said == "text":
        print('{"score": "high"}', flush=True)
    elif said == "pid":
        print(os.getpid(), flush=True)
    else:
        print(json.dumps({"score": len(said) / len(given["expected"]), "why": given["id"]}), flush=True)
"""


def example(expected="12345678", name="a"):
    return Example(1, name, {"prompt": "?"}, expected)


@pytest.fixture
async def judge(tmp_path):
    made = []

    def make(scorer="accuracy", **more):
        made.append(Judge(Scoring(scorer, **more)))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.fixture
def program(tmp_path, judge):
    path = tmp_path / "score.py"
    path.write_text(PROGRAM)
    return judge("command", command=(sys.executable, str(path)))


async def test_a_quick_scorer_stays_where_it_is(judge):
    quick = judge()
    assert (await quick.mark(Output(text="yes"), example("yes"))).mark == 1.0
    assert not quick.slow
    assert quick._pool is None


async def test_a_slow_scorer_goes_to_another_process(judge):
    slow = judge("regex")
    # A regular expression may take 20 ms of CPU, and then has taken too long.
    text, pattern = Output(text="a" * 60_000 + "b"), example("(a|a)+$")
    with pytest.raises(Unreadable, match="takes too long"):
        await slow.mark(text, pattern)
    assert slow.slow
    seen = await slow.mark(Output(text="b"), example("b"))
    assert seen.mark == 1.0
    assert slow._pool is not None
    with pytest.raises(Unreadable, match="takes too long"):
        await slow.mark(text, pattern)


async def test_a_long_answer_is_scored_elsewhere_from_the_beginning(judge):
    made = judge("exact_match")
    text = "a" * 100_000
    assert (await made.mark(Output(text=text), example(text))).mark == 1.0
    assert made._pool is not None
    assert not made.slow


async def test_an_interval_by_bootstrap_is_worked_out_elsewhere(judge):
    made = judge("f1")
    total = await made.total([("a", "a"), ("b", "a"), ("b", "b")] * 10)
    assert 0.0 < total.interval[0] < total.value < total.interval[1] <= 1.0
    assert made._pool is not None


async def test_a_process_that_was_killed_is_replaced(judge):
    made = judge("exact_match")
    text = "a" * 100_000
    await made.mark(Output(text=text), example(text))
    for process in made._pool._processes.values():
        process.kill()
        process.join()
    with pytest.raises(Unreadable, match="ended from outside"):
        await made.mark(Output(text=text), example(text))
    assert (await made.mark(Output(text=text), example(text))).mark == 1.0


async def test_a_program_scores(program):
    marked = await program.mark(Output(text="1234"), example())
    assert (marked.mark, marked.beginning) == (0.5, "1234")
    # One process for all of them, asked one after the other.
    found = await asyncio.gather(*(program.mark(Output(text="pid"), example(name=str(number))) for number in range(5)))
    assert len({marked.mark for marked in found}) == 1
    total = await program.total([0.5, 1.0, 0.25])
    assert total.value == pytest.approx(0.5833, abs=1e-4)
    assert (await program.total([1.0, 0.0, 1.0])).interval == pytest.approx((0.2077, 0.9385), abs=1e-4)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("die", "ended without an answer"), ("hang", "did not answer within 0.5 s"), ("long", "longer than"),
        ("noise", "not JSON"), ("text", "neither a number"),
    ],
)  # fmt: skip
async def test_a_program_that_fails_is_started_again(program, said, words, monkeypatch):
    before = (await program.mark(Output(text="pid"), example())).mark
    monkeypatch.setattr("exporter.evaluation.command.PATIENCE", 0.5)
    with pytest.raises(Unreadable, match=words):
        await program.mark(Output(text=said), example())
    monkeypatch.setattr("exporter.evaluation.command.PATIENCE", 10.0)
    assert not alive(int(before))
    after = (await program.mark(Output(text="pid"), example())).mark
    assert after != before
    await program.close()
    assert not alive(int(after))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_program_that_never_works_is_given_up(judge):
    made = judge("command", command=("/nowhere/score",))
    for _ in range(3):
        with pytest.raises(Unreadable, match="cannot be started: No such file"):
            await made.mark(Output(text="a"), example())
    with pytest.raises(Unreadable, match="failed 3 times in a row"):
        await made.mark(Output(text="a"), example())


async def test_an_example_that_is_too_long_is_not_sent(program):
    with pytest.raises(Unreadable, match="longer than 1000000 bytes"):
        await program.mark(Output(text="a" * 1_000_001), example())
    assert (await program.mark(Output(text="1234"), example())).mark == 0.5


async def test_a_cancelled_example_takes_no_later_answer(program):
    await program.mark(Output(text="1234"), example())
    task = asyncio.ensure_future(program.mark(Output(text="hang"), example()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await program.mark(Output(text="12"), example())).mark == 0.25
