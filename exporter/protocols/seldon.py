"""Seldon Core v1 microservices: the python wrapper and images made with it. Seldon Core v2 speaks `open_inference`.

Source: SeldonIO/seldon-core, python/seldon_core/wrapper.py, seldon_methods.py and flask_utils.py. One microservice
serves one model. Its `/health/status` runs the author's own check, where there is one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from exporter.contracts import Exchange, Problem
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.observation import Observation, Output
from exporter.protocols import answer, identity, predictions, tensors
from exporter.protocols.expect import Timely, failed
from exporter.protocols.family import Canary, Family, Plain
from exporter.protocols.identity import ModelMetadata
from exporter.protocols.numbers import NumberChecks, check_numbers
from exporter.protocols.reading import handle, object_of, parse_object
from exporter.protocols.text import label, quote
from exporter.protocols.values import ValueExpect, check_value
from exporter.settings import Settings

#: Forms of a message, each under our key, and what the server calls it.
_FORMS: Mapping[str, str] = {
    "ndarray": "ndarray", "tensor": "tensor", "json_data": "jsonData", "str_data": "strData",
}  # fmt: skip
#: What it answers with 400 when the author wrote no check.
_NO_CHECK = ("not implemented", "not defined")


class SeldonExpect(Timely, ValueExpect, NumberChecks):
    """What must hold of a message; range and tolerance of each element of its array."""

    data: list[Any] | None = Field(default=None, description="Elements of the array, flat or nested.")


class SeldonInfer(Canary):
    """One request for predictions, in one of the forms of a message."""

    ndarray: list[Any] | None = Field(default=None, description="An array, nested.")
    tensor: dict[str, Any] | None = Field(default=None, description="An array as {shape, values}.")
    names: list[str] | None = Field(default=None, description="Names of the columns of ndarray or tensor.")
    json_data: Any = Field(default=None, description="Any JSON.")
    str_data: str | None = Field(default=None, description="A text.")
    expect: SeldonExpect = Field(default=SeldonExpect(), description="What must hold of the answer.")

    @property
    def steady(self) -> bool:
        """A model computes."""
        return True


class Seldon(Family):
    """A Seldon Core v1 microservice."""

    name: ClassVar[str] = "seldon"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.READY: Plain,
        Kind.METADATA: ModelMetadata,
        Kind.INFER: SeldonInfer,
        Kind.PROPOSE: Plain,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY, Kind.METADATA)

    def scope(self) -> Scope:
        """Of the model: its own check is run."""
        return Scope.MODEL

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """Not exactly one form of message."""
        if kind is not Kind.INFER:
            return ()
        return predictions.misfits(self.settings, tuple(_FORMS))

    async def health(self, exchange: Exchange) -> Observation:
        """The microservice answers."""
        response = await self.get_ok(exchange, "/health/ping")
        if response.body.strip(b'"\r\n ') != b"pong":
            said = answer.message(response.body)
            raise Failure(Reason.MALFORMED, f"the answer is not pong: {said}", http_status=response.status)
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """The model's own check passes. A model that has none says nothing against itself."""
        response = await self.get(exchange, "/health/status")
        if response.status == 400 and any(words in answer.message(response.body) for words in _NO_CHECK):
            return Observation()
        failure = answer.judge(response.status, response.headers, response.body)
        if failure is not None:
            raise answer.because(failure, Reason.NOT_READY) if response.status == 503 else failure
        _refuse(await object_of(response.body))
        return Observation()

    async def metadata(self, exchange: Exchange) -> Observation:
        """What the author says of the model."""
        value = await object_of((await self.get_ok(exchange, "/metadata")).body)
        name, versions, platform = value.get("name"), value.get("versions"), value.get("platform")
        info = {"server": "seldon"}
        if isinstance(name, str) and name:
            info["model_id"] = label(name)
        if isinstance(versions, list) and versions:
            info["model_version"] = label(",".join(str(version) for version in versions[:20]))
        if isinstance(platform, str) and platform:
            info["platform"] = label(platform)
        served = [str(version) for version in versions[:20]] if isinstance(versions, list) else []
        return identity.report(self.settings, info, told=value, versions=served)

    async def infer(self, exchange: Exchange) -> Observation:
        """A message comes back, and it is the expected one."""
        settings: SeldonInfer = self.settings
        path = self.route(settings.path or "/api/v1.0/predictions")
        response = await self.post_ok(exchange, path, _request(settings))
        return await handle(response.body, self._judge)

    async def propose(self, exchange: Exchange) -> Observation:
        """Zeros for a model of one input, where the author told its shape."""
        inputs = (await object_of((await self.get_ok(exchange, "/metadata")).body)).get("inputs")
        row = _zero_row(inputs[0]) if isinstance(inputs, list) and len(inputs) == 1 else None
        return Observation(proposal=None if row is None else predictions.proposal("ndarray", [row]))

    def _judge(self, body: bytes) -> Observation:
        value = parse_object(body)
        _refuse(value)
        data = value.get("data")
        if not isinstance(data, dict) and not any(form in value for form in ("jsonData", "strData", "binData")):
            raise Failure(Reason.MALFORMED, f"the answer has no data: {answer.message(body)}")
        expect: SeldonExpect = self.settings.expect
        failure = failed([*_check(expect, data if isinstance(data, dict) else {}), check_value(expect, value)])
        return Observation(failure=failure, output=Output(value, essence=_essence(value)))


def _essence(value: Mapping[str, Any]) -> Any:
    """The message without what tells of this one request."""
    return {form: value[form] for form in ("data", "jsonData", "strData", "binData") if form in value}


def _request(settings: SeldonInfer) -> Any:
    if settings.body is not None:
        return settings.body
    form, value = next((form, value) for form in _FORMS if (value := getattr(settings, form)) is not None)
    message = {_FORMS[form]: value}
    if form not in ("ndarray", "tensor"):
        return message
    return {"data": message if settings.names is None else {"names": settings.names, **message}}


def _refuse(value: Mapping[str, Any]) -> None:
    """Raise `Failure` (error_event) for a status that says so with HTTP 200."""
    status = value.get("status")
    if isinstance(status, dict) and status.get("status") in ("FAILURE", 1):
        said = status.get("info") or status.get("reason")
        raise Failure(Reason.ERROR_EVENT, f"an error with status 200: {quote(str(said))}")
    answer.refuse_error(value)


def _check(expect: SeldonExpect, data: Mapping[str, Any]) -> list[str]:
    if expect.data is None and not expect.given:
        return []
    tensor = data.get("tensor")
    found = tensor.get("values") if isinstance(tensor, dict) else data.get("ndarray")
    return check_numbers(expect, expect.data, found, "data") if isinstance(found, list) else ["there is no array"]


def _zero_row(described: Any) -> list[Any] | None:
    """Zeros in the shape of one row, which the metadata tells: {messagetype: tensor | ndarray, schema: {shape}}."""
    schema = described.get("schema") if isinstance(described, dict) else None
    shape = schema.get("shape") if isinstance(schema, dict) else None
    if not isinstance(shape, list) or not shape or not all(isinstance(size, int) for size in shape):
        return None
    sizes = tensors.sized(shape) if described.get("messagetype") in ("tensor", "ndarray") else None
    return None if sizes is None else tensors.nested(sizes, 0.0)
