import subprocess
import sys
from pathlib import Path

import pytest

from exporter import protocols
from exporter.model.failure import Reason
from exporter.model.job import Kind, Scope

DOCS = Path(__file__).parents[2] / "docs"
REAL = [name for name in protocols.NAMES if name != "auto"]


@pytest.mark.parametrize("name", protocols.NAMES)
def test_class_keeps_the_contract(name):
    cls = protocols.load(name)
    assert cls.name == name
    assert set(cls.default_kinds) <= set(cls.kinds)
    assert not any(kind.canary for kind in cls.default_kinds), "canaries cost"
    for kind, model in cls.kinds.items():
        settings = model()  # every key has a default
        for field in model.model_fields.values():
            assert field.description, f"{model.__name__} has a key without a description"
        protocol = cls(model="m", path="", query="", settings=settings, options=cls.options())
        assert callable(getattr(protocol, kind.value))
        assert protocol.scope() in Scope
        for place, text in protocol.problems(kind):
            assert isinstance(place, tuple)
            assert text


def test_the_keys_of_targets_are_listed():
    """To say whose key it is, all protocols need not be imported."""
    found = {}
    for name in REAL:
        for key in protocols.load(name).options.model_fields:
            found.setdefault(key, []).append(name)
    assert {key: tuple(names) for key, names in found.items()} == dict(protocols.OWN_KEYS)


def test_unknown_name_is_a_key_error():
    with pytest.raises(KeyError):
        protocols.load("soap")


def test_a_protocol_is_imported_only_when_named():
    code = (
        "import sys, exporter.protocols as p; p.load('open_inference');"
        "print(*sorted(m for m in sys.modules if m.startswith('exporter.protocols.')))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "exporter.protocols.open_inference" in loaded
    for other in ("openai", "mlflow", "http", "detect"):
        assert f"exporter.protocols.{other}" not in loaded


@pytest.mark.slow
def test_regular_expressions_cost_only_those_who_use_them():
    code = "import sys, exporter.protocols as p; p.load('http'); p.load('openai'); print('regex' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("name", protocols.NAMES)
def test_each_protocol_has_its_section(name):
    assert f"\n## `{name}`" in (DOCS / "protocols.md").read_text()


def test_each_reason_has_its_line():
    lines = [line for line in (DOCS / "failures.md").read_text().splitlines() if line.startswith("| `")]
    named = [line.split("`")[1] for line in lines]
    assert sorted(named) == sorted(Reason)
    assert all(len([cell for cell in line.split("|") if cell.strip()]) == 4 for line in lines)


def test_evaluate_is_nobodys():
    assert not any(Kind.EVALUATE in protocols.load(name).kinds for name in REAL)
