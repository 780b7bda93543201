"""What a deployment did, line by line in a file, each line on the disk before what it tells of is done.

One JSON object a line. `begin` has the deployment's id, model and version; `step` a call that is about to be made, and
what was there before the first of that server; `outcome` how it ended (`done`, `refused`, `unknown`); `undo` and
`undone` the same of a rollback; `end` whether all was good. A step without an outcome was cut short: nobody knows
whether it was made until the server is asked.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from exporter.rollout.ways import Wanted

#: Deployments that are named where one is asked for that is not there.
_TOLD = 5


class RecordError(Exception):
    """The file cannot be used. The message names it and says why."""


@dataclass(slots=True)
class Past:
    """All that was recorded of one model on one server: `before` is what was there, `made` the steps that may have been
    made, oldest first.
    """

    environment: str
    target: str
    address: str
    before: Mapping[str, Any]
    made: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The server for people."""
        return f"{self.target}@{self.address}" if self.address else self.target

    @property
    def place(self) -> tuple[str, str, str]:
        """Which server that is."""
        return (self.environment, self.target, self.address)


@dataclass(slots=True)
class Entry:
    """One deployment as it was recorded."""

    wanted: Wanted
    pasts: dict[tuple[str, str, str], Past] = field(default_factory=dict)

    @property
    def newest_first(self) -> Sequence[Past]:
        """What was done, server by server, the last one first."""
        return list(reversed(self.pasts.values()))


class Record:
    """The file, held by one command at a time."""

    def __init__(self, path: Path, identity: str, *, new: bool = True) -> None:
        """`new`: it may have to be made. Raises RecordError."""
        self.path = path
        self.identity = identity
        self._descriptor = _open(path, new=new)
        self._steps = 0

    def begin(self, model: str, version: str, waves: Sequence[Sequence[str]]) -> None:
        """A deployment is about to start."""
        self._write(what="begin", model=model, version=version, waves=waves)

    def step(self, place: tuple[str, str, str], name: str, call: str, before: Mapping[str, Any], what: str) -> int:
        """A step (`what` is step) or a step back (undo) is about to be made; its number."""
        self._steps += 1
        environment, target, address = place
        self._write(
            what=what, n=self._steps, environment=environment, target=target, address=address, step=name, call=call,
            before=before,
        )  # fmt: skip
        return self._steps

    def outcome(self, number: int, result: str, detail: str, what: str) -> None:
        """How a step ended: `done`, `refused` or `unknown`; `what` is outcome or undone."""
        self._write(what=what, n=number, result=result, detail=detail)

    def end(self, *, good: bool, rollback: bool = False) -> None:
        """A deployment or a rollback is over. For readers alone: that it cannot be written changes nothing."""
        with suppress(RecordError):
            self._write(what="rolled_back" if rollback else "end", good=good)

    def entry(self, identity: str) -> Entry:
        """A deployment in the file. Raises RecordError."""
        entries = _read(self.path)
        if identity not in entries:
            known = ", ".join(list(entries)[-_TOLD:]) or "none"
            raise RecordError(f"{self.path}: no deployment {identity[:100]!r} is in it; the last ones: {known}")
        return entries[identity]

    def close(self) -> None:
        """Let others have the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, **values: Any) -> None:
        line = json.dumps({"id": self.identity, "at": round(time.time(), 3), **values}, ensure_ascii=True) + "\n"
        data = line.encode()
        try:
            if os.write(self._descriptor, data) != len(data):
                raise RecordError(f"{self.path}: the disk is full")
            os.fsync(self._descriptor)
        except OSError as error:
            raise RecordError(f"{self.path}: {error.strerror}") from None


def _open(path: Path, *, new: bool) -> int:
    """The file for appending, ours alone. What the server tells of a model may be confidential: so is the file."""
    try:
        new = new and not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if new else 0), 0o600)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}; every step is recorded there first") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")  # a line that a crash cut short ends here
        os.fsync(descriptor)
        if new:
            _sync_folder(path)
    except BlockingIOError:
        os.close(descriptor)
        raise RecordError(f"{path}: another deployment is using it; give this one a file of its own") from None
    except OSError as error:
        os.close(descriptor)
        raise RecordError(f"{path}: {error.strerror}") from None
    return descriptor


def _sync_folder(path: Path) -> None:
    folder = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    steps: dict[tuple[str, int], Past] = {}
    names: dict[tuple[str, int], str] = {}
    for number, value in _lines(path):
        try:
            identity = value["id"]
            if value["what"] == "begin":
                entries[identity] = Entry(Wanted(value["model"], value["version"], identity))
            elif value["what"] == "step":
                place = (value["environment"], value["target"], value["address"])
                past = entries[identity].pasts.setdefault(place, Past(*place, before=value["before"]))
                past.made.append(value["step"])
                steps[identity, value["n"]], names[identity, value["n"]] = past, value["step"]
            elif value["what"] == "outcome" and value["result"] == "refused":
                steps[identity, value["n"]].made.remove(names[identity, value["n"]])
        except (KeyError, TypeError, ValueError):
            raise RecordError(f"{path}:{number}: not a line of a deployment's record") from None
    return entries


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        try:
            yield number, json.loads(line)
        except ValueError:
            continue  # cut short by a crash: what it would have told of was not done yet
