"""What a config needs to have installed for gRPC, and for JSON Schema."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config import extras
from tests.config.make import loaded


@pytest.mark.parametrize(
    ("target", "needed"),
    [
        ({"url": "grpc://h:8001"}, True),
        ({"url": "grpcs://h:8001", "protocol": "open_inference"}, True),
        ({"url": "http://h:8001", "protocol": "grpc_health"}, True),
        ({"url": "grpc://h:8001", "protocol": "tcp"}, False),
        ({"url": "tcp://h:8001", "protocol": "tcp"}, False),
        ({"url": "http://h:8000", "protocol": "open_inference"}, False),
    ],
)
def test_grpc_without_its_extra_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: dict[str, Any], needed: bool
) -> None:
    text = yaml.safe_dump({"targets": [{"name": "t", **target}]})
    assert loaded(tmp_path, text).warnings == []
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    warnings = loaded(tmp_path, text).warnings
    assert [warning.path for warning in warnings] == ["targets[0].url"] * needed
    for warning in warnings:
        assert warning.message == "gRPC needs an extra that is not installed: pip install 'model-exporter[grpc]'"


@pytest.mark.parametrize("where", ["modules", "targets"])
def test_a_schema_without_its_extra_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    probes = {"infer": {"prompt": "a", "expect": {"schema": {"type": "object"}}}}
    config: dict[str, Any] = {
        "modules": {"m": {"protocol": "openai", "probes": probes}},
        "targets": [{"name": "t", "url": "http://h:1", "module": "m"}],
    }
    if where == "targets":
        config = {"targets": [{"name": "t", "url": "http://h:1", "protocol": "openai", "probes": probes}]}
    text = yaml.safe_dump(config)
    assert loaded(tmp_path, text).warnings == []
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    (warning,) = loaded(tmp_path, text).warnings
    assert warning.path == ("modules.m" if where == "modules" else "targets[0]") + ".probes.infer.expect.schema"
    assert warning.message == "needs an extra that is not installed: pip install 'model-exporter[schema]'"
