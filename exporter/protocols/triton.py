"""Triton Inference Server, also as PyTriton starts it: the Open Inference Protocol over REST, and Triton's extensions.

Source: triton-inference-server/server, docs/protocol (extension_model_repository, extension_statistics,
extension_generate). Its ready answers 400 for a model that loads, that is unloaded and that it never had alike; the
repository index tells them apart, and where that wants a token (PyTriton) the words of its 404 on metadata.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from exporter.contracts import Exchange, Headers, Problem
from exporter.model.cost import Cost
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.load import Load
from exporter.model.observation import Observation, Proposal
from exporter.protocols import answer, language, repository, tensors, triton_generate, triton_statistics, unmarked
from exporter.protocols.address import segment
from exporter.protocols.family import HTTP, JSON_HEADERS, encode
from exporter.protocols.language import Form
from exporter.protocols.open_inference import OpenInference
from exporter.protocols.reading import handle, object_of
from exporter.protocols.tensors import Infer
from exporter.protocols.triton_generate import Generate
from exporter.protocols.worst_case import worst_case
from exporter.settings import Settings
from exporter.transport.framing import SseParser

#: Where a target's memory says that its model answers `infer` with any number of answers.
_DECOUPLED = "triton.decoupled"


class Triton(OpenInference):
    """Triton Inference Server."""

    name: ClassVar[str] = "triton"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        **OpenInference.kinds, Kind.INFER: Infer, Kind.STREAM: Generate,
    }  # fmt: skip
    schemes: ClassVar[frozenset[str]] = HTTP
    tells_load: ClassVar[bool] = True
    accounts: ClassVar[bool] = True

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """As the Open Inference Protocol; a stream needs its model too, and one question."""
        if kind is not Kind.STREAM:
            return super().problems(kind)
        found = [each for each in language.contradictions(self.settings) if each[0] != ("version",)]
        if not self.model and self.settings.path is None:
            found.append(((), "needs the model's name: set `model` on the target"))
        if self.settings.cache in ("bypass", "pair") and self.settings.body is None and not self.settings.varies:
            found.append((("cache",), "found beside inputs alone, which are sent as they are; needs a prompt"))
        return found

    def cost(self) -> Cost:
        """Tensors are no tokens; a stream of text costs by its request."""
        if not isinstance(self.settings, Generate):
            return super().cost()
        return worst_case(triton_generate.request(self.settings))

    async def ready(self, exchange: Exchange) -> Observation:
        """The model can be asked, or the server where no model is named: that one says no while any model loads."""
        try:
            return await super().ready(exchange)
        except Failure as failure:
            raise await self._explained(exchange, failure) from None

    async def metadata(self, exchange: Exchange) -> Observation:
        """What the server is, and what it says of the model."""
        found = await super().metadata(exchange)
        if found.failure is None:
            return found
        return replace(found, failure=await self._explained(exchange, found.failure))

    async def infer(self, exchange: Exchange) -> Observation:
        """Outputs come back, and they are the expected ones. A model that answers any number of times (decoupled) is
        asked by generate_stream, and all it answers is taken together.
        """
        settings: Infer = self.settings
        ours = settings.body is None and settings.path is None
        try:
            if ours and exchange.memory.get(_DECOUPLED):
                return await self._infer_decoupled(exchange)
            return await super().infer(exchange)
        except Failure as failure:
            if ours and failure.http_status == 501:
                exchange.memory[_DECOUPLED] = True
                return await self._infer_decoupled(exchange)
            raise await self._explained(exchange, failure) from None

    async def stream(self, exchange: Exchange) -> Observation:
        """The stream runs to its clean end and brings what is expected."""
        settings: Generate = self.settings
        path = self._generate_path()
        opening = exchange.stream("POST", path, headers=JSON_HEADERS, body=encode(triton_generate.request(settings)))
        form = Form(SseParser(), triton_generate.read, unmarked.PROMISE)
        try:
            return await language.follow(exchange, opening, settings, settings.expect, form, self._refusal)
        except Failure as failure:
            raise await self._explained(exchange, failure) from None

    async def propose(self, exchange: Exchange) -> Observation:
        """A short text where the model streams one, else a prediction on zeros."""
        if not self.model:
            return Observation()
        response = await self.get_ok(exchange, f"/v2/models/{segment(self.model)}")
        inputs = (await object_of(response.body)).get("inputs")
        if "text_input" not in _names(inputs) or not await self._streams(exchange, inputs):
            return Observation(proposal=tensors.proposal(inputs))
        settings = {"interval": "1m", "timeout": "30s", "prompt": language.DEFAULT_PROMPT, "max_tokens": 16}
        comment = "does it speak, and how fast? About two dozen tokens a run"
        return Observation(proposal=Proposal("stream", settings, comment))

    async def load(self, exchange: Exchange) -> Load | None:
        """How many requests were finished, batches run and answers sent, which moves while the model works; and what
        they took. How many wait or are at work now, Triton does not tell.
        """
        if not self.model:
            return None
        response = await self.get(exchange, f"/v2/models/{segment(self.model)}/stats")
        if response.status in (400, 403, 404):  # no such model now, a token is wanted (PyTriton), no such extension
            return None
        answer.require(response)
        return await handle(response.body, triton_statistics.read)

    async def _infer_decoupled(self, exchange: Exchange) -> Observation:
        settings: Infer = self.settings
        path, payload = self._generate_path(), encode(triton_generate.of_tensors(settings))
        response = await exchange.request("POST", path, headers=JSON_HEADERS, body=payload)
        failure = self._refusal(response.status, response.headers, response.body)
        if failure is not None:
            raise failure

        def judge(body: bytes) -> Observation:
            return tensors.judge(settings, triton_generate.as_outputs(body, response.ended))

        return await handle(response.body, judge)

    async def _streams(self, exchange: Exchange, inputs: Any) -> bool:
        """Whether the model answers bit by bit: so its configuration, or, where that is kept, its inputs."""
        response = await self.get(exchange, f"/v2/models/{segment(self.model)}/config")
        if response.status != 200:
            return "stream" in _names(inputs)
        policy = (await object_of(response.body)).get("model_transaction_policy")
        return isinstance(policy, dict) and policy.get("decoupled") is True

    async def _explained(self, exchange: Exchange, failure: Failure) -> Failure:
        """The failure itself, or, where the model is not served, what is known of why."""
        if not self.model or failure.reason not in (Reason.NOT_READY, Reason.MODEL_NOT_FOUND):
            return failure
        version = getattr(self.settings, "version", None)
        try:
            entries = repository.of(await repository.index(self, exchange), self.model, version)
        except Failure:
            return await self._by_metadata(exchange, failure)
        state = "; ".join(map(str, entries)) or f"no such {'version' if version else 'model'} in the repository index"
        loading = any(entry.state in ("LOADING", "READY") for entry in entries)
        return answer.because(failure, Reason.NOT_READY if loading else Reason.MODEL_NOT_FOUND, state)

    async def _by_metadata(self, exchange: Exchange, failure: Failure) -> Failure:
        try:
            response = await self.get(exchange, self._model_route())
        except Failure:
            return failure
        said = answer.message(response.body)
        if response.status == 404:
            known = repository.NOT_SERVED in said
            return answer.because(failure, Reason.NOT_READY if known else Reason.MODEL_NOT_FOUND, said)
        return failure

    def _refusal(self, status: int, headers: Headers, body: bytes) -> Failure | None:
        """What an answer of the generate extension stands for, None for 2xx."""
        return answer.judge(
            status, headers, triton_generate.message(body), model=self.model, path=self._generate_path()
        )

    def _generate_path(self) -> str:
        return self.route(self.settings.path or f"{self._model_route()}/generate_stream")


def _names(inputs: Any) -> list[Any]:
    return [entry.get("name") for entry in inputs if isinstance(entry, dict)] if isinstance(inputs, list) else []
