"""Base of all settings models, and the value types config files share: strict, frozen, every problem named.

Relative paths are taken from the folder of the config file: validation gets it as `context={"base": FOLDER}`.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from exporter.model.secret import Secret as SecretRef


class Settings(BaseModel):
    """A block of the config file. Unknown keys are errors; values are never coerced; instances are frozen."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )


def shown(value: Any) -> str:
    """A value as a message may quote it: at most 60 characters. Not for anything that can hold a secret."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    try:
        text = repr(value)
    except ValueError:  # an integer too long to be written out
        return "a number"
    return text if len(text) <= 60 else f"{text[:56]}...{text[0] if isinstance(value, str) else ''}"


def problem(kind: str, message: str, **values: Any) -> PydanticCustomError:
    """An error whose message is shown as it is. `{name}` in it is filled with `shown(value)`, other braces stay."""
    return PydanticCustomError(kind, message, {name: shown(value) for name, value in values.items()})


# Durations

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_DIGITS = r"\d{1,12}"
_DURATION = re.compile("".join(f"(?:({_DIGITS}){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms")), re.ASCII)
_ORDER = ("y", "w", "d", "h", "m", "s", "ms")
MAX_DURATION = 366 * 86400.0
_EXAMPLES = "500ms, 15s or 1m30s"


def parse_duration(text: str) -> float:
    """Seconds of a duration as Prometheus writes it: `500ms`, `15s`, `1m30s`, `0`. Raises ValueError."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{shown(text)} is not a duration")
    return sum(int(number) * _UNITS[unit] for number, unit in zip(match.groups(), _ORDER, strict=True) if number)


def format_duration(seconds: float) -> str:
    """The shortest Prometheus duration of a number of seconds, to the millisecond."""
    rest = round(seconds * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _duration(value: Any) -> float:
    if isinstance(value, str):
        try:
            seconds = parse_duration(value)
        except ValueError:
            raise problem(
                "duration",
                f"found {{found}}, which is not a duration; allowed: such as {_EXAMPLES}, maximum 366d",
                found=value,
            ) from None
        if seconds > MAX_DURATION:
            raise problem("duration", "found {found}, above the maximum of 366d", found=value)
        return seconds
    if isinstance(value, bool):
        raise problem("duration", f"found the boolean {{found}}; allowed: a duration such as {_EXAMPLES}", found=value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise problem("duration", f"found a number that is not finite; allowed: a duration such as {_EXAMPLES}")
    if isinstance(value, int | float):
        raise problem(
            "duration",
            f"found {{found}}, a number without a unit; allowed: a duration such as {_EXAMPLES}",
            found=value,
        )
    raise problem("duration", f"found {{found}}; allowed: a duration such as {_EXAMPLES}", found=value)


def _positive(value: float) -> float:
    if value <= 0:
        raise problem("duration", "found 0; allowed: a duration > 0, such as 15s")
    return value


_DURATION_SCHEMA = {
    "type": "string",
    "pattern": r"^(0|(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)$",
    "minLength": 1,
    "examples": ["500ms", "15s", "1m30s"],
}

#: Seconds, from a Prometheus duration; zero allowed.
Duration = Annotated[
    float, BeforeValidator(_duration), PlainSerializer(format_duration), WithJsonSchema(_DURATION_SCHEMA)
]
#: Seconds, from a Prometheus duration; greater than zero.
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]


# Sizes and counts

_SIZES = {
    "": 1,
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_SIZE = re.compile(rf"({_DIGITS}) ?([A-Za-z]*)", re.ASCII)
MAX_SIZE = 1000**3


def _size(value: Any) -> int:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)) and match[2] in _SIZES:
        size = int(match[1]) * _SIZES[match[2]]
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        raise problem("size", "found {found}; allowed: a size such as 512kB, 10MB or 1MiB", found=value)
    if not 1 <= size <= MAX_SIZE:
        raise problem("size", "found the size {found}; allowed: 1B to the maximum of 1GB", found=value)
    return size


#: Bytes, from a size such as `10MB`.
Size = Annotated[
    int, BeforeValidator(_size), WithJsonSchema({"type": ["string", "integer"], "examples": ["512kB", "10MB"]})
]


def _count(minimum: int, maximum: int) -> Callable[[Any], int]:
    def validate(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise problem("count", f"found {{found}}; allowed: an integer >= {minimum}", found=value)
        if value < minimum:
            raise problem("count", f"found {{found}}; allowed: an integer >= {minimum}", found=value)
        if value > maximum:
            raise problem("count", f"found {{found}}; allowed: at most {maximum}", found=value)
        return value

    return validate


def _count_schema(minimum: int, maximum: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "integer", "minimum": minimum, "maximum": maximum})


#: How many of something: 1 to 1000.
SmallCount = Annotated[int, BeforeValidator(_count(1, 1000)), _count_schema(1, 1000)]
#: How many of something: 1 to 1,000,000.
Count = Annotated[int, BeforeValidator(_count(1, 1_000_000)), _count_schema(1, 1_000_000)]
#: How many of something: 1 to 10^12.
LargeCount = Annotated[int, BeforeValidator(_count(1, 10**12)), _count_schema(1, 10**12)]


