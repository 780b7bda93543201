"""Many targets, as a ratio to what PyYAML's fastest loader takes for the same text in the same run."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config import build, loader

pytestmark = pytest.mark.slow

#: Enough for a steady ratio; ten thousand take twice as long, in both.
COUNT = 5_000
#: Load and build together, over yaml.load with CSafeLoader: where targets are alike, and where each has its own inputs.
#: Measured: 1.2 to 1.5, and 1.5 to 2.1.
RATIO = {True: 2.0, False: 2.5}

HEAD = """\
modules:
  chat:
    protocol: openai
    probes: {health: {}, stream: {interval: 1m, prompt: "Say OK.", max_tokens: 16}}
targets:
"""
CHAT = """\
  - {{name: chat-{n}, url: "http://10.0.{high}.{low}:8000", module: chat, model: llama-{n}, labels: {{team: chat}}}}
"""
TENSOR = """\
  - name: fraud-{n}
    url: http://fraud-{n}.models:8080
    protocol: open_inference
    model: fraud
    labels: {{team: risk, tier: "1"}}
    auth: {{bearer: {{env: HOME}}}}
    probes:
      health: {{interval: 5s}}
      ready: {{}}
      metadata: {{}}
      infer:
        interval: 30s
        retry: {{attempts: 3, backoff: 500ms, max_backoff: 5s}}
        inputs: [{{name: x, shape: [1, 4], datatype: FP32, data: [[{own}, 3.5, 1.4, 0.2]]}}]
        expect: {{outputs: [{{name: predict, data: [0], tolerance: 0.001}}]}}
"""


def config(count: int, *, alike: bool = True) -> str:
    """`count` targets, every other one a chat; the tensors sent to the others are the same, or each target's own."""
    return HEAD + "".join(
        (CHAT if n % 2 else TENSOR).format(n=n, high=n // 250, low=n % 250, own=5.1 if alike else n + 0.5)
        for n in range(count)
    )


#: Seconds of CPU, in a process of its own: whoever traces the tests, to count lines, would be measured too. What is
#: imported and compiled once does not count: the first file is small. Each is the best of some rounds, one after the
#: other: what else the machine does makes a round dearer, never cheaper.
MEASURE = """
import gc, json, sys, time, yaml
from pathlib import Path
from exporter.config import build, loader

gc.disable()
small, large = map(Path, sys.argv[1:3])
build.build(loader.load([small]).file)
text = large.read_text()
best = {}

def took(name, call):
    began = time.process_time()
    found = call()
    best[name] = min(best.get(name, 1e9), time.process_time() - began)
    return found

for _ in range(int(sys.argv[3])):
    took("plain", lambda: yaml.load(text, Loader=yaml.CSafeLoader))
    loaded = took("load", lambda: loader.load([large]))
    built = took("build", lambda: build.build(loaded.file))
    gc.collect()
print(json.dumps({**best, "jobs": len(built.jobs), "warnings": len(loaded.warnings)}))
"""
ROUNDS = 3


@pytest.mark.parametrize("alike", [True, False])
def test_loading_is_cheap(tmp_path: Path, alike: bool, record_property: Callable[[str, object], None]) -> None:
    small, large = tmp_path / "small.yaml", tmp_path / "large.yaml"
    small.write_text(HEAD + CHAT.format(n=1, high=0, low=1) + TENSOR.format(n=2, own=5.1))
    large.write_text(config(COUNT, alike=alike))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, small, large, str(ROUNDS)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert (found["jobs"], found["warnings"]) == (COUNT // 2 * 6, 0)
    took = "load {load:.2f}, build {build:.2f}, CSafeLoader {plain:.2f} s of CPU".format(**found)
    print(f"{COUNT} targets, alike: {alike}: {took}")
    record_property("seconds", took)
    assert (found["load"] + found["build"]) / found["plain"] < RATIO[alike]


def test_what_is_packed_for_the_dump_is_small(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(config(500))
    built = build.build(loader.load([path]).file)
    assert sum(map(len, built.packed)) / 500 < 100
    assert build.dump(built).count("\n- name: ") == 500
