"""SGLang's own API, `POST /generate`, read: a whole answer, and the events of a streamed one. Pure.

Source: SGLang, srt/entrypoints/http_server.py and srt/managers/tokenizer_manager.py. OpenAI's API stands beside it.
Each event of a stream holds all of the text so far; of a server that runs with --incremental-streaming-output only what
is new. `meta_info` counts as it goes, and has a finish reason at the end; then comes `[DONE]`. A request that the
scheduler gave up ends with the finish reason `abort`, with status 200.
"""

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from exporter.model.failure import Failure, Reason
from exporter.model.stream import Channel, Tokens
from exporter.protocols import account, answer
from exporter.protocols.language import Said
from exporter.protocols.openai_answer import believed
from exporter.protocols.reading import count, parse, parse_object, string
from exporter.protocols.streaming import NOTHING, Step
from exporter.protocols.text import label, quote
from exporter.transport.framing import Event


def whole(body: bytes) -> Said:
    """An answer that is not a stream. Raises `Failure` (malformed, error_event, overloaded)."""
    value = parse(body)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # the form of a text that is a list
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        answer.refuse_error(value)
        raise Failure(Reason.MALFORMED, f"the answer has no text: {answer.message(body)}")
    told = _told(value)
    if abort := _abort(told):
        raise Failure(abort[0], f"an error with status 200: {abort[1]}")
    text = value["text"]
    channels = (Channel.CONTENT,) if text else ()
    usage = believed(_usage(told), channels)
    return Said(text, channels, _finish(told), usage, {}, value, account.of_sglang(told), _info(told))


class Reader:
    """Reads the events of one stream, and remembers its text so far: what is new of it is what it grew by.

    Where the second text does not begin with the first one, each is a piece of its own.
    """

    def __init__(self) -> None:
        self._text = ""
        self._pieces: bool | None = None

    def __call__(self, event: Event) -> Step:
        """One event. Raises `Failure` (malformed)."""
        data = event.data.strip()
        if data == "[DONE]":
            return Step(done=True)
        if not data:
            return NOTHING
        value = parse_object(data)
        error = answer.error_text(value)
        if error or event.name == "error":
            return Step(error=quote(error or data))
        if value.get("index", 0) != 0:
            return NOTHING
        told = _told(value)
        if abort := _abort(told):
            return Step(error=abort[1], reason=abort[0])
        new = self._new(string(value.get("text")))
        finish = _finish(told)
        return Step(
            channels=(Channel.CONTENT,) if new else (),
            text=new,
            finish=finish,
            usage=_usage(told),
            account=account.of_sglang(told),
            info=_info(told) if finish else {},
        )

    def _new(self, text: str) -> str:
        known = self._text
        if self._pieces is None and known and text:
            self._pieces = not text.startswith(known)
        if self._pieces or not text:
            return text
        self._text = text
        if text.startswith(known):
            return text[len(known) :]
        # Its end was taken back, as it belongs to what the answer was to stop at, or became another character.
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(known, text, strict=False))
        return text[sum(1 for _ in alike) :]


def _told(value: Mapping[str, Any]) -> Mapping[str, Any]:
    told = value.get("meta_info")
    return told if isinstance(told, dict) else {}


def _finish(told: Mapping[str, Any]) -> str:
    """Why it ended, `""` while it goes on. Older versions have a text in place of an object."""
    reason = told.get("finish_reason")
    return string(reason.get("type")) if isinstance(reason, dict) else string(reason)


def _abort(told: Mapping[str, Any]) -> tuple[Reason, str] | None:
    """What an answer that was given up means, and its own words for that."""
    if _finish(told) != "abort":
        return None
    reason = told["finish_reason"]
    why = string(reason.get("message")) if isinstance(reason, dict) else ""
    busy = isinstance(reason, dict) and reason.get("status_code") == 503 and answer.tells_load(why)
    return Reason.OVERLOADED if busy else Reason.ERROR_EVENT, quote(why or "the request was given up")


def _usage(told: Mapping[str, Any]) -> Tokens | None:
    read, written = count(told.get("prompt_tokens")), count(told.get("completion_tokens"))
    if read is None and written is None:
        return None
    cached, reasoning = count(told.get("cached_tokens")) or 0, count(told.get("reasoning_tokens")) or 0
    return Tokens(
        input=max(0, (read or 0) - cached),
        output=max(0, (written or 0) - reasoning),
        reasoning=reasoning,
        cached=cached,
    )


def _info(told: Mapping[str, Any]) -> dict[str, str]:
    """The version of the weights that answered, as `/model_info` tells it too."""
    version = string(told.get("weight_version"))
    return {"model_version": label(version)} if version else {}
