"""JSON Schema: a schema from a config, and what of a JSON value does not fit it.

The library is an extra. A schema stands by itself: what it refers to outside is never fetched.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema

from exporter.model.extras import needs
from exporter.model.failure import Failure, Reason
from exporter.protocols import patterns
from exporter.protocols.reading import parse
from exporter.protocols.text import quote
from exporter.settings import problem, read_text

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

#: Errors that are looked for.
_MOST = 3
#: Characters of the library's own words that are passed on; longer ones quote whole values.
_WORDS = 90


def missing() -> bool:
    """Whether the library is not there."""
    return find_spec("jsonschema") is None


def _schema(value: Any, info: ValidationInfo) -> str:
    allowed = "allowed: a JSON Schema as a mapping, or {file: PATH} of a JSON file that holds one"
    if isinstance(value, dict) and list(value) == ["file"]:
        try:
            value = parse(read_text(value, info))
        except Failure as failure:
            raise problem("schema", f"the file is not JSON: {failure.detail}; {allowed}") from None
    if not isinstance(value, dict):
        raise problem("schema", f"found {{found}}; {allowed}", found=value)
    text = json.dumps(value)
    if not missing() and (wrong := _wrong(text)):
        raise problem("schema", f"found no JSON Schema: {wrong}; {allowed}")
    return text


#: A JSON Schema, inline or `{file: PATH}`, kept as the text of its JSON: values that compare and hash.
Schema = Annotated[
    str,
    BeforeValidator(_schema),
    WithJsonSchema({"type": "object", "description": "A JSON Schema, or {file: PATH} of a JSON file that holds one."}),
]


def check_schema(schema: str, value: Any) -> list[str]:
    """What of a JSON value does not fit a schema, in words; [] when it fits. Raises `Failure` (internal) where the
    library is not installed.
    """
    if missing():
        raise Failure(Reason.INTERNAL, f"a JSON Schema {needs('schema')}")
    from referencing.exceptions import Unresolvable

    try:
        errors = list(islice(_validator(schema).iter_errors(value), _MOST))
    except RecursionError:
        return ["the schema cannot be worked out on the answer: it is nested too deeply"]
    except Unresolvable:
        return ["the schema refers to something that is not in it"]
    except TimeoutError:
        return ["a regular expression of the schema takes too long on the answer"]
    return [_told(error) for error in errors]


def _told(error: Any) -> str:
    words = error.message
    if len(words) > _WORDS:
        words = f"{error.validator} does not hold"
    return f"{quote(error.json_path, 60)} does not fit the schema: {quote(words, _WORDS)}"


def _wrong(schema: str) -> str:
    """Why a text is no schema, `""` when it is one."""
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable

    try:
        validator = _validator(schema)
        type(validator).check_schema(json.loads(schema))
        for _ in _references(schema):
            pass
    except SchemaError as error:
        return f"{quote(error.json_path, 60)}: {quote(error.message, 100)}"
    except Unresolvable as error:
        return f"{quote(str(error.ref), 60)} is not in it, and nothing is fetched"
    except RecursionError:
        return "it is nested too deeply"
    return ""


def _references(schema: str) -> Iterator[Any]:
    """What its references lead to. Raises `Unresolvable` for one that leads out of the schema."""
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    resource = Resource.from_contents(json.loads(schema), default_specification=DRAFT202012)
    waiting = [(resource, Registry().resolver_with_root(resource))]
    while waiting:
        inner, resolver = waiting.pop()
        if isinstance(inner.contents, dict) and isinstance(reference := inner.contents.get("$ref"), str):
            yield resolver.lookup(reference).contents
        waiting += [(each, resolver.in_subresource(each)) for each in inner.subresources()]


@lru_cache(maxsize=256)
def _validator(schema: str) -> "Validator":
    from jsonschema import Draft202012Validator, validators
    from referencing import Registry

    value = json.loads(schema)
    kind = validators.validator_for(value, default=Draft202012Validator)
    # An empty registry: the library's own would fetch what a schema refers to.
    made: Validator = validators.extend(kind, {"pattern": _pattern})(value, registry=Registry())
    return made


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and not patterns.found(pattern, instance):
        yield ValidationError(f"{quote(instance, 40)!r} does not match {quote(pattern, 40)!r}")
