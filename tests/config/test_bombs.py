"""Configs that are written to harm: what aliases stand for, what tags would run, more than can be watched."""

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from exporter.config import web_file
from exporter.config.check import MAX_TARGETS
from tests.config import wrong
from tests.config.make import problems

pytestmark = pytest.mark.slow

#: Of a text, in the bombs whose values are few and long.
LONG = "x" * 100_000
PROBE = (
    "targets:\n  - {{name: t, url: 'http://h', protocol: http, probes: {{health: {{method: POST, body: {body}}}}}}}\n"
)


def levels(first: str, each: Callable[[str], str], count: int = 10) -> str:
    """`count` lines, each of which holds the one before it ten times."""
    names = "abcdefghij"[:count]
    lines = [f"a: &a {first}"] + [f"{name}: &{name} {each(f'*{below}')}" for below, name in pairwise(names)]
    return "\n".join(lines) + f"\ntargets: *{names[-1]}\n"


BOMBS = {
    "lists of lists": levels("[x, x, x, x, x, x, x, x, x, x]", lambda below: f"[{', '.join([below] * 10)}]"),
    "mappings of mappings": levels("{x: 1}", lambda below: f"{{{', '.join(f'k{n}: {below}' for n in range(10))}}}"),
    "merged mappings": levels("{x: 1}", lambda below: f"{{{', '.join(f'k{n}: {{<<: {below}}}' for n in range(10))}}}"),
    "many times at once": PROBE.format(body="[&x [" + "0, " * 2000 + "], " + "*x, " * 2000 + "]"),
    "a long text": PROBE.format(body=f"[&x {LONG}, {'*x, ' * 2000}]"),
    "a long key": PROBE.format(body=f"[&x {{'{'k' * 1000}': 1}}, {'*x, ' * 200_000}]"),
    "a long text in lists": levels(f"[{LONG}]", lambda below: f"[{', '.join([below] * 10)}]", 5),
}
#: What refusing each may take: bytes beyond what the process had, and CPU over what PyYAML's fastest loader takes for
#: half a megabyte of plain targets (a third of a second where little else runs). Measured: up to 3 MB, 0.05.
MEMORY, RATIO = 50_000_000, 1.5

MEASURE = """
import gc, json, re, sys, time, yaml
from pathlib import Path
from exporter.config import loader

def peak():  # of this program alone: what getrusage tells begins with the peak of the one that started it
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

def took(call):
    began = time.process_time()
    told = []
    try:
        call()
    except loader.ConfigError as error:
        told = [str(problem) for problem in error.problems]
    return time.process_time() - began, told

paths = [Path(path) for path in sys.argv[1:]]
plain = paths.pop(0).read_text()
loader.load_values({"targets": [{"url": "http://h", "protocol": "http"}]}, name="first")
found = {}
for path in paths:
    gc.collect()
    before = peak()
    rounds = [took(lambda: loader.load([path])) for _ in range(3)]
    found[path.stem] = peak() - before, min(rounds)[0], rounds[0][1]
yardstick = min(took(lambda: yaml.load(plain, Loader=yaml.CSafeLoader))[0] for _ in range(3))
print(json.dumps({name: (memory, used / yardstick, told) for name, (memory, used, told) in found.items()}))
"""


class Cost(NamedTuple):
    memory: int
    ratio: float
    told: list[str]


def test_aliases_are_refused_before_they_cost_anything(tmp_path: Path) -> None:
    plain = tmp_path / "plain.yml"
    plain.write_text("targets:\n" + "  - {name: t, url: 'http://h', labels: {team: risk}}\n" * 10_000)
    for name, text in BOMBS.items():
        (tmp_path / f"{name}.yml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, plain, *(tmp_path / f"{name}.yml" for name in BOMBS)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = {name: Cost(*cost) for name, cost in json.loads(done.stdout).items()}
    for name, cost in found.items():
        print(f"{name}: {cost.memory / 1e6:.1f} MB, {cost.ratio:.2f}, {cost.told[0][-120:]}")
    assert set(found) == set(BOMBS)
    for name, cost in found.items():
        assert "aliases stand for more than the limit of 1000000 values" in cost.told[-1], name
        assert sum(map(len, cost.told)) < 1000, name
        assert cost.memory < MEMORY, name
        assert cost.ratio < RATIO, name


TAGS = {
    "a call": "!!python/object/apply:os.system ['touch {marker}']",
    "another call": "!!python/object/apply:subprocess.check_call [[touch, {marker}]]",
    "an object": "!!python/object/new:os.system ['touch {marker}']",
    "the whole name": "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {marker}']",
    "a name": "!!python/name:os.system ''",
    "a module": "!!python/module:os ''",
    "one's own": "!touch {marker}",
}


@pytest.mark.parametrize("tag", TAGS.values(), ids=list(TAGS))
@pytest.mark.parametrize("place", ["targets: {}\n", "targets:\n  - url: {}\n", "targets: []\n? {}\n: 1\n", "{}\n"])
def test_a_tag_runs_nothing(tag: str, place: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "config.yaml"
    path.write_text(place.format(tag.format(marker=marker)))
    told = problems(tmp_path, path.read_text())
    assert "tag" in told[-1] or "stands as a key" in told[-1]
    assert "tag" in (text := wrong.told(web_file.load, path)) or "stands as a key" in text
    assert not marker.exists()


def test_those_tags_would_run(tmp_path: Path) -> None:
    """With the loader that nobody should use."""
    for tag in list(TAGS.values())[:4]:
        marker = tmp_path / "marker"
        yaml.unsafe_load(tag.format(marker=marker))
        marker.unlink()


def test_more_targets_than_can_be_watched(tmp_path: Path) -> None:
    """They are not looked at, the rest is."""
    text = "targets:\n" + "- url: http://h\n" * (MAX_TARGETS + 1) + "limits: {concurrency: 0}\n"
    assert problems(tmp_path, text) == [
        f"2:1: targets: found {MAX_TARGETS + 1} targets, above the limit of {MAX_TARGETS}",
        f"{MAX_TARGETS + 3}:23: limits.concurrency: found 0; allowed: an integer >= 1",
    ]
