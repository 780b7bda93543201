"""Many targets, as a ratio to what PyYAML's fastest loader takes for the same text in the same run."""

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config import build, loader

pytestmark = pytest.mark.slow

#: Enough for a steady ratio; ten thousand take twice as long, in both.
COUNT = 5_000
#: Load and build together, over yaml.load with CSafeLoader: measured 0.9 to 1.4 where targets are alike, 1.4 to 1.6
#: where each has inputs of its own. (Judging and hashing every part of every target anew was 2.1 to 2.2.)
RATIO = 2.0

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


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def cpu(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.process_time()
    return work(), time.process_time() - started


@pytest.mark.parametrize("alike", [True, False])
def test_loading_is_cheap(tmp_path: Path, alike: bool, record_property: Callable[[str, object], None]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(HEAD + CHAT.format(n=1, high=0, low=1) + TENSOR.format(n=2, own=5.1))
    build.build(loader.load([path]).file)  # what is imported and compiled once is not counted
    text = config(COUNT, alike=alike)
    path.write_text(text)
    _, plain = cpu(lambda: yaml.load(text, Loader=yaml.CSafeLoader))
    loaded, load_time = cpu(lambda: loader.load([path]))
    built, build_time = cpu(lambda: build.build(loaded.file))
    assert loaded.warnings == []
    assert len(built.jobs) == COUNT // 2 * 6
    print(f"alike: {alike}: load {load_time:.2f}, build {build_time:.2f}, CSafeLoader {plain:.2f} s of CPU")
    record_property("seconds", f"load {load_time:.2f}, build {build_time:.2f}, CSafeLoader {plain:.2f}")
    assert (load_time + build_time) / plain < RATIO


def test_what_is_packed_for_the_dump_is_small(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(config(500))
    built = build.build(loader.load([path]).file)
    assert sum(map(len, built.packed)) / 500 < 100
    assert build.dump(built).count("\n- name: ") == 500
