"""Text to settings, or every problem of every file at once."""

import asyncio
import os
import pickle
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter import garbage
from exporter.config.check import check
from exporter.config.join import Joined
from exporter.config.models import File
from exporter.config.part import Part
from exporter.config.problems import MOST, ConfigError, Problem
from exporter.config.source import read_together

__all__ = ["ConfigError", "Loaded", "Problem", "load", "load_in_child", "load_values", "with_target"]

#: Bytes of config from which a reload happens in a child process.
LARGE = 1_000_000
#: Targets per message from the child: each is unpickled in about a millisecond.
_BATCH = 100
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config that can be used, and what should be mended all the same."""

    file: File
    warnings: list[Problem]


def load(paths: Sequence[Path]) -> Loaded:
    """Read config files; several are one config: targets and modules add up, any other key is in one of them only.

    Raises ConfigError with every problem of all files.
    """
    paths = [Path(path) for path in paths]
    return _finish([Part.read(path, data) for path, data in zip(paths, read_together(paths), strict=True)])


def beforehand(paths: Sequence[Path]) -> list[Loaded]:
    """As `load`, before there is a loop: one config, which is none without files, to be taken out of the list."""
    with garbage.never():
        return [load(paths) if paths else load_values({"targets": []}, name="--target")]


def load_values(values: Any, name: str, folder: str | None = None) -> Loaded:
    """As `load`, of values that no file holds: problems name no line."""
    part = Part(name, folder, values)
    part.validate()
    return _finish([part])


def with_target(file: File, target: Mapping[str, Any]) -> File:
    """The same defaults and modules with one target, given as a config file would have it. Raises ConfigError."""
    part = Part("target", file.folder, {"targets": [dict(target)]})
    part.validate()
    if part.file is None or part.findings:
        raise ConfigError(part.problems(part.findings))
    used = {name: module for name, module in file.modules.items() if name == target.get("module")}
    joined = file.model_copy(update={"targets": part.file.targets, "modules": used, "discovery": [], "training": []})
    errors = [finding for finding in check(joined) if not finding.warning]
    if errors:
        raise ConfigError(part.problems(errors))
    return joined


async def load_in_child(paths: Sequence[Path]) -> Loaded:
    """As `load`, on a running loop that must not stall: large files are read in a child process, small in a thread."""
    if sum(_size(path) for path in paths) <= LARGE:
        return await asyncio.to_thread(load, paths)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "exporter.config.child", *(str(path) for path in paths),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip
    try:
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        file, problems = None, []
        targets: list[Any] = []
        try:
            while True:
                (length,) = _LENGTH.unpack(await child.stdout.readexactly(_LENGTH.size))
                # It comes from a process that we started to run our own code.
                data = await child.stdout.readexactly(length)
                # The file comes first, and what it is made of may have to be imported.
                what, value = await asyncio.to_thread(pickle.loads, data) if file is None else pickle.loads(data)  # noqa: S301
                if what == "end":
                    break
                if what == "file":
                    file = value
                elif what == "targets":
                    targets += value
                else:
                    problems += value
                await asyncio.sleep(0)
        except asyncio.IncompleteReadError:
            status = await child.wait()
            raise ConfigError(
                [Problem(str(paths[0]), 1, 1, "", f"the process that reads the config ended with status {status}")]
            ) from None
        await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if file is None:
        raise ConfigError(problems)
    return Loaded(file.model_copy(update={"targets": targets}), problems)


def messages(paths: Sequence[Path]) -> Iterator[bytes]:
    """What the child of `load_in_child` writes: a length and a pickle each, small enough not to stall the reader."""
    found: list[tuple[str, Any]] = []
    try:
        loaded = load(paths)
    except ConfigError as error:
        found += [("problems", batch) for batch in _batches(error.problems)]
    else:
        found.append(("file", loaded.file.model_copy(update={"targets": []})))
        found += [("targets", batch) for batch in _batches(loaded.file.targets or [])]
        found += [("problems", batch) for batch in _batches(loaded.warnings)]
    for message in (*found, ("end", None)):
        data = pickle.dumps(message, protocol=5)
        yield _LENGTH.pack(len(data)) + data


def _batches(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _told(problems: list[Problem]) -> list[Problem]:
    """Sorted by file and line; of very many the first."""
    told = sorted(set(problems))
    if len(told) <= MOST:
        return told
    rest = Problem(
        told[0].file, 0, 0, "", f"more than {MOST} problems; these are the first found, and looking ended there"
    )
    return [*told[:MOST], rest]


def _finish(parts: list[Part]) -> Loaded:
    problems = [problem for part in parts for problem in (*part.issues, *part.problems(part.findings))]
    readable = [part for part in parts if part.file is not None]
    warnings: list[Problem] = []
    file: File | None = None
    if readable:
        joined = Joined(readable, complete=len(readable) == len(parts))
        file = joined.file
        for problem in joined.problems():
            (warnings if problem.warning else problems).append(problem)
    if problems or file is None:
        raise ConfigError(_told(problems))
    return Loaded(file, sorted(warnings))
