"""What people write: configs, rules, durations, sizes and places."""
# ruff: noqa: PT017 - what is raised here is an answer, and what it says is looked at

import math
import re
import tempfile
from pathlib import Path
from typing import get_args

from exporter import url as urls
from exporter.config import build, loader, web_file
from exporter.discovery import relabel
from exporter.settings import MAX_DURATION, Settings, Size, format_duration, parse_duration
from exporter.web import admission

_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def config(data: bytes) -> None:
    """A config file: jobs, or problems that a person can read."""
    path = _FOLDER / "models.yml"
    path.write_bytes(data)
    try:
        loaded = loader.load([path])
    except loader.ConfigError as error:
        assert error.problems
        for problem in error.problems:
            said = str(problem)
            assert said.startswith(f"{path}:"), said
            assert problem.line >= 1, said
            assert "pydantic" not in said, said
            assert all(char.isprintable() or char in "\n" for char in said), said
        return
    built = build.build(loaded.file)
    keys = [job.key for job in built.jobs]
    assert len(keys) == len(set(keys))
    build.dump(built)


def web_config(data: bytes) -> None:
    """A web config: rules, or problems, and no value of a password in any."""
    path = _FOLDER / "web.yml"
    path.write_bytes(data)
    try:
        web_file.load(path)
    except loader.ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert str(problem).startswith(f"{path}:")
            assert "s3cr3t" not in problem.message


def relabelling(data: bytes) -> None:
    """Rules over labels: the same labels out each time, none of them empty, with names that are names."""
    try:
        fields = data.decode().split("\n")
    except UnicodeDecodeError:
        return
    fields += [""] * 6
    actions = get_args(relabel.Action)
    action = actions[len(fields[0]) % len(actions)]
    rule = relabel.Rule(
        action=action,  # type: ignore[arg-type]
        source_labels=tuple(fields[1].split(",")),
        regex=fields[2] or "(.*)",
        target_label=fields[3] or "target",
        replacement=fields[4],
        modulus=1 + len(fields[5]),
    )
    labels = {name: value for name, _, value in (pair.partition("=") for pair in fields[5:])}
    try:
        out = relabel.relabel(labels, [rule, rule])
    except (TimeoutError, re.error, *_BAD_PATTERN):
        return
    assert out is None or all(out.values())
    assert out == relabel.relabel(labels, [rule, rule])


def _bad_pattern() -> tuple[type[Exception], ...]:
    import regex

    return (regex.error,)


_BAD_PATTERN = _bad_pattern()


def durations(data: bytes) -> None:
    """A duration: seconds, and written out again they are the same; or a refusal."""
    text = data.decode(errors="replace")
    try:
        seconds = parse_duration(text)
    except ValueError:
        assert not re.fullmatch(r"[1-9][0-9]{0,8}(ms|s|m|h|d|w|y)", text, re.ASCII)
        return
    assert math.isfinite(seconds)
    assert seconds >= 0
    if 0 < seconds <= MAX_DURATION:
        assert parse_duration(format_duration(seconds)) == seconds


class _Sized(Settings):
    size: Size


def sizes(data: bytes) -> None:
    """A size: bytes within the bounds, or a refusal."""
    text = data.decode(errors="replace")
    try:
        size = _Sized.model_validate({"size": text}).size
    except ValueError as error:
        assert "size" in str(error)
        return
    assert 1 <= size <= 1_000_000_000
    assert re.fullmatch(r"[0-9]+ ?([kKMG]i?)?B?", text, re.ASCII)


def places(data: bytes) -> None:
    """A url of /probe: what is checked is what would be connected to, however it is spelt."""
    text = data.decode(errors="replace")
    try:
        place = admission.read(text)
    except ValueError as error:
        assert str(error)
        return
    address = urls.parse(place.url)
    assert (admission.canonical(address.host), address.port) == (place.host, place.port)
    assert place.host == place.host.lower()
    assert "@" not in re.split(r"[/?#]", place.url.partition("://")[2])[0]
    for entry in ("10.0.0.0/8", "*.svc:80", "*"):
        admission.rule(entry).may_cover(place)
