"""What an OpenAI-compatible server says, read: listings, answers and stream events of chat and completions. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeGuard

from exporter.contracts import Headers
from exporter.model.failure import Failure, Reason
from exporter.model.stream import Channel, Tokens
from exporter.protocols import account, answer
from exporter.protocols.language import Said
from exporter.protocols.reading import count, kind, parse_object, string
from exporter.protocols.streaming import NOTHING, Step
from exporter.protocols.text import label, quote
from exporter.transport.framing import Event

#: Ways to say that a model is not there, without its name or without 404: OpenAI, Azure, LiteLLM, transformers serve.
_NO_MODEL = (b'"model_not_found"', b'"deploymentnotfound"', b"invalid model name", b"server is pinned to")


def judge(status: int, headers: Headers, body: bytes, *, model: str = "", path: str = "") -> Failure | None:
    """The failure of an answer, None for 2xx."""
    failure = answer.judge(status, headers, body, model=model, path=path)
    if failure is None or failure.reason is not Reason.HTTP_STATUS or not 400 <= status < 500:
        return failure
    text = body[: answer.LOOK].lower()
    if not any(words in text for words in _NO_MODEL):
        return failure
    return Failure(Reason.MODEL_NOT_FOUND, failure.detail, http_status=status, retry_after=failure.retry_after)


def models(body: bytes) -> list[dict[str, Any]]:
    """The entries of `GET /v1/models`. Raises `Failure` (malformed, error_event) when it is no such list."""
    value = parse_object(body)
    answer.refuse_error(value)
    data = value.get("data")
    if data is None and value.get("object") == "list":
        return []  # Ollama without a model
    if not is_listing(data):
        raise Failure(Reason.MALFORMED, f"the answer is not a list of models: {answer.message(body)}")
    return data


def is_listing(data: Any) -> TypeGuard[list[dict[str, Any]]]:
    """Whether a value is a list, maybe empty, of objects that each have an id."""
    return isinstance(data, list) and all(isinstance(item, dict) and isinstance(item.get("id"), str) for item in data)


def lists(entries: list[dict[str, Any]], model: str) -> dict[str, Any] | None:
    """The entry of a model. A name without a tag is the name with `latest`, as Ollama has it; `NAME/*` is LiteLLM's for
    every model of a provider.
    """
    names = (model, f"{model}:latest", f"{model.partition('/')[0]}/*")
    return next((entry for name in names for entry in entries if entry["id"] == name), None)


def usage_of(value: Any) -> Tokens | None:
    """Tokens by disjoint type; None when the server did not count, or counted what cannot be."""
    if not isinstance(value, dict):
        return None
    prompt, completion = count(value.get("prompt_tokens")), count(value.get("completion_tokens"))
    if prompt is None and completion is None:
        return None
    cached = told_of(value, "prompt_tokens_details", "cached_tokens")
    reasoning = told_of(value, "completion_tokens_details", "reasoning_tokens")
    return Tokens(
        input=max(0, (prompt or 0) - cached),
        output=max(0, (completion or 0) - reasoning),
        reasoning=reasoning,
        cached=cached,
    )


def believed(usage: Tokens | None, channels: tuple[Channel, ...]) -> Tokens | None:
    """The server's own count, None where it reports zeros beside an answer: then it did not count."""
    return None if usage is not None and channels and usage.output + usage.reasoning == 0 else usage


def whole(body: bytes) -> Said:
    """An answer that is not a stream. Raises `Failure` (malformed, error_event)."""
    value = parse_object(body)
    answer.refuse_error(value)
    choice = _choice(value)
    if choice is None:
        raise Failure(Reason.MALFORMED, f"the answer has no choices: {answer.message(body)}")
    said = choice.get("message") if "message" in choice else choice
    if not isinstance(said, dict):
        raise Failure(Reason.MALFORMED, f"the message is {kind(said)}; an object was expected")
    step = _said(said)
    usage = believed(usage_of(value.get("usage")), step.channels)
    tools: dict[int, tuple[str, str]] = {index: (name, arguments) for index, name, arguments in step.tools}
    finish = string(choice.get("finish_reason"))
    return Said(step.text, step.channels, finish, usage, tools, value, account.of_openai(value), signed(value))


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
    told = account.of_openai(value)
    choice = _choice(value)
    if choice is None:
        return Step(usage=usage, account=told) if usage is not None or told else NOTHING
    said = choice.get("delta") if "delta" in choice else choice
    step = _said(said) if isinstance(said, dict) else NOTHING
    finish = string(choice.get("finish_reason"))
    return replace(step, finish=finish, usage=usage, account=told, info=signed(value) if finish else {})


def signed(value: Mapping[str, Any]) -> dict[str, str]:
    """What an answer tells of who gave it: the model's name, which may not be the one that was asked, and the
    fingerprint of weights and settings.
    """
    signs = {"served_name": string(value.get("model")), "system_fingerprint": string(value.get("system_fingerprint"))}
    return {key: label(sign) for key, sign in signs.items() if sign}


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
    text = string(said.get("content")) or string(said.get("refusal")) or string(said.get("text"))
    channels = [Channel.CONTENT] if text else []
    # During a change of names some servers send the same thought under both.
    reasoning = string(said.get("reasoning")) or string(said.get("reasoning_content"))
    if reasoning:
        channels.append(Channel.REASONING)
    tools = _tools(said)
    if any(name or arguments for _, name, arguments in tools):
        channels.append(Channel.TOOL)
    return Step(channels=tuple(channels), text=text, reasoning=reasoning, tools=tools)


def _tools(said: Mapping[str, Any]) -> tuple[tuple[int, str, str], ...]:
    calls = said.get("tool_calls")
    found = []
    for place, call in enumerate(calls if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            index = call.get("index", place)
            number = index if isinstance(index, int) else place
            found.append((number, string(function.get("name")), string(function.get("arguments"))))
    old = said.get("function_call")
    if isinstance(old, dict):
        found.append((0, string(old.get("name")), string(old.get("arguments"))))
    return tuple(found)


def told_of(usage: Mapping[str, Any], group: str, key: str) -> int:
    """Tokens of one kind, out of a group of a usage; 0 where they are not told."""
    details = usage.get(group)
    return (count(details.get(key)) or 0) if isinstance(details, dict) else 0
