"""Relabelling is Prometheus's: by its documentation, and by its own promtool."""

import json
import random
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from exporter.discovery.relabel import Action, Rule, expand, relabel

LABELS = {"__address__": "10.0.0.1:8000", "__meta_zone": "eu", "team": "chat", "app": "Llama"}


def after(*rules: Rule, **labels: str) -> dict[str, str] | None:
    return relabel({**LABELS, **labels}, rules)


def changed(*rules: Rule, **labels: str) -> dict[str, str | None]:
    """What is other than before; None for a label that is gone."""
    before, found = {**LABELS, **labels}, after(*rules, **labels)
    assert found is not None
    return {name: found.get(name) for name in before.keys() | found.keys() if before.get(name) != found.get(name)}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(source_labels=("team",), target_label="t"), {"t": "chat"}),
        (Rule(source_labels=("team", "app"), target_label="t"), {"t": "chat;Llama"}),
        (Rule(source_labels=("team", "none"), separator="", target_label="t"), {"t": "chat"}),
        (Rule(source_labels=("team",), regex="ch", target_label="t"), {}),  # the whole must match
        (Rule(source_labels=("__address__",), regex="(.+):(\\d+)", target_label="p", replacement="$2"), {"p": "8000"}),
        (Rule(source_labels=("team",), regex="(c)(.*)", target_label="l_$1", replacement="${2}"), {"l_c": "hat"}),
        (Rule(source_labels=("team",), regex="(?P<x>.).*", target_label="t", replacement="$x$$"), {"t": "c$"}),
        (Rule(source_labels=("team",), target_label="bad name $1"), {}),
        (Rule(target_label="fixed", replacement="value"), {"fixed": "value"}),
        (Rule(target_label="team", replacement=""), {"team": None}),
        (Rule("lowercase", ("app",), target_label="app"), {"app": "llama"}),
        (Rule("uppercase", ("team",), target_label="u"), {"u": "CHAT"}),
        (Rule("labelmap", regex="__meta_(.+)"), {"zone": "eu"}),
        (Rule("labelmap", regex="__meta_(.+)", replacement="x_$1"), {"x_zone": "eu"}),
        (Rule("labeldrop", regex="team|app"), {"team": None, "app": None}),
        (Rule("labelkeep", regex="__.*|team"), {"app": None}),
    ],
    ids=lambda value: "" if isinstance(value, dict) else f"{value.action}-{value.regex}",
)
def test_labels_change(rule: Rule, expected: dict[str, str | None]) -> None:
    assert changed(rule) == expected


@pytest.mark.parametrize(
    ("rule", "stays"),
    [
        (Rule("keep", ("team",), regex="chat"), True),
        (Rule("keep", ("team",), regex="cha"), False),
        (Rule("keep", ("none",), regex=""), True),
        (Rule("drop", ("team",), regex="ch.*"), False),
        (Rule("drop", ("team",), regex="x"), True),
        (Rule("keepequal", ("team",), target_label="app"), False),
        (Rule("dropequal", ("team",), target_label="app"), True),
        (Rule("keepequal", ("none",), target_label="other"), True),
    ],
    ids=lambda value: str(value) if isinstance(value, bool) else value.action,
)
def test_the_whole_stays_or_goes(rule: Rule, stays: bool) -> None:
    assert (after(rule) is not None) == stays


def test_steps_see_what_those_before_them_did() -> None:
    rules = (Rule(source_labels=("team",), target_label="t"), Rule("keep", ("t",), regex="chat"))
    assert after(*rules) == {**LABELS, "t": "chat"}
    assert after(*rules, team="risk") is None


def test_a_hash_is_as_prometheus_makes_it() -> None:
    assert changed(Rule("hashmod", ("team",), target_label="h", modulus=1000), team="x")["h"] == "726"


def test_a_text_with_lines_is_matched_whole() -> None:
    assert changed(Rule(source_labels=("team",), target_label="t"), team="a\nb")["t"] == "a\nb"


def test_an_unknown_group_is_empty() -> None:
    assert expand("a$1b ${7}c $1", {"1": "x"}) == "a c x"


def test_a_pattern_that_takes_too_long_is_stopped() -> None:
    with pytest.raises(TimeoutError):
        after(Rule("keep", ("team",), regex="(a|a|aa|aaa)+b"), team="a" * 4000)


