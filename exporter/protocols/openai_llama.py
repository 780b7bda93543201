"""llama.cpp's own API, `POST /completion`, read: a whole answer, and the events of a streamed one. Pure.

Source: llama.cpp, tools/server/README.md. OpenAI's API stands beside it. The last event says `stop: true`, how the
answer ended and what it took; no `[DONE]` follows. `tokens_cached` is what its slot holds afterwards, the answer among
it: what was cached of the prompt is `timings.cache_n`.
"""

from collections.abc import Mapping
from typing import Any

from exporter.model.failure import Failure, Reason
from exporter.model.stream import Channel, Tokens
from exporter.protocols import account, answer
from exporter.protocols.language import Said
from exporter.protocols.openai_answer import believed, signed
from exporter.protocols.reading import count, parse, parse_object, string
from exporter.protocols.streaming import NOTHING, Step
from exporter.protocols.text import quote
from exporter.transport.framing import Event


def whole(body: bytes) -> Said:
    """An answer that is not a stream. Raises `Failure` (malformed, error_event, incomplete)."""
    value = parse(body)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # the form of a prompt that is a list
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        answer.refuse_error(value)
        raise Failure(Reason.MALFORMED, f"the answer has no content: {answer.message(body)}")
    if value.get("stop") is False:
        raise Failure(Reason.INCOMPLETE, "the answer is not whole")
    text = value["content"]
    channels = (Channel.CONTENT,) if text else ()
    usage = believed(_usage(value), channels)
    return Said(text, channels, _finish(value), usage, {}, value, account.of_openai(value), signed(value))


def read(event: Event) -> Step:
    """One event of a stream. Raises `Failure` (malformed)."""
    data = event.data.strip()
    if data in ("", "null", "[DONE]"):
        return NOTHING  # of several prompts it says null first
    value = parse_object(data)
    error = answer.error_text(value)
    if error or event.name == "error":
        return Step(error=quote(error or data))
    if value.get("index", 0) != 0:
        return NOTHING
    text = string(value.get("content"))
    channels = (Channel.CONTENT,) if text else ()
    if value.get("stop") is not True:
        return Step(channels=channels, text=text)
    return Step(
        channels=channels,
        text=text,
        finish=_finish(value),
        done=True,
        usage=_usage(value),
        account=account.of_openai(value),
        info=signed(value),
    )


def _finish(value: Mapping[str, Any]) -> str:
    """How it ended: `limit` is all that was asked for, or all that there is room for. Older servers say it by flags."""
    cut = value.get("stop_type") == "limit" or value.get("stopped_limit") is True or value.get("truncated") is True
    return "length" if cut else "stop"


def _usage(value: Mapping[str, Any]) -> Tokens | None:
    read, written = count(value.get("tokens_evaluated")), count(value.get("tokens_predicted"))
    if read is None and written is None:
        return None
    timings = value.get("timings")
    cached = (count(timings.get("cache_n")) or 0) if isinstance(timings, dict) else 0
    return Tokens(input=max(0, (read or 0) - cached), output=written or 0, cached=cached)
