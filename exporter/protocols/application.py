"""Servers of applications, where requests and answers are what their authors made them: BentoML, Ray Serve, LitServe.

What a canary sends is the operator's; of the answer a 2xx is all the server promises, and of a stream its clean end.
"""

from abc import abstractmethod
from collections.abc import Sequence

from pydantic import Field

from exporter.contracts import Exchange, Headers, Problem
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation, Output
from exporter.protocols import answer, stopping, streaming, unmarked
from exporter.protocols.expect import TextExpect, TextStreamExpect, check_body, large
from exporter.protocols.family import Canary, Family, encode
from exporter.protocols.reading import handle
from exporter.protocols.unmarked import Waiting

_JSON = (("Content-Type", "application/json"),)


class Call(Canary):
    """One request to the application."""

    expect: TextExpect = Field(default=TextExpect(), description="What must hold of the answer.")


class CallStream(Waiting, Call):
    """One request to the application, whose answer is read as it comes."""

    expect: TextStreamExpect = Field(default=TextStreamExpect(), description="What must hold of the answer.")


class Application(Family):
    """Base of these protocols."""

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """A canary without its request: nobody but the operator knows what the application takes."""
        if kind.canary and self.settings.body is None:
            return ((("body",), "missing; needs the JSON that this application takes"),)
        return stopping.problems(self.settings)

    async def infer(self, exchange: Exchange) -> Observation:
        """The application answers, and says what is expected."""
        path = self.call_path()
        headers, body = self.message()
        response = await exchange.request("POST", path, headers=headers, body=body)
        failure = self.judge(response.status, response.headers, response.body, path)
        if failure is not None:
            raise failure
        failure = await handle(response.body, self._check, large(self.settings.expect))
        return Observation(failure=failure, output=Output(body=response.body))

    async def stream(self, exchange: Exchange) -> Observation:
        """The application's stream runs to its clean end and brings what is expected."""
        settings: CallStream = self.settings
        path = self.call_path()
        headers, body = self.message()
        opening = exchange.stream("POST", path, headers=headers, body=body)
        async with streaming.begin(exchange, opening, settings.first_token_timeout) as response:
            if not 200 <= response.status < 300:
                failure = self.judge(response.status, response.headers, await response.body(), path)
                raise failure or Failure(Reason.INTERNAL, "a stream was refused without a reason")
            form = unmarked.by_look(response.headers.media_type)
            followed = await unmarked.follow(exchange, response, form, settings)
        failure = followed.failure
        if failure is None:
            said = followed.text.encode("utf-8", "replace")
            failure = await handle(said, self._check, large(settings.expect))
        return unmarked.report(followed, failure)

    @abstractmethod
    def call_path(self) -> str:
        """Where a canary is sent, as `route` makes it."""

    def message(self) -> tuple[Sequence[tuple[str, str]], bytes]:
        """Headers and body of a canary."""
        return _JSON, encode(self.settings.body)

    def judge(self, status: int, headers: Headers, body: bytes, path: str) -> Failure | None:
        """The failure an answer stands for, None for 2xx. A server with rules of its own puts them before these."""
        return answer.judge(status, headers, body, model=self.model, path=path)

    def _check(self, body: bytes) -> Failure | None:
        return check_body(self.settings.expect, body)
