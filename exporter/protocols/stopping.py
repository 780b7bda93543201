"""Streams that are read only so far: the key, and what cannot be asked of the part that came."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from exporter.contracts import Problem
from exporter.settings import Count, Settings

#: Keys of `expect` that only a whole answer can be judged by.
_WHOLE = ("equals", "json_", "schema_", "tool_call")


class Stopping(Settings):
    """The key of a probe that reads a stream."""

    stop_after: Count | None = Field(
        default=None,
        description="Token events after which the stream is cut; what came by then is judged. Default: it is read to "
        "its end.",
    )


def problems(settings: Any) -> Sequence[Problem]:
    """What is expected of the whole of an answer that is cut."""
    # Not by getattr's default: a model says at length, inside, that it has no such key.
    if "stop_after" not in settings.model_fields_set or settings.stop_after is None:
        return ()
    fields = type(settings.expect).model_fields
    given = [key for key in _WHOLE if key in fields and getattr(settings.expect, key) is not None]
    text = "found beside stop_after; an answer that is cut is not whole"
    return tuple((("expect", fields[key].alias or key), text) for key in given)
