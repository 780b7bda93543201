"""Any HTTP server: a request and what must hold of its answer.

The URL is asked as it is given, `/health` where it has no path. Streams are read as server-sent events or NDJSON by
their content type, else every read is an event; the promised end is the clean end of the HTTP message.
"""

import re
from collections.abc import Awaitable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, NoReturn

from pydantic import AfterValidator, BeforeValidator, Field

from exporter.contracts import Exchange, Headers, Problem, Response
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import NOTHING_MORE, Observation, Output
from exporter.protocols import address, answer, stopping, streaming, unmarked
from exporter.protocols.expect import (
    RegexChecks,
    StatusRange,
    TextExpect,
    TimelyStream,
    accepts,
    check_body,
    check_headers,
    large,
    spans,
)
from exporter.protocols.family import Family, UrlPath, encode
from exporter.protocols.reading import handle
from exporter.protocols.unmarked import Waiting
from exporter.settings import HeaderName, Settings, problem
from exporter.settings import Headers as SecretHeaders
from exporter.transport import secrets

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
    header: dict[HeaderName, RegexChecks] = Field(
        default={},
        description="Headers that must be there, each with a regular expression its value must match, {value, negate}, "
        "or a list of either.",
    )

    @property
    def looks(self) -> bool:
        """Whether anything but the status matters."""
        return bool(self.header) or self.reads


class HttpStreamExpect(HttpExpect, TimelyStream):
    """What must hold of an HTTP answer that is read as it comes."""


class HttpProbe(Settings):
    """One request and what must hold of its answer."""

    method: Annotated[str, AfterValidator(_method)] | None = Field(
        default=None, description="Request method. Default GET, or POST where there is a body."
    )
    path: UrlPath | None = Field(default=None, description="Path in place of the URL's own.")
    headers: SecretHeaders = Field(default={}, description="Request headers. Every value counts as a secret.")
    body: Any = Field(default=None, description="Request body: text is sent as it is, anything else as JSON.")
    expect: HttpExpect = Field(default=HttpExpect(), description="What must hold of the answer.")


class HttpStream(Waiting, HttpProbe):
    """One request whose answer is read as it comes."""

    expect: HttpStreamExpect = Field(default=HttpStreamExpect(), description="What must hold of the answer.")


class Http(Family):
    """One request, judged by what the operator expects of its answer."""

    name: ClassVar[str] = "http"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: HttpProbe,
        Kind.INFER: HttpProbe,
        Kind.STREAM: HttpStream,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH,)

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        probe: HttpProbe = self.settings
        self._method = probe.method or ("GET" if probe.body is None else "POST")
        self._path = address.with_query(probe.path or self.base or "/health", self.query)
        self._plain = not probe.headers and probe.body is None
        self._looks = probe.expect.looks
        self._right = spans(probe.expect.status)

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """A body that the method does not carry."""
        if self.settings.body is not None and self._method in ("GET", "HEAD"):
            return ((("body",), f"found a body with method {self._method}; allowed: a method such as POST"),)
        return stopping.problems(self.settings)

    async def health(self, exchange: Exchange) -> Observation:
        """The answer is the one that is expected."""
        response = await self._ask(exchange)
        if not accepts(self._right, response.status):
            self._judge(response.status, response.headers, response.body)
        if self._looks:
            await self._look(response)
        return NOTHING_MORE

    async def infer(self, exchange: Exchange) -> Observation:
        """The same, of an answer that is worth having."""
        response = await self._ask(exchange)
        if not accepts(self._right, response.status):
            self._judge(response.status, response.headers, response.body)
        if self._looks:
            await self._look(response)
        return Observation(output=Output(body=response.body))

    async def stream(self, exchange: Exchange) -> Observation:
        """The stream runs to its clean end and brings what is expected."""
        probe: HttpStream = self.settings
        headers, body = self._request()
        opening = exchange.stream(self._method, self._path, headers=headers, body=body)
        async with streaming.begin(exchange, opening, probe.first_token_timeout) as response:
            if not accepts(self._right, response.status):
                self._judge(response.status, response.headers, await response.body())
            form = unmarked.by_label(response.headers.media_type)
            followed = await unmarked.follow(exchange, response, form, probe)
        failure = followed.failure
        if failure is None:
            failure = await self._check(response.headers, followed.text.encode("utf-8", "replace"))
        return unmarked.report(followed, failure)

    def _request(self) -> tuple[Sequence[tuple[str, str]], bytes | None]:
        if self._plain:
            return (), None
        probe: HttpProbe = self.settings
        headers = [(name, secrets.read(value)) for name, value in probe.headers.items()]
        if probe.body is None:
            return headers, None
        text = isinstance(probe.body, str)
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", "text/plain; charset=utf-8" if text else "application/json"))
        return headers, probe.body.encode("utf-8", "replace") if text else encode(probe.body)

    def _judge(self, status: int, headers: Headers, body: bytes) -> NoReturn:
        """Of an answer with a status that is not expected."""
        failure = answer.judge(status, headers, body, model=self.model, path=self._path)
        wanted = ", ".join(self.settings.expect.status)
        raise failure or Failure(Reason.EXPECTATION, f"HTTP {status}, expected {wanted}", http_status=status)

    def _ask(self, exchange: Exchange) -> Awaitable[Response]:
        if self._plain:  # what nearly all health probes are: said in the fewest words
            return exchange.request(self._method, self._path)
        headers, body = self._request()
        return exchange.request(self._method, self._path, headers=headers, body=body)

    async def _look(self, response: Response) -> None:
        if (failure := await self._check(response.headers, response.body)) is not None:
            failure.http_status = response.status
            raise failure

    async def _check(self, headers: Headers, body: bytes) -> Failure | None:
        expect: HttpExpect = self.settings.expect
        before = check_headers(expect.header, headers)
        return await handle(body, lambda body: check_body(expect, body, [before]), large(expect))
