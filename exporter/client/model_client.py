"""The public client: health, metadata, predictions and token streams of one model behind one url."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

from exporter.client.answers import Answer, Check, Metadata, json_of
from exporter.client.line import Hear, Line, Question, Told
from exporter.client.many import each
from exporter.client.server import AUTO, Server, read
from exporter.client.tokens import TokenStream
from exporter.model.endpoint import Auth, Basic, Bearer, Endpoint, Proxy, Tls
from exporter.model.failure import Evidence, Failure
from exporter.model.job import Kind, Retry
from exporter.model.observation import Detection, Output
from exporter.model.secret import Secret
from exporter.protocols.reading import handle
from exporter.settings import Headers
from exporter.settings import Secret as SecretSetting
from exporter.url import Address, parse

#: Seconds an attempt may take, of a question and of a prediction or stream.
TIMEOUT, PREDICTION_TIMEOUT = 5.0, 30.0


class ModelClient:
    """Asks one model server, by the same code as the probes. An async context manager:

        async with ModelClient("http://127.0.0.1:8000", model="llama-3") as client:
            if await client.ready():
                answer = await client.predict(prompt="Say OK.")

    `protocol` names the server's API; `auto` finds it out on entry, with a few GETs, or, where the server cannot be
    reached then, with the first question that reaches it. `options` are the protocol's own (`done`, `management` ...).

    `auth` is a bearer token (text or a `Secret`), a (user, password) pair, or any `Auth` of `exporter.client`; values
    of `headers` may be `Secret`s too, which are read at each use. `timeout` (seconds) bounds each attempt; its default
    is 5 for questions and 30 for predictions and streams. `retry` is a number of attempts or a `Retry`; its default is
    3 attempts for questions and 1 for predictions and streams, which cost. Attempts follow the rule of the probes:
    fast failures only, exponential backoff with full jitter, and nothing that asking again cannot help.

    Connections are kept and used again; `keep_alive=False` opens one per attempt, as the probes do, so that each
    measures the way to the server too. Any number of coroutines may use a client at once.

    What a server says never raises from `health`, `ready` and `metadata`; `predict`, `stream` and `models` raise a
    `Failure` with its `reason`, `detail` and `http_status`. Wrong arguments raise ValueError, and a question that the
    protocol does not have, `NotOffered`.
    """

    def __init__(
        self,
        url: str,
        protocol: str = AUTO,
        model: str = "",
        *,
        auth: Auth | Secret | str | tuple[str, Secret | str] | None = None,
        headers: Mapping[str, Secret | str] | None = None,
        tls: Tls | None = None,
        proxy: Proxy | None = None,
        timeout: float | None = None,
        retry: Retry | int | None = None,
        keep_alive: bool = True,
        follow_redirects: bool = False,
        max_body: int = 10_000_000,
        **options: Any,
    ) -> None:
        address = _address(url)
        self._endpoint = Endpoint(
            *address,
            auth=_auth(auth),
            headers=tuple(read(Headers, dict(headers or {}), "headers").items()),
            tls=tls or Tls(),
            proxy=proxy,
            keep_alive=keep_alive,
            follow_redirects=follow_redirects,
            max_body=max_body,
        )
        self._address = address
        self._model = model
        self._timeout = _positive(timeout)
        self._retry = Retry(attempts=retry) if isinstance(retry, int) else retry
        if self._retry is not None and self._retry.attempts < 1:
            raise ValueError("retry: at least 1 attempt")
        self._server = Server(address, protocol, model, options)
        self._line: Line | None = None
        self._finding = asyncio.Lock()
        self._lost: Told | None = None  #: why the protocol could not be found out when that was last tried
        self._streams: set[TokenStream] = set()
        #: What `auto` found, and why; None until then, and where the protocol was named.
        self.detection: Detection | None = None

    async def __aenter__(self) -> Self:
        if self._line is not None:
            raise RuntimeError("this client is open already")
        self._line = Line(self._endpoint)
        try:
            await self._found(self._limit(None, TIMEOUT))
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def protocol(self) -> str:
        """The protocol in use; `auto` until it has been found out."""
        return self._server.protocol

    @property
    def offers(self) -> tuple[str, ...]:
        """The questions this protocol has: some of health, ready, metadata, infer and stream."""
        return tuple(kind.value for kind in self._server.offers if not kind.internal)

    # --- questions ------------------------------------------------------------------------------------------------

    async def health(self, *, timeout: float | None = None, **settings: Any) -> Check:
        """Whether the server is alive. `settings` are those of the protocol's health probe, if it has any."""
        return Check(**_checked(await self._question(Kind.HEALTH, settings, timeout)))

    async def ready(self, *, timeout: float | None = None, **settings: Any) -> Check:
        """Whether the model (or the server, where it cannot tell) can be asked."""
        return Check(**_checked(await self._question(Kind.READY, settings, timeout)))

    async def metadata(self, *, timeout: float | None = None, **settings: Any) -> Metadata:
        """What the server tells of itself and its model. `settings` may hold `expect`."""
        told = await self._question(Kind.METADATA, settings, timeout)
        return Metadata(**_checked(told), info=told.observation.info, facts=told.observation.facts)

    async def models(self, *, timeout: float | None = None) -> tuple[str, ...]:
        """Names of all models the server lists. Raises `Failure`."""
        told = await self._question(Kind.CATALOGUE, {}, timeout)
        return _good(told).observation.models or ()

    # --- predictions ----------------------------------------------------------------------------------------------

    async def predict(self, *, timeout: float | None = None, **settings: Any) -> Answer:
        """One prediction. `settings` are those of the protocol's infer probe: `inputs`, `prompt`, `body`, `expect` ...

        Raises `Failure`: refused, late, malformed, or not what `expect` says.
        """
        ask = await self._prepared(Kind.INFER, settings, timeout)
        return await self._predict(ask, timeout)

    async def predict_many(
        self, requests: Iterable[Mapping[str, Any]], *, in_flight: int = 8, timeout: float | None = None
    ) -> list[Answer | Failure]:
        """Predictions for many requests, each the settings of one, in their order; what failed is a `Failure` there.

        At most `in_flight` are under way at once. Cancelling it cancels them all. A request that is wrong raises
        ValueError before anything is sent.
        """
        asks = [await self._prepared(Kind.INFER, request, timeout) for request in requests]
        async with aclosing(each(asks, lambda ask: self._predict(ask, timeout), in_flight)) as answers:
            found = {index: answer async for index, answer in answers}
        return [found[index] for index in range(len(asks))]

    async def predict_each(
        self, requests: Iterable[Mapping[str, Any]], *, in_flight: int = 8, timeout: float | None = None
    ) -> AsyncGenerator[tuple[int, Answer | Failure], None]:
        """As `predict_many`, but (index, answer) as they come, and without an end where `requests` has none.

        Requests are taken from the iterable as places become free, so a wrong one raises when its turn has come. Close
        the iterator (`contextlib.aclosing`) where it may be left early: that cancels what is under way.
        """
        await self._found(self._limit(timeout, TIMEOUT), needed=True)
        asks = (self._server.question(Kind.INFER, request) for request in requests)
        async with aclosing(each(asks, lambda ask: self._predict(ask, timeout), in_flight)) as answers:
            async for found in answers:
                yield found

    def stream(self, *, timeout: float | None = None, **settings: Any) -> TokenStream:
        """One answer token by token: `async for event in client.stream(prompt="...")`.

        `settings` are those of the protocol's stream probe. Leaving the client ends all its streams.
        """
        self._open()
        # What is wrong with the settings is said here and now, where that is known already.
        ready = None if self._server.protocol == AUTO else self._server.question(Kind.STREAM, settings)

        async def run(hear: Hear) -> Told:
            self._streams.add(stream)
            try:
                ask = ready or await self._prepared(Kind.STREAM, settings, timeout)
                return await self._ask(ask, timeout, PREDICTION_TIMEOUT, Retry(attempts=1), hear)
            finally:
                self._streams.discard(stream)

        stream = TokenStream(run)
        return stream

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _question(self, kind: Kind, settings: Mapping[str, Any], timeout: float | None) -> Told:
        lost = await self._found(self._limit(timeout, TIMEOUT))
        if lost is not None:
            return lost
        return await self._ask(self._server.question(kind, settings), timeout, TIMEOUT, Retry())

    async def _prepared(self, kind: Kind, settings: Mapping[str, Any], timeout: float | None) -> Question:
        await self._found(self._limit(timeout, TIMEOUT), needed=True)
        return self._server.question(kind, settings)

    async def _predict(self, ask: Question, timeout: float | None) -> Answer:
        told = _good(await self._ask(ask, timeout, PREDICTION_TIMEOUT, Retry(attempts=1)))
        output = told.observation.output or Output()
        return Answer(
            value=await handle(output.body, json_of) if output.value is None else output.value,
            text=output.text or output.body.decode("utf-8", "replace"),
            vectors=output.vectors,
            body=output.body,
            tokens=told.observation.tokens,
            info=told.observation.info,
            measurement=told.measurement,
            attempts=told.attempts,
            trace_id=told.trace_id,
        )

    async def _ask(
        self, ask: Question, timeout: float | None, usual: float, retry: Retry, hear: Hear | None = None
    ) -> Told:
        return await self._open().ask(ask, self._limit(timeout, usual), self._retry or retry, hear)

    async def _found(self, timeout: float, *, needed: bool = False) -> Told | None:
        """Make sure that the protocol is known. What stood in the way where it cannot be found out; raised if it is
        `needed`.
        """
        line = self._open()
        if self._server.protocol != AUTO:
            return None
        before = self._lost
        async with self._finding:
            if self._server.protocol == AUTO and self._lost is before:  # one asks for all that wait
                told = await line.ask(self._server.question(Kind.DETECT, {}), timeout, self._retry or Retry())
                found = told.observation.detected
                if found is None:
                    self._lost = told
                else:
                    self._server = Server(self._address, found.protocol, self._model, {})
                    self.detection = found
        if self._server.protocol != AUTO:
            return None
        return _good(self._lost) if needed and self._lost is not None else self._lost

    def _open(self) -> Line:
        if self._line is None:
            raise RuntimeError("this client is not open: use it in `async with`")
        return self._line

    def _limit(self, timeout: float | None, usual: float) -> float:
        return _positive(timeout) or self._timeout or usual

    async def _close(self) -> None:
        for stream in list(self._streams):
            await stream.aclose()
        line, self._line = self._line, None
        if line is not None:
            await line.close()


