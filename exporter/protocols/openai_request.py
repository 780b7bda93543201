"""Requests to OpenAI-compatible servers: their settings, their bodies, and what some servers refuse of them."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import Field

from exporter.protocols.expect import TextExpect
from exporter.protocols.family import Canary
from exporter.settings import Count, PositiveDuration, Text

DEFAULT_PROMPT = "Say OK."

_ROUTES = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
_OWN_KEYS = ("prompt", "messages", "max_tokens", "temperature", "seed")


class AnswerExpect(TextExpect):
    """What must hold of what the model said."""

    tool_call: str | None = Field(
        default=None, min_length=1, description="Name of a tool that must be called, with arguments that are JSON."
    )


class Ask(Canary):
    """One request to a language model."""

    api: Literal["chat", "completions"] = Field(default="chat", description="Which of the server's APIs is asked.")
    prompt: Text | None = Field(
        default=None, description=f'What to say to the model, or {{file: PATH}}. Default: "{DEFAULT_PROMPT}"'
    )
    messages: list[dict[str, Any]] | None = Field(
        default=None, min_length=1, description="A conversation, in place of a prompt."
    )
    max_tokens: Count = Field(default=16, description="Most tokens the model may write.")
    temperature: float | None = Field(
        default=0.0, ge=0, description="Sampling temperature. Left out where the server refuses it; null: never sent."
    )
    seed: int | None = Field(default=None, description="Sampling seed. Default: none is sent.")
    expect: AnswerExpect = Field(default=AnswerExpect(), description="What must hold of the answer.")


class AskStream(Ask):
    """One request whose answer is read token by token."""

    first_token_timeout: PositiveDuration | None = Field(
        default=None, description="Longest wait for the first token. Default: the timeout."
    )
    idle_timeout: PositiveDuration | None = Field(
        default=None, description="Longest wait between tokens. Default: 10s, or half the timeout if that is less."
    )


def route(settings: Ask) -> str:
    """The API route of a request."""
    return settings.path or _ROUTES[settings.api]


def problems(settings: Ask, *, stream: bool) -> Sequence[tuple[tuple[str | int, ...], str]]:
    """What is contradictory: (field path, message)."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    if settings.prompt is not None and settings.messages is not None:
        found.append((("messages",), "found prompt and messages; needs exactly one of them"))
    if settings.messages is not None and settings.api == "completions":
        found.append((("messages",), "found messages with api completions; allowed: prompt"))
    if settings.body is not None:
        beside = [key for key in _OWN_KEYS if key in settings.model_fields_set and getattr(settings, key) is not None]
        found += [((key,), "found beside body; needs one of them") for key in beside]
        if stream and not (isinstance(settings.body, dict) and settings.body.get("stream") is True):
            found.append((("body",), "the body of a stream probe needs stream: true"))
    return found


def payload(settings: Ask, model: str, *, stream: bool, without: Iterable[str]) -> Any:
    """The request's body. `without` names keys this server refused before."""
    if settings.body is not None:
        return settings.body
    prompt = DEFAULT_PROMPT if settings.prompt is None else settings.prompt
    request: dict[str, Any] = {"model": model} if model else {}
    if settings.api == "completions":
        request["prompt"] = prompt
    else:
        request["messages"] = settings.messages or [{"role": "user", "content": prompt}]
    request["max_tokens"] = settings.max_tokens
    if settings.temperature is not None:
        request["temperature"] = settings.temperature
    if settings.seed is not None:
        request["seed"] = settings.seed
    if stream:
        request["stream"] = True
        request["stream_options"] = {"include_usage": True}
    for key in without:
        value = request.pop(key, None)
        if key == "max_tokens" and value is not None:
            request["max_completion_tokens"] = value
    return request


def refused(status: int, body: bytes, request: Any, *, own: bool) -> str | None:
    """The key that a server says it does not take and that can be left out or put otherwise; None when it says none.

    `own`: the body is ours, not the operator's, which is never changed.
    """
    if not own or status not in (400, 422):
        return None
    text = body.decode("utf-8", "replace")
    if "stream_options" in request and "stream_options" in text:
        return "stream_options"
    if "max_tokens" in request and "max_completion_tokens" in text:
        return "max_tokens"
    if "temperature" in request and "temperature" in text:
        return "temperature"
    return None
