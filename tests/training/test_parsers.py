"""The operator's own patterns, and lines that tell the end."""

import time

import pytest

from exporter.model.training import Outcome, Reading
from exporter.training.parsers import parser


@pytest.mark.parametrize(
    ("regex", "line", "expected"),
    [
        (r"loss (?P<loss>\S+)", "at 3: loss 0.25", Reading(values=(("loss", 0.25),))),
        (r"loss (?P<loss>\S+)", "loss unknown", None),
        (r"loss (?P<loss>\S+)", "nothing", None),
        (r"it=(?P<step>\d+)(?: lr=(?P<lr>\S+))?", "it=7", Reading(step=7)),
        (r"(?P<step>\d+) of (?P<steps>\d+)", "10 of 40", Reading(step=10, progress=0.25)),
        (r"e(?P<epoch>[\d.]+)/(?P<epochs>\d+)", "e1.5/3", Reading(epoch=1.5, progress=0.5)),
        (r"e(?P<epoch>\d+)/(?P<epochs>\d+) s(?P<step>\d+)/(?P<steps>\d+)", "e2/4 s5/10",
            Reading(step=5, epoch=2.0, progress=0.375)),
        (r"(?P<progress>[\d.]+)%? done", "50% done", Reading(progress=0.5)),
        (r"(?P<progress>[\d.]+) done", "0.5 done", Reading(progress=0.5)),
        (r"(?P<progress>\S+) done", "nan done", None),
        (r"(?P<step>\S+) (?P<loss>\S+)", "inf nan", None),
        (r"(?P<name>\w+)=(?P<value>\S+)", "a=1 b=2.5 c=x", Reading(values=(("a", 1.0), ("b", 2.5)))),
        (r"acc (?P<acc>[\d.]+%)", "acc 95.5%", Reading(values=(("acc", 95.5),))),
        (r"(?P<loss>\d*)", "no digit", None),
    ],
)  # fmt: skip
def test_named_groups(regex: str, line: str, expected: Reading | None) -> None:
    found = parser(regex=regex)(line)
    if "nan" in line and "inf" in line:
        assert found is not None
        assert (found.step, [name for name, _ in found.values]) == (None, ["loss"])
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "exactly one of preset and regex"),
        ({"preset": "plain", "regex": "(?P<a>.)"}, "exactly one of preset and regex"),
        ({"preset": "torch"}, "unknown preset 'torch'; there are huggingface, json, keras, "),
        ({"regex": "loss (.*)"}, "no named group; a value is a group of its name, such as (?P<loss>\\S+)"),
        ({"regex": "(?P<a"}, "'(?P<a' is not a regular expression: missing >, unterminated name at position 4"),
        ({"regex": "(?P<name>a)"}, "only one of the groups name and value"),
        ({"preset": "plain", "ends": {Outcome.FAILED: "a("}}, "'a(' is not a regular expression"),
    ],
)
def test_what_cannot_be_used(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the words are looked at below
        parser(**wrong)  # type: ignore[arg-type]
    assert words in str(error.value)


def test_lines_that_tell_the_end() -> None:
    ends = {Outcome.FINISHED: "^all done", Outcome.FAILED: "CUDA error|gave up", Outcome.KILLED: "preempted"}
    parse = parser("plain", ends=ends)
    traceback = "Traceback (most recent call last):"
    lines = ["all done, loss: 0.5", "not all done", "worker gave up", "node preempted", traceback]
    assert [parse(line) for line in lines] == [
        Reading(values=(("loss", 0.5),), outcome=Outcome.FINISHED),
        None,
        Reading(outcome=Outcome.FAILED),
        Reading(outcome=Outcome.KILLED),
        None,  # the operator's rule stands in the place of ours
    ]


def test_what_the_preset_knows_of_a_good_end_stays() -> None:
    parse = parser("lightning", ends={Outcome.FINISHED: "saved the model"})
    assert parse("`Trainer.fit` stopped: `max_epochs=3` reached.") == Reading(outcome=Outcome.FINISHED)
    assert parse("saved the model") == Reading(outcome=Outcome.FINISHED)
    assert parse("Traceback (most recent call last):") == Reading(outcome=Outcome.FAILED)


def test_a_pattern_that_explodes_takes_its_share_and_no_more() -> None:
    explosive = "(a|aa)+$"
    line = "a" * 60 + "b"
    for parse in (parser(regex=f"(?P<x>{explosive})"), parser("plain", ends={Outcome.FAILED: explosive})):
        began = time.process_time()
        with pytest.raises(TimeoutError):
            parse(line)
        assert time.process_time() - began < 1.0, "by itself it would take years"
        assert parse("nothing here") is None
