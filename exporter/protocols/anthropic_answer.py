"""What a server of Anthropic's Messages API says, read: errors, listings, messages and stream events. Pure."""

from collections.abc import Mapping
from typing import Any

from exporter.contracts import Headers
from exporter.model.failure import Failure, Reason
from exporter.model.stream import Channel, Tokens
from exporter.protocols import answer
from exporter.protocols.language import Said
from exporter.protocols.openai_answer import is_listing
from exporter.protocols.reading import count, json_or_none, parse_object, string
from exporter.protocols.streaming import NOTHING, Step
from exporter.protocols.text import quote
from exporter.transport.framing import Event

#: What a stop reason means where it is not an ordinary end.
_ENDS = {"max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "content_filter"}

#: Errors that say more than that something is wrong, wherever they stand.
_REASONS = {
    "overloaded_error": Reason.OVERLOADED,
    "rate_limit_error": Reason.RATE_LIMITED,
    "billing_error": Reason.AUTH,
}


def judge(status: int, headers: Headers, body: bytes, *, model: str, path: str) -> Failure | None:
    """The failure of an answer, None for 2xx. An account without credit is refused with 400 or 402: that is `auth`."""
    failure = answer.judge(status, headers, body, model=model, path=path)
    if failure is None or failure.reason is not Reason.HTTP_STATUS:
        return failure
    if status == 402 or (status == 400 and b"credit balance is too low" in body[: answer.LOOK]):
        failure.reason = Reason.AUTH
    elif (reason := _REASONS.get(_error_type(body))) is not None:
        failure.reason = reason
    return failure


def page(body: bytes) -> tuple[list[str], str]:
    """Names on a page of the listing, and the id that the next one follows, `""` on the last.

    Raises `Failure` (malformed, error_event) when it is no such page.
    """
    value = parse_object(body)
    refuse_error(value)
    data = value.get("data")
    if not is_listing(data):
        raise Failure(Reason.MALFORMED, f"the answer is not a list of models: {answer.message(body)}")
    last = value.get("last_id")
    return [item["id"] for item in data], last if value.get("has_more") is True and isinstance(last, str) else ""


def refuse_error(value: Mapping[str, Any]) -> None:
    """Raise the `Failure` of an error that came with status 200."""
    answer.refuse_error(value, _reason(value))


def whole(body: bytes) -> Said:
    """A message that is not a stream. Raises `Failure` (malformed, error_event ...)."""
    value = parse_object(body)
    refuse_error(value)
    content = value.get("content")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise Failure(Reason.MALFORMED, f"the answer has no content: {answer.message(body)}")
    texts: list[str] = []
    channels: dict[Channel, None] = {}
    tools: dict[int, tuple[str, str]] = {}
    for place, block in enumerate(content):
        match block.get("type"):
            case "text" if text := string(block.get("text")):
                texts.append(text)
                channels[Channel.CONTENT] = None
            case "thinking" | "redacted_thinking" if string(block.get("thinking") or block.get("data")):
                channels[Channel.REASONING] = None
            case "tool_use" if name := string(block.get("name")):
                tools[place] = (name, "")  # its input was parsed with the answer: it is JSON
                channels[Channel.TOOL] = None
    return Said("".join(texts), tuple(channels), _finish(value), _tokens(value.get("usage")), tools, value)


class Reader:
    """Reads one stream: what it cost is told in two places, at the start and at the end."""

    __slots__ = ("_usage",)

    def __init__(self) -> None:
        self._usage: dict[str, Any] = {}

    def read(self, event: Event) -> Step:
        """One event. Kinds that are not known say nothing. Raises `Failure` (malformed)."""
        if event.name == "ping" or not event.data.strip():
            return NOTHING
        value = parse_object(event.data)
        if event.name == "error" or value.get("type") == "error":
            return Step(error=quote(answer.error_text(value) or event.data), reason=_reason(value))
        match value.get("type"):
            case "message_start":
                self._count(value.get("message"))
            case "content_block_start":
                return _begun(value)
            case "content_block_delta":
                return _grown(value)
            case "message_delta":
                self._count(value)
                return Step(finish=_finish(value.get("delta")), usage=_tokens(self._usage))
            case "message_stop":
                return Step(done=True)
        error = answer.error_text(value)
        return Step(error=quote(error)) if error else NOTHING

    def _count(self, value: Any) -> None:
        usage = value.get("usage") if isinstance(value, dict) else None
        if isinstance(usage, dict):
            self._usage |= {key: number for key, number in usage.items() if number is not None}


def _begun(value: Mapping[str, Any]) -> Step:
    block = value.get("content_block")
    if not isinstance(block, dict):
        return NOTHING
    name = string(block.get("name"))
    if block.get("type") == "tool_use" and name:
        return Step(channels=(Channel.TOOL,), tools=((_index(value), name, ""),))
    text = string(block.get("text"))
    return Step(channels=(Channel.CONTENT,), text=text) if text else NOTHING


def _grown(value: Mapping[str, Any]) -> Step:
    delta = value.get("delta")
    if not isinstance(delta, dict):
        return NOTHING
    match delta.get("type"):
        case "text_delta" if text := string(delta.get("text")):
            return Step(channels=(Channel.CONTENT,), text=text)
        case "thinking_delta" if text := string(delta.get("thinking")):
            return Step(channels=(Channel.REASONING,), reasoning=text)
        case "input_json_delta" if part := string(delta.get("partial_json")):
            return Step(channels=(Channel.TOOL,), tools=((_index(value), "", part),))
    return NOTHING


def _finish(value: Any) -> str:
    reason = string(value.get("stop_reason")) if isinstance(value, dict) else ""
    return _ENDS.get(reason, reason)


def _tokens(usage: Any) -> Tokens | None:
    """Tokens by disjoint type; what is written to the cache was read as input. Thinking counts as output."""
    if not isinstance(usage, dict):
        return None
    fresh, written = count(usage.get("input_tokens")), count(usage.get("cache_creation_input_tokens"))
    output = count(usage.get("output_tokens"))
    if fresh is None and output is None:
        return None
    cached = count(usage.get("cache_read_input_tokens")) or 0
    return Tokens(input=(fresh or 0) + (written or 0), output=output or 0, cached=cached)


def _reason(value: Mapping[str, Any]) -> Reason:
    error = value.get("error")
    kind = string(error.get("type")) if isinstance(error, dict) else ""
    return _REASONS.get(kind, Reason.ERROR_EVENT)


def _error_type(body: bytes) -> str:
    value = json_or_none(body, answer.LOOK)
    error = value.get("error") if isinstance(value, dict) else None
    return string(error.get("type")) if isinstance(error, dict) else ""


def _index(value: Mapping[str, Any]) -> int:
    return count(value.get("index")) or 0
