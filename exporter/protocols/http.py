"""Any HTTP server: a request and what must hold of its answer.

The URL is asked as it is given, `/health` where it has no path. Streams are read as server-sent events or NDJSON by
their content type, else every read is an event; the promised end is the clean end of the HTTP message.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from exporter.contracts import Exchange, Headers, Response
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.stream import Channel
from exporter.protocols import address, answer, streaming
from exporter.protocols.expect import (
    Regex,
    StatusRange,
    TextExpect,
    accepts,
    check_headers,
    check_json,
    check_text,
    large,
)
from exporter.protocols.family import Family, UrlPath, encode
from exporter.protocols.reading import handle, parse
from exporter.protocols.streaming import NOTHING, Promise, Step
from exporter.protocols.text import quote
from exporter.settings import HeaderName, PositiveDuration, Settings, problem
from exporter.settings import Headers as SecretHeaders
from exporter.transport import secrets
from exporter.transport.framing import Event, NdjsonParser, SseParser

_Statuses = int | str | list[int | str]


def _method(value: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", value) or value.upper() in ("CONNECT", "TRACE"):
        raise problem("method", "found {found}; allowed: a method token such as GET or POST", found=value)
    return value.upper()


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, int | str) else value


class HttpExpect(TextExpect):
    """What must hold of an HTTP answer."""

    status: Annotated[list[StatusRange], BeforeValidator(_listed, json_schema_input_type=_Statuses)] = Field(
        default=["200-299"], min_length=1, description="Status codes and ranges that are right."
    )
    header: dict[HeaderName, Regex] = Field(
        default={}, description="Headers that must be there, each with a regular expression its value must match."
    )


class HttpProbe(Settings):
    """One request and what must hold of its answer."""

    method: Annotated[str, AfterValidator(_method)] | None = Field(
        default=None, description="Request method. Default GET, or POST where there is a body."
    )
    path: UrlPath | None = Field(default=None, description="Path in place of the URL's own.")
    headers: SecretHeaders = Field(default={}, description="Request headers. Every value counts as a secret.")
    body: Any = Field(default=None, description="Request body: text is sent as it is, anything else as JSON.")
    expect: HttpExpect = Field(default=HttpExpect(), description="What must hold of the answer.")


class HttpStream(HttpProbe):
    """One request whose answer is read as it comes."""

    first_token_timeout: PositiveDuration | None = Field(
        default=None, description="Longest wait for the first event. Default: the timeout."
    )
    idle_timeout: PositiveDuration | None = Field(
        default=None, description="Longest wait between events. Default: 10s, or half the timeout if that is less."
    )


class Http(Family):
    """One request, judged by what the operator expects of its answer."""

    name: ClassVar[str] = "http"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: HttpProbe,
        Kind.INFER: HttpProbe,
        Kind.STREAM: HttpStream,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH,)

    def problems(self, kind: Kind) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """A body that the method does not carry."""
        if self.settings.body is not None and self._method() in ("GET", "HEAD"):
            return ((("body",), f"found a body with method {self._method()}; allowed: a method such as POST"),)
        return ()

    async def health(self, exchange: Exchange) -> Observation:
        """The answer is the one that is expected."""
        headers, body = self._request()
        response = await exchange.request(self._method(), self._path(), headers=headers, body=body)
        self._judge(response.status, response.headers, response.body)
        return await self._check(response)

    infer = health

    async def stream(self, exchange: Exchange) -> Observation:
        """The stream runs to its clean end and brings what is expected."""
        probe: HttpStream = self.settings
        headers, body = self._request()
        opening = exchange.stream(self._method(), self._path(), headers=headers, body=body)
        async with streaming.begin(exchange, opening, probe.first_token_timeout) as response:
            if not accepts(probe.expect.status, response.status):
                self._judge(response.status, response.headers, await response.body())
            kind = response.headers.get("content-type").partition(";")[0].strip().lower()
            framing, reader = _framing(kind)
            limits = streaming.waits(exchange, probe.first_token_timeout, probe.idle_timeout)
            promise = Promise(finish=False, done=False)
            followed = await streaming.follow(exchange, response, framing, reader, promise=promise, limits=limits)
        failure = followed.failure
        if failure is None:
            complaint = check_headers(probe.expect.header, response.headers)
            complaint = complaint or await handle(
                followed.text.encode("utf-8", "replace"), self._complaint, large(probe.expect)
            )
            failure = Failure(Reason.EXPECTATION, complaint) if complaint else None
        return Observation(
            failure=failure,
            stream=followed.summary,
            tokens=followed.summary.usage,
            answer=quote(followed.text),
        )

    def _method(self) -> str:
        return self.settings.method or ("GET" if self.settings.body is None else "POST")

    def _path(self) -> str:
        return address.with_query(self.settings.path or self.base or "/health", self.query)

    def _request(self) -> tuple[list[tuple[str, str]], bytes | None]:
        probe: HttpProbe = self.settings
        headers = [(name, secrets.read(value)) for name, value in probe.headers.items()]
        if probe.body is None:
            return headers, None
        text = isinstance(probe.body, str)
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", "text/plain; charset=utf-8" if text else "application/json"))
        return headers, probe.body.encode("utf-8", "replace") if text else encode(probe.body)

    def _judge(self, status: int, headers: Headers, body: bytes) -> None:
        if accepts(self.settings.expect.status, status):
            return
        failure = answer.judge(status, headers, body, model=self.model, path=self._path())
        wanted = ", ".join(self.settings.expect.status)
        raise failure or Failure(Reason.EXPECTATION, f"HTTP {status}, expected {wanted}", http_status=status)

    async def _check(self, response: Response) -> Observation:
        complaint = check_headers(self.settings.expect.header, response.headers)
        complaint = complaint or await handle(response.body, self._complaint, large(self.settings.expect))
        if complaint:
            raise Failure(Reason.EXPECTATION, complaint, http_status=response.status)
        return Observation()

    def _complaint(self, body: bytes) -> str | None:
        expect: HttpExpect = self.settings.expect
        complaint = check_text(expect, body.decode("utf-8", "replace"))
        if complaint is None and expect.json_ is not None:
            complaint = check_json(expect.json_, parse(body))
        return complaint


def _framing(content_type: str) -> tuple[streaming.Framing, streaming.Reader]:
    match content_type:
        case "text/event-stream":
            return SseParser(), _read
        case "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/json-seq":
            return NdjsonParser(), _read
    return streaming.Raw(), _read_raw


def _read(event: Event) -> Step:
    data = event.data
    if event.name == "ping" or not data.strip():
        return NOTHING
    if data.strip() == "[DONE]":
        return Step(done=True)
    if event.name == "error":
        return Step(error=quote(data))
    if data.lstrip().startswith("{"):
        try:
            error = answer.error_text(parse(data))
        except Failure:
            error = ""
        if error:
            return Step(error=quote(error))
    return Step(channels=(Channel.CONTENT,), text=data)


def _read_raw(event: Event) -> Step:
    return Step(channels=(Channel.CONTENT,), text=event.data)
