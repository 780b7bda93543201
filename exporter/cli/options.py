"""Options that several commands share, the types of their values, and how wrong ones are refused.

Every option can also be given as a variable, `MODEL_EXPORTER_` and its name. No option may be called `--port`,
`--service-host` or `--service-port`: Kubernetes sets such variables itself for a Service named model-exporter.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem


def option(*names: str, **attributes: Any) -> Callable[[Any], Any]:
    """`click.option` with its variable, which the help shows."""
    name = next(name for name in names if name.startswith("--"))
    attributes.setdefault("envvar", "MODEL_EXPORTER_" + name.removeprefix("--").replace("-", "_").upper())
    return click.option(*names, show_envvar=True, **attributes)


class Duration(click.ParamType[float]):
    """Seconds, written as Prometheus does: `500ms`, `15s`, `1m30s`; `0` only where it means something."""

    name = "duration"

    def __init__(self, *, zero: bool = True) -> None:
        self.zero = zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See the class."""
        from exporter.settings import MAX_DURATION, parse_duration

        if isinstance(value, int | float):
            return float(value)
        try:
            seconds = parse_duration(value)
        except ValueError:
            self.fail(f"{value!r} is not a duration; allowed: such as 500ms, 15s or 1m30s.", param, ctx)
        if seconds <= 0 and not self.zero:
            self.fail(f"{value!r} is no time at all; allowed: a duration above 0, such as 15s.", param, ctx)
        if seconds > MAX_DURATION:
            self.fail(f"{value!r} is above the maximum of 366d.", param, ctx)
        return seconds


class Address(click.ParamType[tuple[str, int]]):
    """`ADDR:PORT`, an IPv6 address in brackets; without ADDR all addresses."""

    name = "addr:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """See the class."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([^\[\]:/\s]*)):([0-9]{1,5})", value)
        if match is None or int(match[3]) > 65535:
            self.fail(
                f"{value!r} is not an address and a port; allowed: such as :10838, 127.0.0.1:10838 or [::1]:10838.",
                param,
                ctx,
            )
        return (match[1] or match[2] or "", int(match[3]))


class Shard(click.ParamType[tuple[int, int]]):
    """`I/N`: which of N equal parts, counted from 0."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """See the class."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", value)
        if match is None or int(match[1]) >= int(match[2]):
            self.fail(f"{value!r} is not a shard; allowed: I/N with I from 0 to N-1, such as 0/3.", param, ctx)
        return (int(match[1]), int(match[2]))


class Pair(click.ParamType[tuple[str, str]]):
    """`KEY=VALUE`."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """See the class."""
        if isinstance(value, tuple):
            return value
        key, equals, wanted = value.partition("=")
        if not equals or not key.strip():
            self.fail(f"{value!r} is not KEY=VALUE; allowed: such as team=chat or target=assistant.", param, ctx)
        return (key.strip(), wanted)


class Protocol(click.ParamType[str]):
    """A protocol by its name."""

    name = "protocol"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See the class."""
        from exporter.config.problems import did_you_mean
        from exporter.protocols import NAMES

        if value not in NAMES:
            self.fail(f"{value!r} is not a protocol; {did_you_mean(value, NAMES)}", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the names."""
        from exporter.protocols import NAMES

        return [CompletionItem(name) for name in NAMES if name.startswith(incomplete)]


class Url(click.ParamType[str]):
    """A web address under which the exporter itself is reached; or empty."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See the class."""
        if value and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
            self.fail(f"{value!r} is not a web address; allowed: such as https://watch.example.org/models.", param, ctx)
        return str(value).rstrip("/")


class RoutePrefix(click.ParamType[str]):
    """A path before all routes: with a slash in front and none behind, or empty."""

    name = "prefix"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See the class."""
        if not re.fullmatch(r"[A-Za-z0-9._~/-]*", value) or "//" in value or ".." in value:
            self.fail(f"{value!r} is not a path; allowed: such as /models.", param, ctx)
        bare = value.strip("/")
        return f"/{bare}" if bare else ""


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the names of files, for arguments that may be something else too."""
    return [CompletionItem(incomplete, type="file")]


def config(**attributes: Any) -> Callable[[Any], Any]:
    """`--config FILE`."""
    help_ = attributes.pop("help", "The config file; given several times, the files are one config.")
    return option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        multiple=True,
        metavar="FILE",
        help=help_,
        **attributes,
    )


def as_json(text: str) -> Callable[[Any], Any]:
    """`--json`."""
    return option("--json", "as_json", is_flag=True, help=text)
