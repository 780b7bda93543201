"""Whose stamps a target's times are made of."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.transport import clocks
from tests.config.make import built, loaded


def config(**parts: Any) -> dict[str, Any]:
    """Two targets, of which the second has the module."""
    targets = [
        {"name": "a", "url": "http://h:1", **parts.get("target", {})},
        {"name": "b", "url": "http://h:2", "module": "m"},
    ]
    return {
        "defaults": parts.get("defaults", {}),
        "modules": {"m": {"protocol": "http", **parts.get("module", {})}},
        "targets": targets,
    }


KERNEL, LOOP = {"timestamps": "kernel"}, {"timestamps": "loop"}


@pytest.mark.parametrize(
    ("parts", "stamped"),
    [
        ({}, [False, False]),
        ({"defaults": KERNEL}, [True, True]),
        ({"module": KERNEL}, [False, True]),
        ({"target": KERNEL}, [True, False]),
        ({"defaults": KERNEL, "module": LOOP, "target": LOOP}, [False, False]),
    ],
)
def test_target_over_module_over_defaults(parts: dict[str, Any], stamped: list[bool]) -> None:
    jobs = built(config(**parts)).jobs
    by_target = {job.target.name: job.target.endpoint.kernel_stamps for job in jobs}
    assert [by_target["a"], by_target["b"]] == stamped


@pytest.mark.parametrize(
    ("part", "path"),
    [("defaults", "defaults"), ("module", "modules.m"), ("target", "targets[0]")],
)
def test_a_system_that_does_not_stamp_is_a_warning_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, path: str
) -> None:
    text = yaml.safe_dump(config(**{part: KERNEL}))
    assert loaded(tmp_path, text).warnings == []
    monkeypatch.setattr(clocks, "available", lambda: False)
    (warning,) = loaded(tmp_path, text).warnings
    assert warning.path == f"{path}.timestamps"
    assert "does not stamp what it receives" in warning.message
    assert loaded(tmp_path, yaml.safe_dump(config(**{part: LOOP}))).warnings == []
