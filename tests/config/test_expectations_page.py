"""docs/expectations.md: its examples are good, and it has every key there is."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from exporter import protocols
from exporter.config import loader
from exporter.config.own_keys import kinds
from exporter.model.job import Kind

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "expectations.md").read_text()
#: Of each section, who has its keys.
_WHO = {
    "Text": ("openai", Kind.INFER),
    "JSON": ("http", Kind.INFER),
    "Tensors and predictions": ("open_inference", Kind.INFER),
    "Vectors and rankings": ("openai", Kind.INFER),
    "Tool calls": ("openai", Kind.STREAM),
    "Time": ("openai", Kind.STREAM),
    "Status and headers": ("http", Kind.HEALTH),
}
#: Told with the protocol that has it, or on a page of its own.
_ELSEWHERE = {"allow_garbage"}


def examples() -> list[tuple[str, Kind, str]]:
    found = []
    for section in PAGE.split("\n## ")[1:]:
        title = section.partition("\n")[0]
        for line in section.splitlines():
            if title in _WHO and (match := re.search(r"\| `(\{.*?\})` \|", line)):
                name, kind = _WHO[title]
                if title == "Tensors and predictions" and "outputs" not in match[1]:
                    name = "mlflow"
                found.append((name, kind, match[1]))
    return found


@pytest.mark.parametrize(("name", "kind", "text"), examples())
def test_every_example_is_good(name: str, kind: Kind, text: str, tmp_path: Path) -> None:
    (tmp_path / "person.schema.json").write_text('{"type": "object"}')
    (tmp_path / "known.json").write_text("[1, 0]")
    expect = kinds(name)[kind].model_fields["expect"].annotation
    assert expect is not None
    given = expect.model_validate(yaml.safe_load(text), context={"base": str(tmp_path)})
    assert given.model_fields_set


def test_there_are_examples_in_every_section() -> None:
    assert len(examples()) > 30
    assert {(name, kind) for name, kind, _ in examples()} >= set(_WHO.values())


def test_whole_configs_are_good(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    for block in blocks:
        path = tmp_path / "config.yaml"
        path.write_text(block)
        assert loader.load([path]).warnings == []


def _keys(model: Any) -> set[str]:
    """The keys of a block, and of the blocks in it."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        inner = [_keys(field.annotation) for field in model.model_fields.values()]
        return {field.alias or name for name, field in model.model_fields.items()}.union(*inner)
    return set().union(*(_keys(each) for each in get_args(model)))


def test_every_key_of_a_canary_is_on_the_page() -> None:
    told = set(re.findall(r"\b[a-z_]+\b", PAGE))
    for name in protocols.NAMES:
        for kind, model in kinds(name).items():
            field = model.model_fields.get("expect")
            if kind.canary and field is not None:
                assert _keys(field.annotation) - told - _ELSEWHERE == set()
