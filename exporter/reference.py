"""Writes the reference files from the code: `python -m exporter.reference`, with `--check` only compares.

Each generator is a path below the repository and a function that returns the file's text. The rules stand in
deploy/rules, and once more in the package, for `model-exporter generate alerts`, and in the Helm chart, which can read
no file outside itself.
"""

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from exporter.config.example import EXAMPLE
from exporter.config.models import File
from exporter.config.pages import config_page
from exporter.config.schema import schema
from exporter.generate import RULES
from exporter.generate.page import alerts_page
from exporter.generate.values import values_schema
from exporter.metrics.page import metrics_page
from exporter.sinks import shape

ROOT = Path(__file__).resolve().parent.parent
CHART = "deploy/helm/model-exporter"


def _schema() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _record_schema() -> str:
    return json.dumps(shape.schema(), indent=2) + "\n"


def _rules(name: str) -> str:
    return (ROOT / "deploy" / "rules" / name).read_text("utf-8")


def _values_schema() -> str:
    text = (ROOT / CHART / "values.yaml").read_text("utf-8")
    keys = (field.alias or name for name, field in File.model_fields.items())
    return json.dumps(values_schema(text, keys), indent=2, ensure_ascii=False) + "\n"


GENERATORS: Sequence[tuple[str, Callable[[], str]]] = (
    ("docs/reference/config.schema.json", _schema),
    ("docs/reference/config.md", config_page),
    ("docs/reference/example.yaml", lambda: EXAMPLE),
    ("docs/reference/record.schema.json", _record_schema),
    ("docs/reference/metrics.md", metrics_page),
    ("docs/reference/alerts.md", lambda: alerts_page(map(_rules, RULES))),
    *((f"exporter/generate/rules/{name}", partial(_rules, name)) for name in RULES),
    *((f"{CHART}/files/rules/{name}", partial(_rules, name)) for name in RULES),
    (f"{CHART}/values.schema.json", _values_schema),
)


def stale(root: Path) -> list[str]:
    """The files below `root` that are not what the code says."""
    return [name for name, generate in GENERATORS if _read(root / name) != generate()]


def write(root: Path) -> list[str]:
    """Write every file below `root` that is not what the code says; returns their names."""
    names = stale(root)
    for name, generate in GENERATORS:
        if name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(generate(), encoding="utf-8")
    return names


def main(arguments: Sequence[str]) -> int:
    """Write, or with `--check` compare; 1 when something is stale then, 2 for wrong usage."""
    if list(arguments) == ["--check"]:
        for name in (names := stale(ROOT)):
            sys.stderr.write(f"{name} is stale: run python -m exporter.reference\n")
        return 1 if names else 0
    if arguments:
        sys.stderr.write("usage: python -m exporter.reference [--check]\n")
        return 2
    for name in write(ROOT):
        sys.stdout.write(f"{name}\n")
    return 0


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
