"""The JSON Schema and the pages made from it say what the loader takes."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from exporter import protocols
from exporter.config.discovery import Catalogue, Discovery
from exporter.config.example import EXAMPLE
from exporter.config.loader import load
from exporter.config.models import File, Module, Target
from exporter.config.own_keys import kinds
from exporter.config.own_keys import load as protocol_class
from exporter.config.schema import schema
from exporter.model.job import Kind

pytestmark = pytest.mark.slow


def walk(value: Any) -> Any:
    yield value
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from walk(item)


def test_every_reference_leads_somewhere() -> None:
    whole = schema()
    names = {f"#/$defs/{name}" for name in whole["$defs"]}
    used = {each["$ref"] for each in walk(whole) if isinstance(each, dict) and "$ref" in each}
    assert used <= names
    assert names <= used | {name for name in names if "probes." in name}


def test_every_key_is_there_and_described() -> None:
    definitions = schema()["$defs"]
    for name in protocols.NAMES:
        for kind, model in kinds(name).items():
            if kind.internal:
                continue
            properties = definitions[f"probe.{name}.{kind.value}"]["properties"]
            own = {field.alias or key for key, field in model.model_fields.items()}
            common = {"kind", "interval", "timeout", "recheck", "drift", "capability", "retry", "thresholds"}
            assert own | common == set(properties)
            assert definitions[f"probe.{name}.{kind.value}"]["additionalProperties"] is False
            assert [key for key, value in properties.items() if not value.get("description")] == []
        for block in ("Target", "Module", "Catalogue"):
            assert set(protocol_class(name).options.model_fields) <= set(definitions[block]["properties"])
    for block, model in (("Target", Target), ("Module", Module), ("Catalogue", Catalogue), ("Discovery", Discovery)):
        assert set(model.model_fields) <= set(definitions[block]["properties"])
        assert [key for key, value in definitions[block]["properties"].items() if not value.get("description")] == []
    assert set(schema()["properties"]) == set(File.model_fields)


def test_detect_is_nothing_a_config_asks_for() -> None:
    assert f"probe.auto.{Kind.DETECT.value}" not in schema()["$defs"]
    assert '"detect"' not in json.dumps(schema())


def test_titles_and_meaningless_nulls_are_left_out() -> None:
    for each in walk(schema()["$defs"]):
        if isinstance(each, dict):
            assert not isinstance(each.get("title"), str)
            assert "default" not in each or each["default"] is not None


def test_a_default_is_what_a_config_may_hold() -> None:
    whole = schema()
    defaults = [each for each in walk(whole) if isinstance(each, dict) and "default" in each and "description" in each]
    wrong = [
        (each["description"], each["default"])
        for each in defaults
        if not Draft202012Validator({**each, "$defs": whole["$defs"]}).is_valid(each["default"])
    ]
    assert wrong == []
    assert "1m" in [each["default"] for each in defaults]


def test_the_example_is_good_and_shows_every_block(tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(EXAMPLE)
    loaded = load([path])
    assert loaded.warnings == []
    assert loaded.file.model_fields_set == set(File.model_fields)
    used = {target.protocol for target in loaded.file.targets or []} | {
        module.protocol for module in loaded.file.modules.values()
    }
    assert used >= set(protocols.NAMES) - {"auto"}