def _random_rule(dice: random.Random) -> dict[str, Any]:
    action = dice.choice(get_args(Action))
    names = ["team", "app", "__meta_filepath", "__address__", "none", "zone"]
    rule: dict[str, Any] = {"action": action}
    if action not in ("labelmap", "labeldrop", "labelkeep"):
        rule["source_labels"] = dice.choices(names, k=dice.randint(0, 3))
    if action in ("replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"):
        rule["target_label"] = dice.choice(["team", "t", "app", "x_$1" if action == "replace" else "x"])
    if action in ("replace", "keep", "drop"):
        rule["regex"] = dice.choice(["(.*)", "(a.*)", "([^;]*);?(.*)", "(?:x|(a))(.+)", "", "[a-z]+", "(?P<g>.)(.*)"])
    if action in ("labelmap", "labeldrop", "labelkeep"):
        # What promtool itself needs stays.
        rule["regex"] = dice.choice(["(te)(.*)", "zo(ne)", "x_.*", "a.+"]) if action != "labelkeep" else "__.*|job|te.*"
    if action in ("replace", "labelmap"):
        rule["replacement"] = dice.choice(["$1", "${1}", "$2-$1", "a$1b", "$$", "fix", "", "p_${2}_$0"])
        if action == "labelmap":
            rule["replacement"] = dice.choice(["m_$1", "m_${2}", "team"])
    if action not in ("labelmap", "labeldrop", "labelkeep", "keepequal", "dropequal"):
        rule["separator"] = dice.choice([";", "", "--"])
    if action == "hashmod":
        rule["modulus"] = dice.choice([1, 7, 1000, 2**63])
    return rule


GROUPS: list[dict[str, Any]] = [
    {"targets": ["a:1", "b:2"], "labels": {"team": "abc", "app": "Llama-3", "zone": "eu"}},
    {"targets": ["c:3"], "labels": {"team": "x y", "app": "abc"}},
]
#: What a scrape job of Prometheus adds before its rules are applied.
OF_A_JOB = {
    "job": "j", "__scheme__": "http", "__metrics_path__": "/metrics", "__scrape_interval__": "1m",
    "__scrape_timeout__": "10s",
}  # fmt: skip
GIVEN = [{**group["labels"], **OF_A_JOB, "__address__": target} for group in GROUPS for target in group["targets"]]


def as_rule(written: dict[str, Any]) -> Rule:
    return Rule(**{**written, "source_labels": tuple(written.get("source_labels", ()))})


@pytest.mark.slow
def test_promtool_finds_the_same(tmp_path: Path, need: Callable[[str, str], str]) -> None:
    """Chances of rules, each applied to the same targets by Prometheus's own code. (Before version 3 a dot matched no
    end of a line: no value here has one.)"""
    promtool = need("promtool", "apt-get install prometheus")
    dice = random.Random(5)
    cases = [[_random_rule(dice) for _ in range(dice.randint(1, 4))] for _ in range(150)]
    for number, rules in enumerate(cases):
        (tmp_path / f"{number}.json").write_text(json.dumps(GROUPS))
        job = {"job_name": "j", "file_sd_configs": [{"files": [f"{number}.json"]}], "relabel_configs": rules}
        (tmp_path / f"{number}.yml").write_text(yaml.safe_dump({"scrape_configs": [job]}))
    command = [promtool, "check", "service-discovery", "--timeout=1s"]

    def asked(number: int) -> Any:
        done = subprocess.run(
            [*command, f"{number}.yml", "j"], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (cases[number], done.stderr)
        return json.loads(done.stdout)

    with ThreadPoolExecutor(20) as pool:  # each waits for its second
        answers = list(pool.map(asked, range(len(cases))))
    dropped = 0
    for number, (theirs, rules) in enumerate(zip(answers, cases, strict=True)):
        # Its own account of what was discovered shows what rules did to it; what a rule is given stands in our file.
        theirs.sort(key=lambda each: each["discoveredLabels"]["__address__"])
        for given, each in zip(GIVEN, theirs, strict=True):
            ours = relabel({**given, "__meta_filepath": f"{number}.json"}, map(as_rule, rules))
            expected = each.get("labels") or {}
            if not expected:
                dropped += 1
                assert ours is None, (number, rules, given)
                continue
            assert ours is not None, (number, rules, given)
            # A scrape adds the instance, and drops what discovery told.
            ours = {name: value for name, value in ours.items() if not name.startswith("__meta_")}
            assert {**ours, "instance": ours.get("instance", ours["__address__"])} == expected, (number, rules)
    assert 20 < dropped < 400, "some rules drop, and most do not"


def test_the_defaults_are_those_of_prometheus() -> None:
    assert asdict(Rule()) == {
        "action": "replace", "source_labels": (), "separator": ";", "regex": "(.*)", "target_label": "",
        "replacement": "$1", "modulus": 0,
    }  # fmt: skip
    assert re.fullmatch(Rule().regex, "anything")
