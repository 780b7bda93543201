"""pydantic's errors in our words: what was found, what is allowed, and never a value that may be secret.

A message may hold WRITTEN: it stands for the scalar as it was written, which is known once positions are.
"""

import types
import typing
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from exporter.config.deferred import Deferred
from exporter.config.problems import MOST, Finding, Path, did_you_mean
from exporter.settings import Settings, shown

WRITTEN = "\0written\0"

#: Below these keys values are never quoted.
_PRIVATE = frozenset(
    {"auth", "body", "headers", "input", "inputs", "messages", "prompt", "query", "text", "texts", "url"}
)

_MAPPINGS = ("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type")
_LISTS = ("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type")
_NUMBERS = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
}
_BOUNDS = {
    "greater_than": (">", "gt"),
    "greater_than_equal": (">=", "ge"),
    "less_than": ("<", "lt"),
    "less_than_equal": ("<=", "le"),
}


def translate(
    errors: Iterable[Any], value: Any, model: type[Settings], prefix: Path = (), extra_keys: Collection[str] = ()
) -> list[Finding]:
    """Findings for pydantic's errors about `value`, which stands at `prefix`; one for each place, and no more than are
    told.

    `extra_keys` are further keys the outermost block may have.
    """
    findings: dict[Path, list[str]] = {}
    keys: set[Path] = set()
    for error in errors:
        if len(findings) > MOST:
            break
        local = real_path(error["loc"], value)
        path = (*prefix, *local)
        if error["type"] == "missing":
            path = (*prefix, *real_path(error["loc"][:-1], value), error["loc"][-1])
        messages = findings.setdefault(path, [])
        if error["type"] == "extra_forbidden":
            keys.add(path)
            known = known_keys(model, local[:-1])
            message = unknown_key(str(local[-1]), {*known, *extra_keys} if len(local) == 1 else known)
        else:
            message = _message(error, private=any(part in _PRIVATE for part in path))
        if message not in messages:
            messages.append(message)
    return [Finding(path, _join(messages), key=path in keys) for path, messages in findings.items()]


def unknown_key(key: str, known: Collection[str]) -> str:
    """What to say of a key that nobody knows."""
    return f"unknown field; {did_you_mean(key, known)}"


