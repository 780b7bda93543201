"""TensorFlow Serving over REST.

Source: tensorflow/serving, tensorflow_serving/g3doc/api_rest.md, apis/get_model_status.proto and
model_servers/http_rest_api_handler.cc. It has no health of its own, and no listing: everything is asked of one model. A
version that is not AVAILABLE is a 404 to predictions and metadata, be it that it loads.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from exporter.contracts import Exchange, Problem, Response
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.observation import Observation
from exporter.protocols import answer, identity, predictions, tf_serving_answer
from exporter.protocols.address import segment
from exporter.protocols.family import JSON_HEADERS, Family, Plain, encode
from exporter.protocols.identity import Facts
from exporter.protocols.predictions import Predict
from exporter.protocols.reading import handle, object_of, parse_object
from exporter.protocols.text import label, quote
from exporter.settings import Settings

#: What it says, with 404 or 400, when it lives and does not know the model, or is not asked of one.
_OWN_WORDS = ("could not find any versions of model", "missing model name", "malformed request")
#: What it says, with 400, of a label that no version has.
_NO_LABEL = "unrecognized servable version label"
#: What comes back: for instances, for inputs, from classify and regress (the documentation writes `result`).
_ANSWERS = ("predictions", "outputs", "results", "result")
_FORMS = ("instances", "inputs", "examples")


class Which(Settings):
    """Which version of the model a probe asks."""

    version: str | None = Field(default=None, pattern="^[0-9]+$", description="Version of the model, a number.")
    label: str | None = Field(default=None, min_length=1, description="Label of a version, such as stable.")


class ModelExpect(Settings):
    """What must hold of what the server says of the model."""

    version: str | None = Field(default=None, pattern="^[0-9]+$", description="The version that must be served.")
    signatures: list[str] = Field(default=[], description="Signatures the model must have; others may be there.")


class ModelMetadata(Which, Facts):
    """What the model is."""

    expect: ModelExpect = Field(default=ModelExpect(), description="What must hold of the answer.")


class TfInfer(Which, Predict):
    """One request for predictions."""

    method: Literal["predict", "classify", "regress"] = Field(
        default="predict", description="The API: predict takes instances or inputs, the others take examples."
    )
    signature_name: str | None = Field(default=None, min_length=1, description="Signature. Default: the model's own.")
    instances: list[Any] | None = Field(default=None, description="Rows, one per prediction.")
    inputs: Any = Field(default=None, description="Tensors column by column: a list, or an object of named lists.")
    examples: list[dict[str, Any]] | None = Field(default=None, description="Examples for classify and regress.")
    context: dict[str, Any] | None = Field(default=None, description="What all examples have in common.")


class TfServing(Family):
    """TensorFlow Serving."""

    name: ClassVar[str] = "tf_serving"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Which,
        Kind.READY: Which,
        Kind.METADATA: ModelMetadata,
        Kind.INFER: TfInfer,
        Kind.PROPOSE: Plain,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY, Kind.METADATA)

    def scope(self) -> Scope:
        """Of the model."""
        return Scope.MODEL

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """A missing model, two ways to name a version, or not exactly one form of input."""
        settings: Any = self.settings
        found: list[Problem] = []
        if not self.model and kind is not Kind.HEALTH and getattr(settings, "path", None) is None:
            found.append(((), "needs the model's name: set `model` on the target"))
        if isinstance(settings, Which) and settings.version is not None and settings.label is not None:
            found.append((("label",), "found version and label; needs at most one of them"))
        if isinstance(settings, TfInfer):
            found += predictions.misfits(settings, _FORMS)
            wanted = ("instances", "inputs") if settings.method == "predict" else ("examples",)
            found += [
                ((form,), f"does not go with the method {settings.method}; allowed: {' or '.join(wanted)}")
                for form in _FORMS
                if form not in wanted and getattr(settings, form) is not None
            ]
        return found

    async def health(self, exchange: Exchange) -> Observation:
        """The server answers about the model, be it that it has none of that name."""
        path = self.route(self._model_route() if self.model else "/v1/models")
        response = await exchange.request("GET", path)
        if response.status not in (400, 404) or not answer.message(response.body).lower().startswith(_OWN_WORDS):
            answer.require(response, path=path)
            await tf_serving_answer.versions(response)
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """Some version of the model, or the one that is asked for, is available."""
        failure, versions = await self._status(exchange)
        served = ",".join(version["version"] for version in versions if tf_serving_answer.available(version))
        return Observation(failure=failure, info={"model_version": label(served)} if served else {})

    async def metadata(self, exchange: Exchange) -> Observation:
        """Which version the server serves, and which signatures it has."""
        path = self.route(f"{self._model_route()}/metadata")
        response = await exchange.request("GET", path)
        await self._require(exchange, response, path)
        return await handle(response.body, self._describe)

    async def infer(self, exchange: Exchange) -> Observation:
        """Predictions come back, and they are the expected ones."""
        settings: TfInfer = self.settings
        path = self.route(settings.path or f"{self._model_route()}:{settings.method}")
        payload = predictions.request(settings, ("signature_name", "context", *_FORMS))
        response = await exchange.request("POST", path, headers=JSON_HEADERS, body=encode(payload))
        await self._require(exchange, response, path)
        return await handle(response.body, lambda body: predictions.judge(settings, body, _ANSWERS))

    async def propose(self, exchange: Exchange) -> Observation:
        """Zeros in the shapes of the signature that serves by default."""
        path = self.route(f"{self._model_route()}/metadata")
        response = await exchange.request("GET", path)
        answer.require(response, model=self.model, path=path)
        row = tf_serving_answer.zero_row(
            tf_serving_answer.signatures(await object_of(response.body)).get("serving_default")
        )
        return Observation(proposal=None if row is None else predictions.proposal("instances", [row]))

    async def _require(self, exchange: Exchange, response: Response, path: str) -> None:
        """Raise the failure of an answer that is not 2xx; the model's state tells what a 404 means."""
        failure = answer.judge(response.status, response.headers, response.body, model=self.model, path=path)
        if failure is not None and failure.reason is Reason.MODEL_NOT_FOUND:
            try:
                known, _ = await self._status(exchange)
            except Failure:
                known = None
            if known is not None and known.reason is Reason.NOT_READY:
                failure = answer.because(failure, Reason.NOT_READY, known.detail)
        if failure is not None:
            raise failure

    async def _status(self, exchange: Exchange) -> tuple[Failure | None, list[dict[str, Any]]]:
        """Why the model is not ready, None when it is, and its versions. Raises `Failure` when that is not told."""
        path = self.route(self._model_route())
        response = await exchange.request("GET", path)
        if response.status == 400 and answer.message(response.body).lower().startswith(_NO_LABEL):
            raise Failure(Reason.MODEL_NOT_FOUND, f"HTTP 400: {answer.message(response.body)}", http_status=400)
        answer.require(response, model=self.model, path=path)
        versions = await tf_serving_answer.versions(response)
        if any(tf_serving_answer.available(version) for version in versions):
            return None, versions
        why = "; ".join(tf_serving_answer.told(version) for version in versions) or "no version"
        coming = any(version.get("state") in ("START", "LOADING", "UNKNOWN") for version in versions)
        return Failure(Reason.NOT_READY if coming else Reason.MODEL_NOT_FOUND, quote(why)), versions

    def _describe(self, body: bytes) -> Observation:
        expect: ModelExpect = self.settings.expect
        value = parse_object(body)
        spec = value.get("model_spec")
        if not isinstance(spec, dict):
            raise Failure(Reason.MALFORMED, f"the answer has no model_spec: {answer.message(body)}")
        version = spec.get("version")
        info = {"server": "tf_serving"}
        if isinstance(version, str) and version:
            info["model_version"] = label(version)
        signatures = tf_serving_answer.signatures(value)
        missing = [name for name in expect.signatures if name not in signatures]
        complaints = []
        if missing:
            complaints.append(f"signature {missing[0]} is not among {quote(', '.join(signatures), 100) or 'none'}")
        return identity.report(self.settings, info, told=value, complaints=complaints)

    def _model_route(self) -> str:
        version, named = getattr(self.settings, "version", None), getattr(self.settings, "label", None)
        tail = f"/versions/{version}" if version else f"/labels/{segment(named)}" if named else ""
        return f"/v1/models/{segment(self.model)}{tail}"
