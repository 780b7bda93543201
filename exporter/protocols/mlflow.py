"""MLflow's scoring server: `mlflow models serve` and images made by `mlflow models build-docker`.

Source: mlflow/pyfunc/scoring_server. A server that answers has its model loaded: it listens only then, so there is no
`ready` of its own. `/version` is MLflow's version, not the model's.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from exporter.contracts import Exchange
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.protocols import answer
from exporter.protocols.compare import difference
from exporter.protocols.expect import Json, check_json
from exporter.protocols.family import Canary, Family, Plain
from exporter.protocols.reading import handle, parse_object
from exporter.protocols.text import quote
from exporter.settings import Settings

_FORMS = ("inputs", "instances", "dataframe_split", "dataframe_records")


class MlflowExpect(Settings):
    """What must hold of predictions."""

    predictions: Any = Field(default=None, description="Predictions as the server writes them.")
    tolerance: float = Field(default=0.0, ge=0, description="How far a number may be from the expected one.")
    json_: Json | None = Field(
        default=None, alias="json", description="A JMESPath over the answer that must find true, or {path, equals}."
    )


class MlflowInfer(Canary):
    """One request for predictions, in one of the forms the server takes."""

    inputs: Any = Field(default=None, description="Tensors: a list, or an object of named lists.")
    instances: Any = Field(default=None, description="Tensors row by row.")
    dataframe_split: dict[str, Any] | None = Field(default=None, description="A table as {columns, index, data}.")
    dataframe_records: list[dict[str, Any]] | None = Field(default=None, description="A table as a list of rows.")
    params: dict[str, Any] | None = Field(default=None, description="Parameters of the prediction.")
    expect: MlflowExpect = Field(default=MlflowExpect(), description="What must hold of the answer.")


class Mlflow(Family):
    """MLflow's scoring server."""

    name: ClassVar[str] = "mlflow"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.METADATA: Plain,
        Kind.INFER: MlflowInfer,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.METADATA)

    def __init__(self, *, model: str, path: str, query: str, settings: Settings, options: Settings) -> None:
        # People paste the address they send predictions to.
        path = path.removesuffix("/invocations")
        super().__init__(model=model, path=path, query=query, settings=settings, options=options)

    def problems(self, kind: Kind) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """Not exactly one form of input."""
        if kind is not Kind.INFER:
            return ()
        given = [key for key in (*_FORMS, "body") if getattr(self.settings, key) is not None]
        if len(given) == 1:
            return ()
        found = " and ".join(given) or "none"
        allowed = ", ".join((*_FORMS, "body"))
        return (((given[-1] if given else "inputs",), f"found {found}; needs exactly one of {allowed}"),)

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
        return Observation(info={"server": "mlflow", "server_version": version})

    async def infer(self, exchange: Exchange) -> Observation:
        """Predictions come back, and they are the expected ones."""
        settings: MlflowInfer = self.settings
        payload = settings.body
        if payload is None:
            payload = {key: value for key in (*_FORMS, "params") if (value := getattr(settings, key)) is not None}
        path = self.route(settings.path or "/invocations")
        response = await self.post_ok(exchange, path, payload)
        return await handle(response.body, self._judge)

    def _judge(self, body: bytes) -> Observation:
        expect: MlflowExpect = self.settings.expect
        value = parse_object(body)
        error = answer.error_text(value)
        if error:
            raise Failure(Reason.ERROR_EVENT, f"an error with status 200: {quote(error)}")
        # A body of one's own may ask for another form: LLM flavours answer without `predictions`.
        if "predictions" not in value and self.settings.body is None:
            raise Failure(Reason.MALFORMED, f"the answer has no predictions: {answer.message(body)}")
        complaint = None
        if expect.predictions is not None:
            found = value.get("predictions")
            complaint = difference(expect.predictions, found, expect.tolerance, "predictions")
        if complaint is None and expect.json_ is not None:
            complaint = check_json(expect.json_, value)
        return Observation(failure=Failure(Reason.EXPECTATION, complaint) if complaint else None)


def version_of(body: bytes) -> str | None:
    """The bare version an MLflow server answers with, None for anything else."""
    text = body.decode("utf-8", "replace").strip().strip('"') if len(body) <= 64 else ""
    return text if re.fullmatch(r"\d+\.\d+[0-9A-Za-z.+-]*", text, re.ASCII) else None
