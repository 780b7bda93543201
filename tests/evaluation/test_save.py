"""A file is there whole or not at all."""

import json
import os

import pytest

from exporter.evaluation.save import save


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "out.json"
    save(str(path), {"a": 1})
    before = path.stat().st_ino
    save(str(path), {"a": "\udcff\u00e9"})
    assert path.stat().st_ino != before
    assert json.loads(path.read_text("utf-8")) == {"a": "?\u00e9"}
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == ["out.json"]


@pytest.mark.parametrize("step", ["fsync", "fchmod"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "out.json"
    path.write_text("old")

    def fail(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space"):
        save(str(path), {"a": 1})
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out.json"]


def test_what_json_does_not_have_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        save(str(tmp_path / "out.json"), {"a": float("nan")})
    assert names(tmp_path) == []