def _checked(told: Told) -> dict[str, Any]:
    """The fields of a `Check`."""
    failure, measured = told.failure, told.measurement
    return {
        "ok": failure is None,
        "evidence": Evidence.OK if failure is None else failure.row.evidence,
        "reason": None if failure is None else failure.reason,
        "detail": "" if failure is None else failure.detail,
        "http_status": measured.http_status if failure is None else failure.http_status or measured.http_status,
        "duration": measured.duration,
        "phases": measured.phases,
        "attempts": told.attempts,
        "trace_id": told.trace_id,
    }


def _good(told: Told) -> Told:
    if told.failure is not None:
        raise told.failure
    return told


def _address(url: str) -> Address:
    try:
        return parse(url)
    except ValueError as error:
        raise ValueError(str(error)) from None


def _auth(given: Auth | Secret | str | tuple[str, Secret | str] | None) -> Auth | None:
    if isinstance(given, str | Secret):
        return Bearer(read(SecretSetting, given, "auth"))
    if isinstance(given, tuple):
        username, password = given
        return Basic(username, read(SecretSetting, password, "auth"))
    return given


def _positive(timeout: float | None) -> float | None:
    if timeout is not None and not 0 < timeout < float("inf"):
        raise ValueError("timeout: a finite number of seconds above 0")
    return timeout
