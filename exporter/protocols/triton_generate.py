"""Triton's generate extension: requests with one key per input, answers as server-sent events with one key per output.

Source: triton-inference-server/server, docs/protocol/extension_generate.md. It promises no end marker. An error may
come as an event after HTTP 200, and as one with a status of its own.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from exporter.model.failure import Failure, Reason
from exporter.model.stream import Channel
from exporter.protocols import answer
from exporter.protocols.compare import flatten
from exporter.protocols.language import Question, TokenWaits
from exporter.protocols.reading import parse_object
from exporter.protocols.streaming import NOTHING, Step
from exporter.protocols.tensors import Infer, Version
from exporter.protocols.text import quote
from exporter.transport.framing import Event, SseParser

#: Keys of an event that are no output of the model.
_RESERVED = frozenset({"model_name", "model_version", "id", "parameters"})
_TEXT = "text_output"


class Generate(Version, TokenWaits, Question):
    """One request whose answers are read as they come. The prompt is sent as text_input."""

    inputs: dict[str, Any] = Field(
        default={},
        description="Inputs of the model by name, each a value or a list. The default prompt is then not sent.",
    )
    parameters: dict[str, str | int | float | bool] = Field(
        default={}, description="Further parameters, such as temperature; `stream` and `max_tokens` are sent anyway."
    )

    def sampling(self) -> Any:
        """Parameters, which some backends want as inputs."""
        return (self.inputs | self.parameters) if self.body is None else self.body

    @property
    def varies(self) -> bool:
        """Inputs of the operator's own are sent as they are."""
        return (self.prompt is not None or not self.inputs) and super().varies


def request(settings: Generate) -> Any:
    """The request a stream probe's settings stand for. A parameter that is an input of the model becomes that input, so
    it does not matter which of the two a backend wants.
    """
    if settings.body is not None:
        return settings.body
    made: dict[str, Any] = dict(settings.inputs)
    if settings.prompt is not None or not settings.inputs:
        made["text_input"] = settings.words()
    made["parameters"] = {"stream": True, "max_tokens": settings.max_tokens, **settings.parameters}
    return made


def of_tensors(settings: Infer) -> dict[str, Any]:
    """The same inference as `settings` stand for, as the generate extension writes it: every input flat, one that has a
    single element as that.
    """
    made: dict[str, Any] = {} if settings.id is None else {"id": settings.id}
    for tensor in settings.inputs or ():
        data = flatten(tensor.data)
        made[tensor.name] = data[0] if len(data) == 1 else data
    if settings.parameters:
        made["parameters"] = settings.parameters
    return made


def as_outputs(body: bytes, at: float) -> dict[str, Any]:
    """A whole event stream as the answer to one inference: what its events brought for each output, put together.

    Raises `Failure` (error_event, malformed, empty).
    """
    events = SseParser()
    events.feed(at, body)
    found = [parse_object(event.data) for event in _all(events, at) if event.data.strip()]
    outputs: dict[str, list[Any]] = {}
    for value in found:
        error = answer.error_text(value)
        if error:
            raise Failure(Reason.ERROR_EVENT, quote(error))
        for name, data in _outputs(value).items():
            outputs.setdefault(name, []).append(data)
    if not found:
        raise Failure(Reason.EMPTY, "the stream ended without an answer")
    rest = {key: found[-1].get(key) for key in ("model_name", "model_version", "id")}
    return rest | {"outputs": [{"name": name, "data": flatten(data)} for name, data in outputs.items()]}


def read(event: Event) -> Step:
    """One event of a stream. Its text is text_output, else the other outputs as JSON."""
    if not event.data.strip():
        return NOTHING
    value = parse_object(event.data)
    error = answer.error_text(value)
    if error:
        return Step(error=quote(error))
    text = _text(_outputs(value))
    return Step(channels=(Channel.CONTENT,), text=text) if text else NOTHING


def message(body: bytes) -> bytes:
    """The body of a refusal, out of the event it may be framed as."""
    return body.removeprefix(b"data:").strip()


def _outputs(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: data for key, data in value.items() if key not in _RESERVED and not key.startswith("sequence_")}


def _text(outputs: Mapping[str, Any]) -> str:
    said = outputs.get(_TEXT)
    if _TEXT in outputs:
        return "".join(str(part) for part in flatten([said]))
    return json.dumps(list(outputs.values())) if outputs else ""


def _all(events: SseParser, at: float) -> Iterable[Event]:
    yield from events
    last = events.finish(at)
    if last is not None:
        yield last
