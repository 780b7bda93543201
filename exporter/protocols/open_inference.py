"""Open Inference Protocol v2 over REST: MLServer, Triton, KServe, OpenVINO Model Server and others. Over gRPC see
open_inference_grpc.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md. Servers differ in the bodies of their
health answers (empty, `live`, `ready`), so the status decides first; Triton and MLServer say 400 while a model loads.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from exporter.contracts import Exchange, Problem, Response
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.observation import Observation
from exporter.protocols import answer, identity, repository, tensors
from exporter.protocols.address import segment
from exporter.protocols.compare import show
from exporter.protocols.family import GRPC, HTTP, Family, Plain
from exporter.protocols.identity import VersionsExpect, VersionsMetadata
from exporter.protocols.reading import handle, json_or_none, object_of, parse_object
from exporter.protocols.tensors import Infer, Version
from exporter.protocols.text import label
from exporter.settings import Settings


class MetadataExpect(VersionsExpect):
    """What must hold of what the server says of itself and of the model."""

    platform: str | None = Field(default=None, description="Platform the model must have.")


class Metadata(Version, VersionsMetadata):
    """What the server and the model are."""

    expect: MetadataExpect = Field(default=MetadataExpect(), description="What must hold of the answer.")


class Predict(Infer):
    """One inference request, over REST or gRPC."""

    raw: bool = Field(
        default=False,
        description="Send the elements as bytes (raw_input_contents). Over gRPC alone; FP16 and BF16 always go so.",
    )


class OpenInference(Family):
    """Open Inference Protocol v2: REST, and gRPC where the url says so."""

    name: ClassVar[str] = "open_inference"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.READY: Version,
        Kind.METADATA: Metadata,
        Kind.INFER: Predict,
        Kind.CATALOGUE: Plain,
        Kind.PROPOSE: Plain,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY, Kind.METADATA)
    schemes: ClassVar[frozenset[str]] = HTTP | GRPC

    def __new__(cls, *, scheme: str = "http", **given: Any) -> "OpenInference":
        """The one of the two that the url's scheme asks for."""
        if cls is OpenInference and scheme in GRPC:
            from exporter.protocols.open_inference_grpc import OpenInferenceGrpc

            cls = OpenInferenceGrpc
        return super().__new__(cls)

    def scope(self) -> Scope:
        """Of the model, where one is named."""
        return Scope.MODEL if self.model else Scope.SERVER

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """A missing model, missing inputs, or inputs that do not fit their shape."""
        if kind is Kind.METADATA and not self.model and not _of_server(self.settings.expect):
            return ((("expect",), "needs the model's name: set `model` on the target"),)
        if kind is not Kind.INFER:
            return ()
        settings: Infer = self.settings
        found: list[Problem] = []
        if not self.model and settings.path is None:
            found.append(((), "needs the model's name: set `model` on the target"))
        if settings.inputs is None and settings.body is None:
            found.append((("inputs",), "missing; needs inputs, or a body"))
        elif settings.inputs is not None and settings.body is not None:
            found.append((("body",), "found inputs and body; needs exactly one of them"))
        if isinstance(settings, Predict) and settings.raw and self.scheme not in GRPC:
            found.append((("raw",), "only gRPC has it: write a url with grpc:// or grpcs://"))
        found += tensors.misfits(settings.inputs or ())
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
        server = None
        response = await self.get(exchange, "/v2")
        if response.status != 404 or not self.model:
            answer.require(response)
            server = await object_of(response.body)
            info |= server_info(server)
        if not self.model:
            return identity.report(self.settings, info, told=server)
        try:
            return await self._model(exchange, info)
        except Failure as failure:
            return Observation(failure=failure, info=info)

    async def _model(self, exchange: Exchange, info: dict[str, str]) -> Observation:
        response = await self.get_ok(exchange, self._model_route())
        model = await object_of(response.body)
        if not isinstance(model.get("name"), str):
            raise Failure(Reason.MALFORMED, f"the answer has no name: {answer.message(response.body)}")
        versions = _texts(model.get("versions"))
        platform = model.get("platform")
        return await self.described(exchange, info, versions, platform, model)

    async def described(
        self, exchange: Exchange, info: dict[str, str], versions: list[str], platform: Any, told: Any
    ) -> Observation:
        """What the server says of the model, held against what is expected."""
        expect: MetadataExpect = self.settings.expect
        if versions:
            info["model_version"] = label(",".join(versions))
        if isinstance(platform, str) and platform:
            info["platform"] = label(platform)
        other = expect.platform is not None and platform != expect.platform
        complaints = [f"platform is {show(platform)}, expected {expect.platform}"] if other else []
        if expect.version is not None and not versions:
            # The list of versions may be null or empty (MLServer); such a server still knows which one it serves.
            said = await self.unserved(exchange, expect.version)
            complaints += [f"version {expect.version} is not served: {said}"] if said is not None else []
            versions = [expect.version]
        return identity.report(self.settings, info, told=told, versions=versions, complaints=complaints)

    async def infer(self, exchange: Exchange) -> Observation:
        """Outputs come back, and they are the expected ones."""
        settings: Infer = self.settings
        path = self.route(settings.path or f"{self._model_route()}/infer")
        response = await self.post_ok(exchange, path, tensors.request(settings))
        return await handle(response.body, self._judge)

    async def catalogue(self, exchange: Exchange) -> Observation:
        """The models of the repository index, or of KServe's own listing."""
        return Observation(models=await repository.names(self, exchange))

    async def propose(self, exchange: Exchange) -> Observation:
        """A prediction on zeros, in the shapes that the model's metadata tells."""
        if not self.model:
            return Observation()
        response = await self.get_ok(exchange, self._model_route())
        return Observation(proposal=tensors.proposal((await object_of(response.body)).get("inputs")))

    def _model_route(self) -> str:
        version = getattr(self.settings, "version", None)
        tail = f"/versions/{segment(version)}" if version else ""
        return f"/v2/models/{segment(self.model)}{tail}"

    async def unserved(self, exchange: Exchange, version: str) -> str | None:
        """What the server says of a version of the model that it does not serve, None when it does."""
        response = await self.get(exchange, f"/v2/models/{segment(self.model)}/versions/{segment(version)}")
        if response.status == 404:
            return answer.message(response.body)
        answer.require(response)
        return None

    def _judge(self, body: bytes) -> Observation:
        value = parse_object(body)
        answer.refuse_error(value)
        return tensors.judge(self.settings, value)


def server_info(value: Mapping[str, Any]) -> dict[str, str]:
    """Labels from the answer to `GET /v2`. Raises `Failure` (malformed) when it has no name."""
    name, version = value.get("name"), value.get("version")
    if not isinstance(name, str):
        raise Failure(Reason.MALFORMED, "the server's metadata has no name")
    info = {"server": label(name)}
    if isinstance(version, str) and version:
        info["server_version"] = label(version)
    return info


def _of_server(expect: MetadataExpect) -> bool:
    """Whether nothing is expected of a model."""
    return expect.version is None and expect.platform is None


def _denies(response: Response) -> bool:
    """Whether a 2xx readiness answer says no in its body. Bodies that are empty or of another shape say nothing."""
    value = json_or_none(response.body, answer.LOOK)
    return isinstance(value, dict) and (value.get("ready") is False or value.get("live") is False)


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
