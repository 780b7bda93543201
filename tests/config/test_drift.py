"""Which canaries are watched for drift."""

from typing import Any

import pytest

from exporter.config.on_demand import jobs_for_url

TENSOR = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}]}


def drift(protocol: str, probe: str, **settings: Any) -> bool:
    (job,) = jobs_for_url("http://127.0.0.1:9", protocol, "m", [probe], {"probes": {probe: settings}})
    return job.drift


@pytest.mark.parametrize(
    ("protocol", "probe", "settings", "watched"),
    [
        ("openai", "infer", {}, False),  # the prompt is another each time
        ("openai", "infer", {"cache": "warm"}, True),
        ("openai", "stream", {"cache": "warm"}, True),
        ("openai", "stream", {"seed": 1}, True),
        ("openai", "stream", {"seed": 1, "cache": "bypass"}, False),
        ("openai", "stream", {"temperature": 0.7, "cache": "warm"}, False),
        ("openai", "stream", {"temperature": 0.7, "seed": 1}, True),
        ("openai", "infer", {"temperature": None, "cache": "warm"}, False),
        ("openai", "infer", {"body": {"messages": []}}, False),
        ("openai", "infer", {"body": {"messages": [], "temperature": 0}}, True),
        ("openai", "infer", {"api": "embeddings", "temperature": None}, True),
        ("openai", "infer", {"api": "embeddings", "body": {"input": "x"}}, True),
        ("anthropic", "infer", {"cache": "warm"}, False),
        ("anthropic", "infer", {"temperature": 0}, False),
        ("anthropic", "infer", {"temperature": 0, "cache": "warm"}, True),
        ("tgi", "infer", {}, False),
        ("tgi", "infer", {"cache": "warm"}, True),
        ("tgi", "infer", {"temperature": 0.5, "cache": "warm"}, False),
        ("tgi", "stream", {"temperature": 0.5, "seed": 7}, True),
        ("ollama", "infer", {}, False),
        ("ollama", "infer", {"cache": "warm"}, True),
        ("ollama", "infer", {"options": {"temperature": 0.8}, "cache": "warm"}, False),
        ("ollama", "infer", {"options": {"seed": 3}}, True),
        ("ollama", "infer", {"body": {"options": {"seed": 3}, "stream": False}}, True),
        ("ollama", "infer", {"api": "embed"}, True),
        ("triton", "stream", {"cache": "warm"}, False),
        ("triton", "stream", {"parameters": {"temperature": 0}}, False),
        ("triton", "stream", {"parameters": {"temperature": 0}, "cache": "warm"}, True),
        ("triton", "stream", {"parameters": {"temperature": 0}, "inputs": {"text": "x"}}, True),
        ("triton", "stream", {"parameters": {"seed": 3}}, True),
        ("triton", "infer", TENSOR, True),
        ("open_inference", "infer", TENSOR, True),
        ("mlflow", "infer", {"inputs": [[1.0]]}, True),
        ("tf_serving", "infer", {"instances": [[1.0]]}, True),
        ("kserve_v1", "infer", {"instances": [[1.0]]}, True),
        ("seldon", "infer", {"ndarray": [[1.0]]}, True),
        ("tei", "infer", {}, True),
        ("infinity", "infer", {}, True),
        ("http", "infer", {}, False),
        ("ray_serve", "infer", {"path": "/", "body": {}}, False),
        ("openai", "health", {}, False),
    ],
)
def test_by_default(protocol: str, probe: str, settings: dict[str, Any], watched: bool) -> None:
    assert drift(protocol, probe, **settings) is watched


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize(("protocol", "settings"), [("openai", {}), ("http", {}), ("open_inference", TENSOR)])
def test_where_it_is_said(protocol: str, settings: dict[str, Any], said: bool) -> None:
    assert drift(protocol, "infer", **settings, drift=said) is said


def test_it_is_part_of_the_definition() -> None:
    one, other = (
        jobs_for_url("http://127.0.0.1:9", "openai", "m", ["infer"], {"probes": {"infer": {"drift": said}}})[0]
        for said in (True, False)
    )
    assert one.fingerprint != other.fingerprint
