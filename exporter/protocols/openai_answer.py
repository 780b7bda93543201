"""What an OpenAI-compatible server says, read: listings, answers and stream events. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from exporter.model.failure import Failure, Reason
from exporter.model.stream import Channel, Tokens
from exporter.protocols import answer
from exporter.protocols.reading import kind, parse, parse_object
from exporter.protocols.streaming import NOTHING, Step
from exporter.protocols.text import label, quote
from exporter.transport.framing import Event

#: What `owned_by` of a listed model says of the server.
OWNERS: Mapping[str, str] = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llama.cpp",
    "library": "ollama",
    "infinity": "infinity",
}

_MOST_TOKENS = 10**9


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: what the model said in which channels, and how it ended."""

    text: str
    channels: tuple[Channel, ...]
    finish: str
    usage: Tokens | None
    tools: dict[int, tuple[str, str]]


def models(body: bytes) -> list[dict[str, Any]]:
    """The entries of `GET /v1/models`. Raises `Failure` (malformed, error_event) when it is no such list."""
    value = parse_object(body)
    _refuse_error(value)
    data = value.get("data")
    if not isinstance(data, list) or not all(
        isinstance(item, dict) and isinstance(item.get("id"), str) for item in data
    ):
        raise Failure(Reason.MALFORMED, f"the answer is not a list of models: {answer.message(body)}")
    return data


def is_listing(data: Any) -> TypeGuard[list[dict[str, Any]]]:
    """Whether a value is a list, maybe empty, of objects that each have an id."""
    return isinstance(data, list) and all(isinstance(item, dict) and isinstance(item.get("id"), str) for item in data)


def litserve_routes(body: bytes) -> tuple[str, ...]:
    """The inference routes a LitServe server tells in its `/info`; none when the body is of something else."""
    try:
        value = parse(body) if body.lstrip()[:1] == b"{" else None
    except Failure:
        return ()
    server = value.get("server") if isinstance(value, dict) and "model" in value else None
    if not isinstance(server, dict) or not isinstance(server.get("devices"), list):
        return ()
    stream = server.get("stream")
    # Older versions say only whether they stream; then the route is the default one.
    return tuple(stream) if isinstance(stream, dict) and stream else ("/predict",)


def lists(entries: list[dict[str, Any]], model: str) -> dict[str, Any] | None:
    """The entry of a model. A name without a tag is the name with `latest`, as Ollama has it."""
    return next((entry for entry in entries if entry["id"] in (model, f"{model}:latest")), None)


def server_of(entry: Mapping[str, Any]) -> str:
    """The server a listed model was served by, `""` when the entry does not tell."""
    owner = entry.get("owned_by")
    known = OWNERS.get(owner, "") if isinstance(owner, str) else ""
    return known or ("vllm" if "max_model_len" in entry and "root" in entry and "permission" in entry else "")


def describe(entry: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, float]]:
    """Labels and numbers of a listed model."""
    info = {"model_id": label(root if isinstance(root := entry.get("root"), str) and root else entry["id"])}
    if server := server_of(entry):
        info["server"] = server
    length = _count(entry.get("max_model_len"))
    return info, {} if length is None else {"max_model_len": float(length)}


def usage_of(value: Any) -> Tokens | None:
    """Tokens by disjoint type; None when the server did not count, or counted what cannot be."""
    if not isinstance(value, dict):
        return None
    prompt, completion = _count(value.get("prompt_tokens")), _count(value.get("completion_tokens"))
    if prompt is None and completion is None:
        return None
    cached = _detail(value, "prompt_tokens_details", "cached_tokens")
    reasoning = _detail(value, "completion_tokens_details", "reasoning_tokens")
    return Tokens(
        input=max(0, (prompt or 0) - cached),
        output=max(0, (completion or 0) - reasoning),
        reasoning=reasoning,
        cached=cached,
    )


def whole(body: bytes) -> Answer:
    """An answer that is not a stream. Raises `Failure` (malformed, error_event)."""
    value = parse_object(body)
    _refuse_error(value)
    choice = _choice(value)
    if choice is None:
        raise Failure(Reason.MALFORMED, f"the answer has no choices: {answer.message(body)}")
    said = choice.get("message") if "message" in choice else choice
    if not isinstance(said, dict):
        raise Failure(Reason.MALFORMED, f"the message is {kind(said)}; an object was expected")
    step = _said(said)
    usage = usage_of(value.get("usage"))
    if usage is not None and step.channels and usage.output + usage.reasoning == 0:
        usage = None  # zeros beside an answer: not counted
    tools: dict[int, tuple[str, str]] = {index: (name, arguments) for index, name, arguments in step.tools}
    return Answer(step.text, step.channels, _text(choice.get("finish_reason")), usage, tools)


def read(event: Event) -> Step:
    """One event of a chat or completions stream. Raises `Failure` (malformed)."""
    data = event.data.strip()
    if data == "[DONE]":
        return Step(done=True)
    if event.name == "ping" or not data:
        return NOTHING
    value = parse_object(data)
    error = answer.error_text(value)
    if error or event.name == "error":
        return Step(error=quote(error or data))
    usage = usage_of(value.get("usage"))
    choice = _choice(value)
    if choice is None:
        return Step(usage=usage) if usage is not None else NOTHING
    said = choice.get("delta") if "delta" in choice else choice
    step = _said(said) if isinstance(said, dict) else NOTHING
    return Step(
        channels=step.channels,
        text=step.text,
        finish=_text(choice.get("finish_reason")),
        usage=usage,
        tools=step.tools,
    )


def _refuse_error(value: Any) -> None:
    error = answer.error_text(value)
    if error:
        raise Failure(Reason.ERROR_EVENT, f"an error with status 200: {quote(error)}")


def _choice(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first choice. Some servers send null or an empty list beside usage; further choices are not looked at."""
    choices = value.get("choices")
    if not choices and (choices is None or isinstance(choices, list)):
        return None
    if not isinstance(choices, list) or not all(isinstance(item, dict) for item in choices):
        raise Failure(Reason.MALFORMED, "choices is not a list of objects")
    return next((item for item in choices if item.get("index", 0) == 0), None)


def _said(said: Mapping[str, Any]) -> Step:
    """What a delta, a message or a completions choice carries in each channel."""
    text = _text(said.get("content")) or _text(said.get("refusal")) or _text(said.get("text"))
    channels = [Channel.CONTENT] if text else []
    if _text(said.get("reasoning")) or _text(said.get("reasoning_content")):
        channels.append(Channel.REASONING)
    tools = _tools(said)
    if any(name or arguments for _, name, arguments in tools):
        channels.append(Channel.TOOL)
    return Step(channels=tuple(channels), text=text, tools=tools)


def _tools(said: Mapping[str, Any]) -> tuple[tuple[int, str, str], ...]:
    calls = said.get("tool_calls")
    found = []
    for place, call in enumerate(calls if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            index = call.get("index", place)
            number = index if isinstance(index, int) else place
            found.append((number, _text(function.get("name")), _text(function.get("arguments"))))
    old = said.get("function_call")
    if isinstance(old, dict):
        found.append((0, _text(old.get("name")), _text(old.get("arguments"))))
    return tuple(found)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    number = isinstance(value, int) and not isinstance(value, bool)
    return value if number and 0 <= value <= _MOST_TOKENS else None


def _detail(usage: Mapping[str, Any], group: str, key: str) -> int:
    details = usage.get(group)
    return (_count(details.get(key)) or 0) if isinstance(details, dict) else 0