def known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys of the block at a path below a model."""
    found = _models_at(model, path)
    return sorted({field.alias or name for each in found for name, field in each.model_fields.items()})


def wanted_text(value: Any, *, private: bool = False) -> str:
    """What to say of a value that should be text."""
    if private and not isinstance(value, dict | list):
        return "found no text (not shown); string expected: write it in quotes"
    if isinstance(value, bool):
        return f"found {WRITTEN}, which YAML reads as a boolean; string expected: quote it"
    if isinstance(value, int | float):
        return f"found {WRITTEN}, which YAML reads as a number; string expected: quote it"
    return f"found {shown(value)}; string expected"


def _message(error: Any, *, private: bool) -> str:  # noqa: C901 - one line for each kind of error
    kind, value, context = error["type"], error.get("input"), error.get("ctx") or {}
    found = _found(value, private)
    if kind == "missing":
        return "required field is missing"
    if kind == "string_type" or ("string expected" in error["msg"] and isinstance(value, bool | int | float)):
        return wanted_text(value, private=private)
    if kind in _MAPPINGS:
        return f"found {found}; mapping expected"
    if kind in _LISTS:
        return f"found {found}; list expected"
    if kind in _NUMBERS:
        return f"found {found}; allowed: {_NUMBERS[kind]}"
    if kind in ("bool_type", "bool_parsing"):
        return f"found {found}; boolean expected: true or false"
    if kind in _BOUNDS:
        sign, name = _BOUNDS[kind]
        number = "an integer" if isinstance(context[name], int) else "a number"
        bound = f"{context[name]:g}" if isinstance(context[name], float) else context[name]
        return f"found {found}; allowed: {number} {sign} {bound}"
    if kind in ("literal_error", "enum"):
        return _choice(value, context["expected"], private)
    if kind in ("too_short", "string_too_short"):
        return f"too short; allowed: at least {context['min_length']} {_things(kind, context['min_length'])}"
    if kind in ("too_long", "string_too_long"):
        return f"too long; allowed: at most {context['max_length']} {_things(kind, context['max_length'])}"
    if kind == "string_pattern_mismatch":
        return f"found {found}; allowed: text that matches {context['pattern']}"
    if kind == "finite_number":
        return "found a number that is not finite"
    if kind == "none_required":
        return f"found {found}; allowed: null"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", error["msg"]))
    return str(error["msg"])


def _things(kind: str, number: int) -> str:
    thing = "character" if kind.startswith("string") else "entr"
    if thing == "entr":
        return "entry" if number == 1 else "entries"
    return thing if number == 1 else f"{thing}s"


def _found(value: Any, private: bool) -> str:
    if value is None or isinstance(value, dict | list | tuple):
        return shown(value)
    if private:
        return "text" if isinstance(value, str) else "a boolean" if isinstance(value, bool) else "a number"
    return WRITTEN if isinstance(value, bool | int | float) else shown(value)


def _choice(value: Any, expected: str, private: bool) -> str:
    allowed = [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(",")]
    texts = "'" in expected
    if texts and not isinstance(value, str) and not isinstance(value, dict | list) and value is not None:
        return f"{wanted_text(value, private=private).partition(';')[0]}; allowed: text, one of {', '.join(allowed)}"
    message = f"found {_found(value, private)}; allowed: {', '.join(allowed)}"
    if isinstance(value, str) and not private:
        near = did_you_mean(value, allowed)
        if near.startswith("did you mean"):
            message = f"found {_found(value, private)}; {near} allowed: {', '.join(allowed)}"
    return message


def _join(messages: list[str]) -> str:
    """One message for the branches of a union."""
    if len(messages) == 1:
        return messages[0]
    founds = {message.partition("; ")[0] for message in messages}
    if len(founds) == 1:
        return f"{founds.pop()}; {', or '.join(message.partition('; ')[2] for message in messages)}"
    return ", or ".join(messages)


def real_path(loc: Iterable[str | int], value: Any) -> Path:
    """The part of a loc of pydantic's that exists in the value: names of union branches and validators are left out."""
    path: list[str | int] = []
    for part in loc:
        inside = part in value if isinstance(value, Mapping) else isinstance(value, list) and part in range(len(value))
        if inside:
            value = value[part]
            path.append(part)
    return tuple(path)


def _models_at(model: type[BaseModel], path: Path) -> list[type[BaseModel]]:
    found: list[Any] = [model]
    for part in path:
        following: list[Any] = []
        for each in found if isinstance(part, int) else _alone(found):
            if isinstance(each, type) and issubclass(each, BaseModel):
                for name, field in each.model_fields.items():
                    if part == (field.alias or name):
                        following += _unwrap(field.annotation)
            elif typing.get_origin(each) in (dict, Mapping, list, tuple):
                following += [one for argument in typing.get_args(each)[-1:] for one in _unwrap(argument)]
        found = following
    return [each for each in _alone(found) if isinstance(each, type) and issubclass(each, BaseModel)]


def _alone(found: list[Any]) -> list[Any]:
    """With what a list holds: where there may be several, one may stand alone."""
    lists = [each for each in found if typing.get_origin(each) is list]
    return found + [one for each in lists for argument in typing.get_args(each) for one in _unwrap(argument)]


def _unwrap(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        inner, *marks = typing.get_args(annotation)
        deferred = [mark.model for mark in marks if isinstance(mark, Deferred)]
        return deferred or _unwrap(inner)
    if origin in (typing.Union, types.UnionType):
        return [one for argument in typing.get_args(annotation) for one in _unwrap(argument)]
    return [annotation]
