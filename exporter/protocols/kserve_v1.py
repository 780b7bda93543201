"""KServe's V1 protocol: the python server and the runtimes built on it (scikit-learn, XGBoost, custom models).

Source: kserve/kserve, python/kserve/kserve/protocol/rest/v1_endpoints.py and errors.py. The same server speaks V2 as
well (`open_inference`), which alone tells its version.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from exporter.contracts import Exchange, Problem
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.observation import Observation
from exporter.protocols import answer, identity, listing, predictions, tensors
from exporter.protocols.address import segment
from exporter.protocols.family import Family, Plain
from exporter.protocols.identity import ServerMetadata
from exporter.protocols.open_inference import server_info
from exporter.protocols.predictions import Predict
from exporter.protocols.reading import handle, object_of, string
from exporter.protocols.text import label
from exporter.settings import Settings

_FORMS = ("instances", "inputs")


class KserveInfer(Predict):
    """One request for predictions."""

    instances: list[Any] | None = Field(default=None, description="Rows, one per prediction.")
    inputs: Any = Field(default=None, description="Inputs of a model that takes them so.")


class KserveV1(Family):
    """KServe's V1 protocol."""

    name: ClassVar[str] = "kserve_v1"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.READY: Plain,
        Kind.METADATA: ServerMetadata,
        Kind.INFER: KserveInfer,
        Kind.CATALOGUE: Plain,
        Kind.PROPOSE: Plain,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY, Kind.METADATA)

    def scope(self) -> Scope:
        """Of the model, where one is named."""
        return Scope.MODEL if self.model else Scope.SERVER

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """A missing model, or not exactly one form of input."""
        if kind is not Kind.INFER:
            return ()
        found = predictions.misfits(self.settings, _FORMS)
        if not self.model and self.settings.path is None:
            found.append(((), "needs the model's name: set `model` on the target"))
        return found

    async def health(self, exchange: Exchange) -> Observation:
        """The server lists its models, be it none."""
        await self._listed(exchange)
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """The model says it is ready; where none is named, the server lists at least one."""
        if not self.model:
            if not await self._listed(exchange):
                raise Failure(Reason.NOT_READY, "the server has no model")
            return Observation()
        path = self.route(self._model_route())
        response = await exchange.request("GET", path)
        failure = answer.judge(response.status, response.headers, response.body, model=self.model, path=path)
        if failure is not None:
            if response.status == 503:
                failure = answer.because(failure, Reason.NOT_READY)
            raise failure
        ready = (await object_of(response.body)).get("ready")
        if not isinstance(ready, bool):
            raise Failure(Reason.MALFORMED, f"the answer has no ready: {answer.message(response.body)}")
        if not ready:
            raise Failure(Reason.NOT_READY, "the model answers that it is not ready", http_status=response.status)
        return Observation()

    async def metadata(self, exchange: Exchange) -> Observation:
        """What the server is, and what it says of the model: by its V2 routes, where it has them."""
        response = await self.get(exchange, "/v2")
        if response.status == 404:
            return identity.report(self.settings, {})
        answer.require(response)
        told = await object_of(response.body)
        info = server_info(told)
        if self.model:
            response = await self.get(exchange, f"/v2/models/{segment(self.model)}")
            if response.status == 200:
                told |= await object_of(response.body)
                if platform := string(told.get("platform")):
                    info["platform"] = label(platform)
        return identity.report(self.settings, info, told=told)

    async def infer(self, exchange: Exchange) -> Observation:
        """Predictions come back, and they are the expected ones."""
        settings: KserveInfer = self.settings
        path = self.route(settings.path or f"{self._model_route()}:predict")
        response = await self.post_ok(exchange, path, predictions.request(settings, _FORMS))
        return await handle(response.body, lambda body: predictions.judge(settings, body))

    async def catalogue(self, exchange: Exchange) -> Observation:
        """The models that were ready once; KServe lists no others."""
        return Observation(models=listing.names(await self._listed(exchange)))

    async def propose(self, exchange: Exchange) -> Observation:
        """Zeros for a model of one input, whose shape its V2 metadata tells."""
        if not self.model:
            return Observation()
        response = await self.get(exchange, f"/v2/models/{segment(self.model)}")
        inputs = (await object_of(response.body)).get("inputs") if response.status == 200 else None
        row = tensors.zero_row(inputs[0]) if isinstance(inputs, list) and len(inputs) == 1 else None
        return Observation(proposal=None if row is None else predictions.proposal("instances", [row]))

    async def _listed(self, exchange: Exchange) -> list[Any]:
        response = await self.get_ok(exchange, "/v1/models")
        models = (await object_of(response.body)).get("models")
        if not isinstance(models, list):
            raise Failure(Reason.MALFORMED, f"the answer has no models: {answer.message(response.body)}")
        return models

    def _model_route(self) -> str:
        return f"/v1/models/{segment(self.model)}"
