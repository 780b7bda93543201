"""What `expect` and `capability` become: bounds the runner compares, and jobs that do not speak for their target."""

from typing import Any

import pytest

from exporter.model.job import Within
from tests.config.make import jobs


def job(**probe: Any) -> Any:
    return jobs({"name": "t", "protocol": "openai", "model": "m", "probes": {"p": {"kind": "infer", **probe}}})[
        "t", "p"
    ]


@pytest.mark.parametrize(
    ("protocol", "kind", "more", "ttft"),
    [
        ("http", "health", {}, False),
        ("http", "stream", {}, True),
        ("openai", "infer", {}, False),
        ("openai", "infer", {"api": "embeddings"}, False),
        ("openai", "infer", {"api": "rerank", "query": "a", "texts": ["b"]}, False),
        ("openai", "stream", {}, True),
        ("anthropic", "stream", {}, True),
        ("ollama", "infer", {"api": "embed"}, False),
        ("ollama", "stream", {}, True),
        ("tgi", "stream", {}, True),
        ("tei", "infer", {}, False),
        ("infinity", "infer", {}, False),
        ("open_inference", "infer", {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}, False),
        ("triton", "stream", {"prompt": "a"}, True),
        ("mlflow", "infer", {"instances": [[1]]}, False),
        ("kserve_v1", "infer", {"instances": [[1]]}, False),
        ("tf_serving", "infer", {"instances": [[1]]}, False),
        ("seldon", "infer", {"ndarray": [[1]]}, False),
        ("torchserve", "infer", {"body": "a"}, False),
        ("sagemaker", "stream", {"body": "a"}, True),
        ("bentoml", "infer", {"path": "/a", "body": {}}, False),
        ("litserve", "stream", {"body": {}}, True),
        ("ray_serve", "infer", {"body": {}}, False),
    ],
)
def test_every_answer_may_have_to_be_quick(protocol: str, kind: str, more: dict[str, Any], ttft: bool) -> None:
    expect = {"duration": "2s", **({"ttft": "500ms"} if ttft else {})}
    probe = {"kind": kind, "expect": expect, **more}
    made = jobs({"name": "t", "protocol": protocol, "model": "m", "probes": {"p": probe}})["t", "p"]
    assert made.within == Within(2.0, 0.5 if ttft else None)


def test_without_bounds_any_time_will_do() -> None:
    assert job().within is None
    assert job(expect={"text": "a"}).within is None


def test_a_probe_of_a_capability_does_not_speak_for_its_target() -> None:
    canary, other = job(), job(capability="tools")
    assert (canary.canary, canary.capability) == (True, "")
    assert (other.canary, other.capability) == (False, "tools")
    assert canary.load is not None
    assert other.load is None
    assert not other.drift
    assert canary.fingerprint != other.fingerprint != job(capability="json_schema").fingerprint


def test_a_capability_is_asked_for_rarely_unless_it_is_said_otherwise() -> None:
    assert job(capability="tools").schedule.interval == 3600.0
    assert job(capability="tools", interval="5m").schedule.interval == 300.0
    assert job().schedule.interval == 60.0
    probes = {"p": {"kind": "infer", "capability": "tools"}, "q": {"kind": "infer"}}
    target = {"name": "t", "protocol": "openai", "model": "m", "probes": probes}
    made = jobs(target, defaults={"interval": "20s"})
    assert [made["t", name].schedule.interval for name in ("p", "q")] == [3600.0, 20.0]
