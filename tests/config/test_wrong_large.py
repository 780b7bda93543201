"""Large files with mistakes, however many and wherever: what it costs to refuse them, as a ratio to what PyYAML's
fastest loader takes for the same text in the same run.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config import loader
from exporter.config.check import MAX_TARGETS
from exporter.config.problems import MOST
from tests.config.make import problems

pytestmark = pytest.mark.slow

#: Of text; a megabyte takes four times as long, in both.
SIZE = 250_000
#: To refuse a file, over yaml.load with CSafeLoader. To load a good one takes up to 1.5 (test_large.py); then it is
#: read again for the places, and where something was left out, judged again. Measured: 0.9 to 3.1.
RATIO = 4.0

TARGET = "  - {{name: t{n}, url: 'http://10.0.0.1:8000/{n}', protocol: http, labels: {{team: risk}}}}\n"
BLOCK = """\
  - name: t{n}
    url: http://t{n}.models:8080
    protocol: open_inference
    model: fraud
    probes:
      health: {{interval: 5s}}
      infer:
        retry: {{attempts: 3, backoff: 500ms}}
        inputs: [{{name: x, shape: [1, 4], datatype: FP32, data: [[{n}.5, 3.5, 1.4, 0.2]]}}]
"""
LISTED = "  - {{name: d{n}, file: {{path: /tmp/{n}.json}}, labels: {{team: risk}}}}\n"
MODULE = "  m{n}: {{protocol: http, labels: {{team: risk}}}}\n"
BODY = f"[[{', '.join(f'{n}.25' for n in range(4000))}]]"
LARGE = (
    f"  - {{{{name: t{{n}}, url: 'http://t{{n}}', protocol: open_inference, model: m, probes: {{{{infer: {{{{inputs: "
    f"[{{{{name: x, shape: [1, 4000], datatype: FP32, data: {BODY}}}}}]}}}}}}}}}}}}\n"
)


def many(line: str, size: int = SIZE) -> str:
    """As many as there is room for."""
    return "".join(line.format(n=n) for n in range(size // len(line.format(n=1000))))


#: Each is wrong in its way: once, or in every entry.
KINDS = {
    "a key of the last target": f"targets:\n{many(TARGET)}  - {{name: last, url: 'http://h', intervall: 5s}}\n",
    "a key of the last target's probe": f"targets:\n{many(BLOCK)}        expcet: {{}}\n",
    "a key at the top": f"targets:\n{many(TARGET)}defualts: {{}}\n",
    "the end": f"targets:\n{many(TARGET)}  - {{name: last",
    "a key of every target": f"targets:\n{many(TARGET.replace('labels', 'lables'))}",
    "another key of every target": f"targets:\n{many(TARGET.replace('labels', 'label{n}'))}",
    "the url of every target": f"targets:\n{many(TARGET.replace('http:', 'htp:'))}",
    "two values of every target": f"targets:\n{many(BLOCK.replace('3,', '0,').replace('FP32', 'FP33'))}",
    "a number of every target": f"targets:\n{many(TARGET.replace('team: risk', 'team: 0200'))}",
    "a key twice in every target": f"targets:\n{many(TARGET.replace('protocol', 'name'))}",
    "more than can be watched": "targets:\n" + "- {}\n" * (MAX_TARGETS + 1),
    "the name of every target": f"targets:\n{many(TARGET.replace('name: t{n}', 'name: t'))}",
    "the protocol of every target": f"targets:\n{many(TARGET.replace('protocol: http', 'protocol: htt{n}'))}",
    "a value of every entry": f"discovery:\n{many(LISTED.replace('/tmp/{n}.json', '7'))}",
    "a key of every entry": f"discovery:\n{many(LISTED.replace('labels', 'lables'))}",
    "modules nobody has": f"modules:\n{many(MODULE, SIZE // 2)}targets:\n"
    + many(TARGET.replace("protocol: http", "module: n{n}"), SIZE // 2),
    "large bodies": f"targets:\n{many(LARGE)}  - {{naem: t}}\n",
    "JSON": json.dumps({"targets": [{"name": f"t{n}", "url": f"http://h/{n}", "lables": {}} for n in range(4500)]}),
    "aliases": "base: &b {protocol: http, labels: {team: risk}}\ntargets:\n"
    + many("  - {{<<: *b, name: t{n}, url: 'http://10.0.0.1:8000/{n}/{n}/{n}'}}\n"),
    "another file": many("key-{n}: of something else\n"),
}

#: Seconds of CPU, as test_large.py measures them.
MEASURE = """
import gc, json, sys, time, yaml
from pathlib import Path
from exporter.config import loader

gc.disable()
found = {}
told = []

def took(call):
    global told
    began = time.process_time()
    try:
        call()
    except yaml.YAMLError:
        pass
    except loader.ConfigError as error:
        told = error.problems
    return time.process_time() - began

paths = [Path(path) for path in sys.argv[3:]]
for path in paths[:1] + paths:  # what is imported at the first does not count
    text = path.read_text()
    rounds = []
    while len(rounds) < int(sys.argv[1]):
        rounds.append((took(lambda: yaml.load(text, Loader=yaml.CSafeLoader)), took(lambda: loader.load([path]))))
        if rounds[-1][1] < rounds[-1][0] * float(sys.argv[2]):
            break  # what else the machine does makes a round dearer, never cheaper
    places = [(problem.line, problem.column) for problem in told if problem.line]
    found[path.stem] = (
        min(plain for plain, _ in rounds), min(load for _, load in rounds),
        len(told), places == sorted(places), sum(map(len, map(str, told))),
    )
    gc.collect()
print(json.dumps(found))
"""
ROUNDS = 5


def test_a_large_wrong_file_is_refused_soon(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    for kind, text in KINDS.items():
        (tmp_path / f"{kind}.yml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(ROUNDS), str(RATIO), *(tmp_path / f"{kind}.yml" for kind in KINDS)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, tuple[float, float, int, bool, int]] = json.loads(done.stdout)
    ratios = {kind: load / plain for kind, (plain, load, *_) in found.items()}
    for kind, (_, load, count, in_order, length) in found.items():
        print(f"{kind}: {count} problems, {load:.3f} s, {ratios[kind]:.2f}")
        assert 1 <= count <= MOST + 1, kind
        assert in_order, kind
        assert length < 2_000_000, kind
    record_property("ratios", ratios)
    assert max(ratios.values()) < RATIO, ratios


def test_very_many_problems_are_told_to_be_more(tmp_path: Path) -> None:
    line = "  - {url: 'ftp://h'}\n"
    assert len(problems(tmp_path, "targets:\n" + line * MOST)) == MOST
    told = problems(tmp_path, "targets:\n" + line * (MOST + 1))
    assert len(told) == MOST + 1
    assert told[0].startswith("2:11: targets[0].url: the scheme ftp is unknown")
    assert told[-1].strip() == f"more than {MOST} problems; these are the first found, and looking ended there"


def test_they_are_told_of_all_files_together(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yml", tmp_path / "two.yml"
    one.write_text("targets:\n" + "  - {url: 'ftp://h'}\n" * (MOST + 1))
    two.write_text("modules: {m: {protocol: htpp}}\n")
    with pytest.raises(loader.ConfigError) as caught:
        loader.load([one, two])
    assert len(caught.value.problems) == MOST + 1
