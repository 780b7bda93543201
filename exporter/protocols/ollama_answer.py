"""What an Ollama server says through its own API, read: answers, stream lines and descriptions. Pure."""

from collections.abc import Mapping
from typing import Any

from exporter.model.failure import Failure, Reason
from exporter.model.stream import Channel, Tokens
from exporter.protocols import account, answer
from exporter.protocols.language import Said
from exporter.protocols.reading import count, parse_object, string
from exporter.protocols.streaming import NOTHING, Step
from exporter.protocols.text import label, quote
from exporter.transport.framing import Event


def version(body: bytes) -> str:
    """The server's version. Raises `Failure` (malformed) when the answer has none."""
    found = string(parse_object(body).get("version"))
    if not found:
        raise Failure(Reason.MALFORMED, f"the answer has no version: {answer.message(body)}")
    return found


def described(shown: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, float]]:
    """Labels and numbers of an answer to `/api/show`."""
    details = shown.get("details")
    words = [string(details.get(key)) for key in ("format", "quantization_level")] if isinstance(details, dict) else []
    platform = " ".join(word for word in words if word not in ("", "unknown"))
    facts = {"parameter_count": _number(shown, "general.parameter_count"), "max_model_len": trained_context(shown)}
    return (
        {"platform": label(platform)} if platform else {},
        {key: float(number) for key, number in facts.items() if number is not None},
    )


def trained_context(shown: Mapping[str, Any]) -> int | None:
    """The longest context a model was made for; None where `/api/show` does not tell."""
    model_info = shown.get("model_info")
    family = string(model_info.get("general.architecture")) if isinstance(model_info, dict) else ""
    return _number(shown, f"{family}.context_length")


def whole(body: bytes) -> Said:
    """An answer that is not a stream. Raises `Failure` (malformed, error_event)."""
    value = parse_object(body)
    answer.refuse_error(value)
    if not isinstance(value.get("response"), str) and not isinstance(value.get("message"), dict):
        raise Failure(Reason.MALFORMED, f"the answer has no response and no message: {answer.message(body)}")
    step = _step(value)
    tools = {at: (name, "") for at, name, _ in step.tools}
    return Said(step.text, step.channels, step.finish, step.usage, tools, value, step.account)


def read(event: Event) -> Step:
    """One line of a stream. Raises `Failure` (malformed)."""
    if not event.data.strip():
        return NOTHING
    value = parse_object(event.data)
    error = answer.error_text(value)
    return Step(error=quote(error)) if error else _step(value)


def tokens(value: Mapping[str, Any]) -> Tokens | None:
    """Tokens as the server counted them; None when it did not. It leaves out a count of 0: all of it was cached."""
    read_, written = count(value.get("prompt_eval_count")), count(value.get("eval_count"))
    return None if read_ is None and written is None else Tokens(input=read_ or 0, output=written or 0)


def _step(value: Mapping[str, Any]) -> Step:
    message = value.get("message")
    said: Mapping[str, Any] = message if isinstance(message, dict) else value
    text = string(said.get("content" if said is message else "response"))
    thinking = string(said.get("thinking"))
    tools = _tools(said.get("tool_calls"))
    present = {Channel.CONTENT: text, Channel.REASONING: thinking, Channel.TOOL: tools}
    done = value.get("done") is True
    return Step(
        channels=tuple(channel for channel, what in present.items() if what),
        text=text,
        reasoning=thinking,
        # Old versions end without a reason.
        finish=(string(value.get("done_reason")) or "stop") if done else "",
        done=done,
        usage=tokens(value) if done else None,
        tools=tools,
        account=account.of_ollama(value) if done else account.NOTHING,
    )


def _tools(calls: Any) -> tuple[tuple[int, str, str], ...]:
    """Tool calls, each of which comes whole. Arguments are an object: they were parsed with the line."""
    found = []
    for place, call in enumerate(calls if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and (name := string(function.get("name"))):
            number = count(function.get("index"))
            found.append((place if number is None else number, name, ""))
    return tuple(found)


def _number(shown: Mapping[str, Any], key: str) -> int | None:
    model_info = shown.get("model_info")
    return count(model_info.get(key)) if isinstance(model_info, dict) else None
