"""The record: on the disk before what it tells of, readable after any crash, held by one command at a time."""

import json
import os
import stat
from pathlib import Path

import pytest

from exporter.rollout.record import Record, RecordError

PLACE = ("eu", "iris", "")


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_line_is_on_the_disk_when_the_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.jsonl"
    synced: list[int] = []
    fsync = os.fsync
    with Record(path, "one") as record:
        monkeypatch.setattr(os, "fsync", lambda descriptor: (fsync(descriptor), synced.append(path.stat().st_size)))
        record.begin("iris", "7", [["eu"], ["us"]])
        number = record.step(PLACE, "load", "POST http://h/load", {"loaded": False}, "step")
        record.outcome(number, "done", "", "outcome")
    assert len(synced) == 3
    assert synced[-1] == path.stat().st_size
    assert [line["what"] for line in lines(path)] == ["begin", "step", "outcome"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_read_back(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    with Record(path, "one") as record:
        record.begin("iris", "7", [["eu"]])
        first = record.step(PLACE, "register", "POST", {"versions": {}}, "step")
        record.outcome(first, "done", "", "outcome")
        refused = record.step(PLACE, "scale", "PUT", {"versions": {}}, "step")
        record.outcome(refused, "refused", "HTTP 500", "outcome")
        record.step(PLACE, "set_default", "PUT", {"versions": {}}, "step")
        record.step(("us", "iris", "10.0.0.1:80"), "register", "POST", {"versions": {"1": {}}}, "step")
    with Record(path, "two") as record:
        record.begin("other", "", [["eu"]])
        entry = record.entry("one")
    assert (entry.wanted.model, entry.wanted.version, entry.wanted.identity) == ("iris", "7", "one")
    us, eu = entry.newest_first
    assert (us.name, us.made) == ("iris@10.0.0.1:80", ["register"])
    # A refused step was not made; one without an outcome may have been.
    assert (eu.name, eu.made, eu.before) == ("iris", ["register", "set_default"], {"versions": {}})


def test_a_line_that_a_crash_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    with Record(path, "one") as record:
        record.begin("iris", "", [["eu"]])
        record.step(PLACE, "load", "POST", {"loaded": False}, "step")
    with path.open("a") as file:
        file.write('{"id": "one", "what": "st')
    with Record(path, "two") as record:
        record.begin("iris", "", [["eu"]])
        assert record.entry("one").newest_first[0].made == ["load"]
        assert record.entry("two").newest_first == []


def test_held_by_one_command(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    with Record(path, "one"), pytest.raises(RecordError, match="another deployment is using it"):
        Record(path, "two")
    Record(path, "two").close()


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="No such file"):
        Record(tmp_path / "none.jsonl", "one", new=False)
    with pytest.raises(RecordError, match="every step is recorded there first"):
        Record(tmp_path / "no" / "folder.jsonl", "one")
    with Record(tmp_path / "state.jsonl", "one") as record:
        record.begin("iris", "", [])
        with pytest.raises(RecordError, match="no deployment 'two' is in it; the last ones: one"):
            record.entry("two")


def test_a_file_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    path.write_text('{"level": "info"}\n')
    with Record(path, "one") as record, pytest.raises(RecordError, match=r"state\.jsonl:1: not a line"):
        record.entry("one")
