"""OpenAI's Responses API, read: a whole response, and the events of a streamed one. Pure.

Source: OpenAI's API reference (responses, streaming events). A stream ends with one of three events and no `[DONE]`.
"""

from collections.abc import Mapping
from typing import Any

from exporter.model.failure import Failure, Reason
from exporter.model.stream import Channel, Tokens
from exporter.protocols import account, answer
from exporter.protocols.language import Said
from exporter.protocols.openai_answer import believed, signed, told_of
from exporter.protocols.reading import count, parse_object, string
from exporter.protocols.streaming import NOTHING, Step
from exporter.protocols.text import quote
from exporter.transport.framing import Event

#: Why a response is incomplete, in the words of the other APIs.
_ENDS = {"max_output_tokens": "length", "max_tokens": "length"}
_CALLS = frozenset({"function_call", "custom_tool_call"})


def whole(body: bytes) -> Said:
    """A response that is not a stream. Raises `Failure` (malformed, error_event, incomplete)."""
    value = parse_object(body)
    answer.refuse_error(value)
    output = value.get("output")
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        raise Failure(Reason.MALFORMED, f"the answer has no output: {answer.message(body)}")
    status = value.get("status", "completed")
    if status == "failed":
        raise Failure(Reason.ERROR_EVENT, "the response failed, without a word why")
    if status not in ("completed", "incomplete"):
        raise Failure(Reason.INCOMPLETE, f"the response is {quote(str(status), 60)}")
    texts: list[str] = []
    channels: dict[Channel, None] = {}
    tools: dict[int, tuple[str, str]] = {}
    for place, item in enumerate(output):
        if item.get("type") in _CALLS:
            tools[place] = (string(item.get("name")), string(item.get("arguments")) or string(item.get("input")))
            channels[Channel.TOOL] = None
        elif item.get("type") == "reasoning":
            if any(_texts(item, key) for key in ("content", "summary")):
                channels[Channel.REASONING] = None
        elif found := _texts(item, "content"):
            texts += found
            channels[Channel.CONTENT] = None
    usage = believed(_usage(value), tuple(channels))
    return Said(
        "".join(texts), tuple(channels), _finish(value), usage, tools, value, account.of_openai(value), signed(value)
    )


def read(event: Event) -> Step:
    """One event of a stream. Kinds that are not known say nothing. Raises `Failure` (malformed)."""
    data = event.data.strip()
    if not data or data == "[DONE]" or event.name == "ping":
        return NOTHING  # `[DONE]` is what some servers add; the end is the event before it
    value = parse_object(data)
    kind = string(value.get("type")) or event.name
    match kind:
        case "response.completed" | "response.incomplete":
            response = value.get("response")
            response = response if isinstance(response, dict) else {}
            told = account.of_openai(response)
            return Step(finish=_finish(response), done=True, usage=_usage(response), account=told)
        case "response.failed" | "error":
            return Step(error=_error(value) or quote(data))
        case "response.output_text.delta" | "response.refusal.delta":
            text = string(value.get("delta"))
            return Step(channels=(Channel.CONTENT,), text=text) if text else NOTHING
        case "response.output_item.added":
            return _begun(value)
        case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
            part = string(value.get("delta"))
            return Step(channels=(Channel.TOOL,), tools=((_place(value), "", part),)) if part else NOTHING
    if kind.startswith("response.reasoning") and kind.endswith(".delta"):  # of the text, or of a summary of it
        thought = string(value.get("delta"))
        return Step(channels=(Channel.REASONING,), reasoning=thought) if thought else NOTHING
    error = answer.error_text(value)
    return Step(error=quote(error)) if error else NOTHING


def _begun(value: Mapping[str, Any]) -> Step:
    item = value.get("item")
    if not isinstance(item, dict) or item.get("type") not in _CALLS:
        return NOTHING
    name = string(item.get("name"))
    return Step(channels=(Channel.TOOL,), tools=((_place(value), name, ""),)) if name else NOTHING


def _error(value: Mapping[str, Any]) -> str:
    """What a failed response, or an error event, says."""
    response = value.get("response")
    inner = answer.error_text(response) if isinstance(response, dict) else ""
    return quote(inner or answer.error_text(value) or string(value.get("message")) or string(value.get("code")))


def _finish(response: Mapping[str, Any]) -> str:
    if response.get("status") != "incomplete":
        return "stop"
    details = response.get("incomplete_details")
    why = string(details.get("reason")) if isinstance(details, dict) else ""
    return _ENDS.get(why, why or "length")


def _usage(response: Mapping[str, Any]) -> Tokens | None:
    """Tokens by disjoint type; None when the server did not count."""
    usage = response.get("usage")
    if not isinstance(usage, dict):
        return None
    asked, made = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    if asked is None and made is None:
        return None
    cached = told_of(usage, "input_tokens_details", "cached_tokens")
    reasoning = told_of(usage, "output_tokens_details", "reasoning_tokens")
    return Tokens(
        input=max(0, (asked or 0) - cached), output=max(0, (made or 0) - reasoning), reasoning=reasoning, cached=cached
    )


def _texts(item: Mapping[str, Any], key: str) -> list[str]:
    """The texts, or refusals, of an item's parts."""
    parts = item.get(key)
    found = [
        string(part.get("text")) or string(part.get("refusal"))
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, dict)
    ]
    return [text for text in found if text]


def _place(value: Mapping[str, Any]) -> int:
    return count(value.get("output_index")) or 0
