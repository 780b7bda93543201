"""MLflow's scoring server: `mlflow models serve` and images made by `mlflow models build-docker`.

Source: mlflow/pyfunc/scoring_server. A server that answers has its model loaded: it listens only then, so there is no
`ready` of its own. `/version` is MLflow's version, not the model's.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from exporter.contracts import Exchange, Problem
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.protocols import answer, identity, predictions
from exporter.protocols.family import Family, Plain
from exporter.protocols.identity import ServerMetadata
from exporter.protocols.predictions import Predict
from exporter.protocols.reading import handle
from exporter.settings import Settings

_FORMS = ("inputs", "instances", "dataframe_split", "dataframe_records")


class MlflowInfer(Predict):
    """One request for predictions, in one of the forms the server takes."""

    inputs: Any = Field(default=None, description="Tensors: a list, or an object of named lists.")
    instances: Any = Field(default=None, description="Tensors row by row.")
    dataframe_split: dict[str, Any] | None = Field(default=None, description="A table as {columns, index, data}.")
    dataframe_records: list[dict[str, Any]] | None = Field(default=None, description="A table as a list of rows.")
    params: dict[str, Any] | None = Field(default=None, description="Parameters of the prediction.")


class Mlflow(Family):
    """MLflow's scoring server."""

    name: ClassVar[str] = "mlflow"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.METADATA: ServerMetadata,
        Kind.INFER: MlflowInfer,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.METADATA)

    def __init__(self, *, path: str, **given: Any) -> None:
        # People paste the address they send predictions to.
        super().__init__(path=path.removesuffix("/invocations"), **given)

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """Not exactly one form of input."""
        if kind is not Kind.INFER:
            return ()
        return predictions.misfits(self.settings, _FORMS)

    async def health(self, exchange: Exchange) -> Observation:
        """The server is up and has its model."""
        await self.get_ok(exchange, "/ping")
        return Observation()

    async def metadata(self, exchange: Exchange) -> Observation:
        """The version of MLflow."""
        response = await self.get_ok(exchange, "/version")
        version = version_of(response.body)
        if version is None:
            said = answer.message(response.body)
            raise Failure(Reason.MALFORMED, f"the answer is not a version: {said}", http_status=response.status)
        return identity.report(self.settings, {"server": "mlflow", "server_version": version}, told=version)

    async def infer(self, exchange: Exchange) -> Observation:
        """Predictions come back, and they are the expected ones."""
        settings: MlflowInfer = self.settings
        path = self.route(settings.path or "/invocations")
        response = await self.post_ok(exchange, path, predictions.request(settings, (*_FORMS, "params")))
        return await handle(response.body, lambda body: predictions.judge(settings, body))


def version_of(body: bytes) -> str | None:
    """The bare version an MLflow server answers with, None for anything else."""
    text = body.decode("utf-8", "replace").strip().strip('"') if len(body) <= 64 else ""
    return text if re.fullmatch(r"\d+\.\d+[0-9A-Za-z.+-]*", text, re.ASCII) else None
