"""Where the charts are, and how to find something in what they render."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "deploy" / "helm"
CHART = CHARTS / "model-exporter"
SIDECAR = CHARTS / "model-exporter-sidecar"
#: Sets of values that exercise the chart, in the place where chart-testing looks for them.
CASES = sorted((CHART / "ci").glob("*-values.yaml"))

Object = dict[str, Any]
Render = Callable[..., list[Object]]


class Refused(Exception):
    """Helm did not render: in its own words."""


def one(objects: list[Object], kind: str) -> Object:
    """The only object of a kind."""
    (found,) = every(objects, kind)
    return found


def every(objects: list[Object], kind: str) -> list[Object]:
    return [each for each in objects if each["kind"] == kind]


def pod(objects: list[Object]) -> Object:
    """The pod of the Deployment or StatefulSet."""
    (found,) = (each["spec"]["template"] for each in objects if each["kind"] in ("Deployment", "StatefulSet"))
    return found


def container(objects: list[Object]) -> Object:
    """The exporter's container."""
    return next(each for each in pod(objects)["spec"]["containers"] if each["name"] == "model-exporter")


def labels(value: Any) -> Iterator[tuple[str, Any]]:
    """Every label and annotation, and what is selected by labels, anywhere in an object."""
    if isinstance(value, list):
        for item in value:
            yield from labels(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("labels", "annotations", "matchLabels", "nodeSelector") and isinstance(item, dict):
                yield from item.items()
            else:
                yield from labels(item)
