"""Files of target groups, as Prometheus's `file_sd_configs`: YAML or JSON, found by globs, read again and again."""

import asyncio
import glob
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from exporter.discovery.groups import Malformed, entries
from exporter.discovery.listing import Part

#: Bytes of one file, and files of one source.
MAX_FILE = 32_000_000
MAX_FILES = 1000
#: Which of two loaders: libyaml's is fifteen times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


async def read(paths: Sequence[str]) -> list[Part]:
    """Every file the paths name, in the order of names. A glob that finds nothing is no failure, a plain path is."""
    return await asyncio.to_thread(_read, paths)


def _read(paths: Sequence[str]) -> list[Part]:
    names: dict[str, None] = {}
    for path in paths:
        found = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 # absolute patterns, which Path has none of
        names.update(dict.fromkeys(found or ([path] if path == glob.escape(path) else [])))
    if len(names) > MAX_FILES:
        return [Part("", None, f"{len(names)} files; allowed: at most {MAX_FILES}")]
    return [_part(name) for name in names]


def _part(name: str) -> Part:
    try:
        with open(name, "rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            return Part(name, None, f"{name}: larger than {MAX_FILE // 1_000_000} MB")
        return Part(name, entries(_parsed(name, data), {"__meta_filepath": name}))
    except OSError as error:
        return Part(name, None, f"{name}: {error.strerror}")
    except Malformed as error:
        return Part(name, None, f"{name}: {error}")


def _parsed(name: str, data: bytes) -> Any:
    """Raises `Malformed`."""
    try:
        if Path(name).suffix == ".json":
            return json.loads(data)
        found = yaml.load(data, Loader=_LOADER)  # noqa: S506 # safe: one of the two safe loaders
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise Malformed(f"{f'line {mark.line + 1}: ' if mark else ''}{error.problem or 'not YAML'}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Malformed(f"not {'JSON' if name.endswith('.json') else 'YAML'}: {str(error)[:200]}") from None
    return [] if found is None else found
