"""Sinks of a config: what is warned of, and what `/config` shows of them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config import build, extras
from tests.config.make import loaded

WEBHOOK = {"webhook": {"url": "https://hooks.example/in?key=s3cr3t-1", "secret": "s3cr3t-2"}}


def config(*sinks: dict[str, Any]) -> str:
    return yaml.safe_dump({"targets": [], "sinks": list(sinks)})


def test_a_webhook_that_is_not_signed_is_a_warning(tmp_path: Path) -> None:
    assert loaded(tmp_path, config(WEBHOOK)).warnings == []
    (warning,) = loaded(tmp_path, config({"webhook": {"url": "https://hooks.example/in"}})).warnings
    assert warning.path == "sinks[0].webhook"
    assert "not signed" in warning.message


@pytest.mark.parametrize("missing", ["otlp", "grpc"])
def test_otlp_without_its_extra_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    over_http, over_grpc = ({"otlp": {"url": "http://c:4318", "protocol": way}} for way in ("http", "grpc"))
    assert loaded(tmp_path, config(over_grpc)).warnings == []
    real = extras.find_spec
    package = {"otlp": "opentelemetry.sdk", "grpc": "grpc"}[missing]

    def without(name: str) -> Any:
        if name != package:
            return real(name)
        if missing == "otlp":
            raise ModuleNotFoundError("No module named 'opentelemetry'")
        return None

    monkeypatch.setattr(extras, "find_spec", without)
    (warning,) = loaded(tmp_path, config(over_grpc)).warnings
    assert f"pip install 'model-exporter[{missing}]'" in warning.message
    assert len(loaded(tmp_path, config(over_http)).warnings) == (missing == "otlp")


def test_what_is_shown_holds_no_secret(tmp_path: Path) -> None:
    headers = {"headers": {"X-Tenant": "s3cr3t-3"}, "auth": {"bearer": "s3cr3t-4"}}
    text = config({**WEBHOOK, "name": "a"}, {"name": "b", "otlp": {"url": "http://c:4318", **headers}})
    built = build.build(loaded(tmp_path, text).file)
    shown = build.dump(built)
    assert "s3cr3t" not in shown + repr(built.sinks)
    sinks = yaml.safe_load(shown)["sinks"]
    assert sinks[0]["webhook"] == {"url": "https://hooks.example/in?<hidden>", "secret": "<hidden>"}
    assert sinks[1]["otlp"]["headers"] == {"X-Tenant": "<hidden>"}


def test_a_config_without_sinks_shows_none(tmp_path: Path) -> None:
    assert "sinks" not in yaml.safe_load(build.dump(build.build(loaded(tmp_path, config()).file)))