# Paths and text from files


def sealed(info: ValidationInfo) -> bool:
    """Whether the values come from outside (`context={"sealed": True}`): they may name no file and no variable."""
    return bool((info.context or {}).get("sealed"))


def resolve_path(path: str, info: ValidationInfo) -> str:
    """A path as the config means it: a relative one starts at the config file's folder."""
    base = (info.context or {}).get("base")
    return path if base is None else str(Path(base, path))


def _path(value: Any, info: ValidationInfo) -> str:
    if sealed(info):
        raise problem("path", "names a file; allowed here: the thing itself")
    if not isinstance(value, str):
        raise problem("path", "found {found}; allowed: the path of a file", found=value)
    if not value or "\0" in value:
        raise problem("path", "found an empty or unprintable path; allowed: the path of a file")
    return resolve_path(value, info)


#: The path of a file; relative ones start at the config file's folder.
FilePath = Annotated[str, BeforeValidator(_path), WithJsonSchema({"type": "string", "minLength": 1})]

MAX_TEXT = 1_000_000


def read_text(value: Any, info: ValidationInfo) -> str:
    """Text as the config means it: inline, or what is in `{file: PATH}`."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        raise problem("text", "found a number or boolean (not shown); string expected: write it in quotes")
    if not (isinstance(value, dict) and list(value) == ["file"]):
        raise problem("text", "found something else (not shown); allowed: text or {file: PATH}")
    path = Path(_path(value["file"], info))
    try:
        if not path.is_file():
            raise problem("text", f"file not found, or not a regular file: {path}")
        with path.open("rb") as file:
            data = file.read(MAX_TEXT + 1)
    except OSError as error:
        raise problem("text", f"cannot read {path}: {error.strerror}") from None
    if len(data) > MAX_TEXT:
        raise problem("text", f"{path} is larger than the maximum of 1MB")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise problem("text", f"{path} is not UTF-8 (byte {error.start})") from None


def _file_or(schema: dict[str, Any], *sources: str) -> dict[str, Any]:
    one = [
        {
            "type": "object",
            "properties": {source: {"type": "string", "minLength": 1}},
            "required": [source],
            "additionalProperties": False,
        }
        for source in sources
    ]
    return {"oneOf": [schema, *one]}


#: Text, inline or read from `{file: PATH}` when the config is loaded; at most 1 MB.
Text = Annotated[str, BeforeValidator(read_text), WithJsonSchema(_file_or({"type": "string"}, "file"))]


# Secrets and headers


def _secret(value: Any, info: ValidationInfo) -> SecretRef:
    if isinstance(value, SecretRef):
        return value
    if isinstance(value, str):
        if not value:
            raise problem("secret", "found an empty secret; allowed: text, {env: NAME} or {file: PATH}")
        if any(ord(char) < 32 or ord(char) == 127 for char in value):
            raise problem("secret", "found a control character in a secret (not shown); allowed: text without one")
        return SecretRef("inline", value)
    if isinstance(value, dict) and len(value) == 1:
        source, where = next(iter(value.items()))
        if sealed(info):
            raise problem("secret", "names a secret; allowed here: text")
        if source in ("env", "file") and isinstance(where, str) and where and "\0" not in where:
            return SecretRef(source, resolve_path(where, info) if source == "file" else where)
    if isinstance(value, int | float):
        raise problem("secret", "found a number or boolean (not shown); string expected: write it in quotes")
    raise problem("secret", "found something else (not shown); allowed: text, {env: NAME} or {file: PATH}")


#: A reference to a secret: inline text, `{env: NAME}` or `{file: PATH}`.
Secret = Annotated[
    SecretRef,
    BeforeValidator(_secret),
    PlainSerializer(lambda _: "<hidden>"),
    WithJsonSchema(_file_or({"type": "string", "minLength": 1}, "env", "file")),
]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: They frame the message or belong to one connection: the transport alone writes them.
_FRAMING = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
     "upgrade"}
)  # fmt: skip


def check_header_name(name: Any) -> str:
    """A header's name if it may be set. Raises a problem that says what is wrong with it."""
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise problem("header", "found {found}, which is not a header name; allowed: letters, digits and -", found=name)
    if name.lower() in _FRAMING:
        raise problem("header", "found {found}, which only the transport itself may set; leave it out", found=name)
    return name


def _headers(value: Any) -> Any:
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else "no mapping"
        raise problem("headers", f"found {kind}; allowed: a mapping of header names to values")
    seen: dict[str, str] = {}
    for name in value:
        check_header_name(name)
        if (other := seen.setdefault(name.lower(), name)) != name:
            message = "duplicate header: {found} and {other}; allowed: each name once, in whatever case"
            raise problem("headers", message, found=name, other=other)
    return value


#: A header's name.
HeaderName = Annotated[str, BeforeValidator(check_header_name), WithJsonSchema({"type": "string", "minLength": 1})]
#: Headers to send: name -> value, every value a secret.
Headers = Annotated[dict[str, Secret], BeforeValidator(_headers)]
