"""Open Inference Protocol v2 over REST: MLServer, Triton, KServe, OpenVINO Model Server and others.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md. Servers differ in the bodies of their
health answers (empty, `live`, `ready`), so the status decides first; Triton and MLServer say 400 while a model loads.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from exporter.contracts import Exchange, Response
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.observation import Observation
from exporter.protocols import answer
from exporter.protocols.address import segment
from exporter.protocols.compare import difference, flatten, show
from exporter.protocols.expect import Json, check_json
from exporter.protocols.family import Canary, Family, Plain
from exporter.protocols.reading import handle, parse, parse_object
from exporter.protocols.text import label, quote
from exporter.settings import Settings

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES",
]  # fmt: skip
Dimension = Annotated[int, Field(ge=0)]


class Version(Settings):
    """Which version of the model a probe asks."""

    version: str | None = Field(
        default=None, min_length=1, description="Version of the model. Default: the server chooses."
    )


class MetadataExpect(Settings):
    """What must hold of what the server says of the model."""

    version: str | None = Field(default=None, min_length=1, description="A version that must be served.")
    platform: str | None = Field(default=None, description="Platform the model must have.")


class Metadata(Version):
    """What the server and the model are."""

    expect: MetadataExpect = Field(default=MetadataExpect(), description="What must hold of the answer.")


class InputTensor(Settings):
    """One input."""

    name: str = Field(min_length=1, description="Name of the input.")
    shape: list[Dimension] = Field(description="Dimensions.")
    datatype: Datatype = Field(description="Type of the elements.")
    data: list[Any] = Field(description="Elements, flat or nested; text for BYTES.")
    parameters: dict[str, Any] | None = Field(default=None, description="Parameters of this input.")


class OutputTensor(Settings):
    """What must hold of one output."""

    name: str = Field(min_length=1, description="Name of the output.")
    data: list[Any] | None = Field(default=None, description="Elements, flat or nested.")
    tolerance: float = Field(default=0.0, ge=0, description="How far a number may be from the expected one.")
    shape: list[Dimension] | None = Field(default=None, description="Dimensions.")
    datatype: Datatype | None = Field(default=None, description="Type of the elements.")


class InferExpect(Settings):
    """What must hold of an inference answer."""

    outputs: list[OutputTensor] = Field(default=[], description="Outputs that must be there, others may be.")
    json_: Json | None = Field(
        default=None, alias="json", description="A JMESPath over the answer that must find true, or {path, equals}."
    )


class Infer(Version, Canary):
    """One inference request."""

    inputs: list[InputTensor] | None = Field(default=None, min_length=1, description="The inputs.")
    outputs: list[str] | None = Field(default=None, description="Names of the outputs to ask for. Default: all.")
    id: str | None = Field(default=None, min_length=1, description="Request id; the answer must repeat it.")
    parameters: dict[str, Any] | None = Field(default=None, description="Parameters of the request.")
    expect: InferExpect = Field(default=InferExpect(), description="What must hold of the answer.")


class OpenInference(Family):
    """Open Inference Protocol v2, REST."""

    name: ClassVar[str] = "open_inference"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.READY: Version,
        Kind.METADATA: Metadata,
        Kind.INFER: Infer,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY, Kind.METADATA)

    def scope(self) -> Scope:
        """Of the model, where one is named."""
        return Scope.MODEL if self.model else Scope.SERVER

    def problems(self, kind: Kind) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """A missing model, missing inputs, or inputs that do not fit their shape."""
        if kind is Kind.METADATA and not self.model and self.settings.expect != MetadataExpect():
            return ((("expect",), "needs the model's name: set `model` on the target"),)
        if kind is not Kind.INFER:
            return ()
        settings: Infer = self.settings
        found: list[tuple[tuple[str | int, ...], str]] = []
        if not self.model and settings.path is None:
            found.append(((), "needs the model's name: set `model` on the target"))
        if settings.inputs is None and settings.body is None:
            found.append((("inputs",), "missing; needs inputs, or a body"))
        elif settings.inputs is not None and settings.body is not None:
            found.append((("body",), "found inputs and body; needs exactly one of them"))
        for index, tensor in enumerate(settings.inputs or ()):
            count, room = len(flatten(tensor.data)), math.prod(tensor.shape)
            if count != room:
                text = f"found {count} elements; shape {tensor.shape} holds {room}"
                found.append((("inputs", index, "data"), text))
        return found

    async def health(self, exchange: Exchange) -> Observation:
        """The server is alive. The body is not looked at: each server writes another one."""
        await self.get_ok(exchange, "/v2/health/live")
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """The model can be asked, or the server where no model is named."""
        path = self.route(f"{self._model_route()}/ready" if self.model else "/v2/health/ready")
        response = await exchange.request("GET", path)
        if response.status in (400, 503):
            said = answer.message(response.body)
            detail = f"HTTP {response.status}: {said}" if said else f"HTTP {response.status}"
            retry_after = answer.retry_after(response.headers)
            raise Failure(Reason.NOT_READY, detail, http_status=response.status, retry_after=retry_after)
        if response.status == 404 and self.model:
            detail = f"HTTP 404: {answer.message(response.body)}"
            raise Failure(Reason.MODEL_NOT_FOUND, detail, http_status=404)
        answer.require(response, model=self.model, path=path)
        if _denies(response):
            raise Failure(Reason.NOT_READY, "the server answers that it is not ready", http_status=response.status)
        return Observation()

    async def metadata(self, exchange: Exchange) -> Observation:
        """What the server is, and what it says of the model."""
        info: dict[str, str] = {}
        response = await self.get(exchange, "/v2")
        if response.status != 404 or not self.model:
            answer.require(response)
            info |= server_info(parse_object(response.body))
        if not self.model:
            return Observation(info=info)
        try:
            return await self._model(exchange, info)
        except Failure as failure:
            return Observation(failure=failure, info=info)

    async def _model(self, exchange: Exchange, info: dict[str, str]) -> Observation:
        response = await self.get_ok(exchange, self._model_route())
        model = parse_object(response.body)
        if not isinstance(model.get("name"), str):
            raise Failure(Reason.MALFORMED, f"the answer has no name: {answer.message(response.body)}")
        versions = _texts(model.get("versions"))
        platform = model.get("platform")
        if versions:
            info["model_version"] = label(",".join(versions))
        if isinstance(platform, str) and platform:
            info["platform"] = label(platform)
        complaint = await self._complaint(exchange, versions, platform)
        return Observation(failure=Failure(Reason.EXPECTATION, complaint) if complaint else None, info=info)

    async def infer(self, exchange: Exchange) -> Observation:
        """Outputs come back, and they are the expected ones."""
        settings: Infer = self.settings
        path = self.route(settings.path or f"{self._model_route()}/infer")
        response = await self.post_ok(exchange, path, self._request())
        return await handle(response.body, self._judge)

    def _model_route(self) -> str:
        version = getattr(self.settings, "version", None)
        tail = f"/versions/{segment(version)}" if version else ""
        return f"/v2/models/{segment(self.model)}{tail}"

    def _request(self) -> Any:
        settings: Infer = self.settings
        if settings.body is not None:
            return settings.body
        request: dict[str, Any] = {} if settings.id is None else {"id": settings.id}
        if settings.parameters is not None:
            request["parameters"] = settings.parameters
        request["inputs"] = [tensor.model_dump(exclude_none=True) for tensor in settings.inputs or ()]
        if settings.outputs is not None:
            request["outputs"] = [{"name": name} for name in settings.outputs]
        return request

    async def _complaint(self, exchange: Exchange, versions: list[str], platform: Any) -> str | None:
        expect: MetadataExpect = self.settings.expect
        if expect.platform is not None and platform != expect.platform:
            return f"platform is {show(platform)}, expected {expect.platform}"
        if expect.version is None or expect.version in versions:
            return None
        if versions:
            return f"version {expect.version} is not among {quote(', '.join(versions), 100)}"
        # The list of versions may be null or empty (MLServer); such a server still knows which one it serves.
        route = f"/v2/models/{segment(self.model)}/versions/{segment(expect.version)}"
        response = await self.get(exchange, route)
        if response.status == 404:
            return f"version {expect.version} is not served: {answer.message(response.body)}"
        answer.require(response)
        return None

    def _judge(self, body: bytes) -> Observation:
        settings: Infer = self.settings
        value = parse_object(body)
        error = answer.error_text(value)
        if error:
            raise Failure(Reason.ERROR_EVENT, f"an error with status 200: {quote(error)}")
        outputs = value.get("outputs")
        if not isinstance(value.get("model_name"), str) or not isinstance(outputs, list):
            raise Failure(Reason.MALFORMED, f"the answer has no model_name or outputs: {answer.message(body)}")
        if not all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in outputs):
            raise Failure(Reason.MALFORMED, "an output has no name")
        if settings.id is not None and settings.body is None and value.get("id") != settings.id:
            raise Failure(Reason.MALFORMED, "the answer does not repeat the request's id")
        if not outputs:
            raise Failure(Reason.EMPTY, "the answer has no outputs")
        version = value.get("model_version")
        complaint = _check(settings.expect, value, outputs)
        return Observation(
            failure=Failure(Reason.EXPECTATION, complaint) if complaint else None,
            info={"model_version": label(version)} if isinstance(version, str) and version else {},
        )


def server_info(value: Mapping[str, Any]) -> dict[str, str]:
    """Labels from the answer to `GET /v2`. Raises `Failure` (malformed) when it has no name."""
    name, version = value.get("name"), value.get("version")
    if not isinstance(name, str):
        raise Failure(Reason.MALFORMED, "the server's metadata has no name")
    info = {"server": label(name)}
    if isinstance(version, str) and version:
        info["server_version"] = label(version)
    return info


def _denies(response: Response) -> bool:
    """Whether a 2xx readiness answer says no in its body. Bodies that are empty or of another shape say nothing."""
    if not response.body.lstrip().startswith(b"{") or len(response.body) > answer.LOOK:
        return False
    try:
        value = parse(response.body)
    except Failure:
        return False
    return isinstance(value, dict) and (value.get("ready") is False or value.get("live") is False)


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _check(expect: InferExpect, value: Mapping[str, Any], outputs: list[dict[str, Any]]) -> str | None:
    found = {item["name"]: item for item in outputs}
    for wanted in expect.outputs:
        output = found.get(wanted.name)
        if output is None:
            return f"there is no output {quote(wanted.name, 60)}, only {quote(', '.join(found), 100)}"
        complaint = _check_output(wanted, output)
        if complaint:
            return f"output {quote(wanted.name, 60)}: {complaint}"
    return check_json(expect.json_, value) if expect.json_ is not None else None


def _check_output(wanted: OutputTensor, output: Mapping[str, Any]) -> str | None:
    if wanted.datatype is not None and output.get("datatype") != wanted.datatype:
        return f"datatype is {show(output.get('datatype'))}, expected {wanted.datatype}"
    if wanted.shape is not None:
        complaint = difference(wanted.shape, output.get("shape"), where="shape")
        if complaint:
            return complaint
    if wanted.data is None:
        return None
    data = output.get("data")
    if not isinstance(data, list):
        return "there is no data"
    return difference(flatten(wanted.data), flatten(data), wanted.tolerance, "data")
