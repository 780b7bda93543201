"""Open Inference Protocol v2 over gRPC: MLServer, Triton, KServe and others, for urls with the scheme grpc or grpcs.

Source: kserve/open-inference-protocol, specification/protocol/open_inference_grpc.proto. Servers differ in what they
say of a model they do not have: Triton's ready is an empty message, as it is while a model loads; MLServer's is the
status UNKNOWN; KServe's is NOT_FOUND. RepositoryIndex is an extension that Triton and MLServer have.
"""

from collections.abc import Sequence
from typing import Any

from exporter.contracts import Exchange, Problem, Reply
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.protocols import identity, repository, rpc, tensor_messages, tensors
from exporter.protocols.open_inference import OpenInference, server_info
from exporter.protocols.reading import handle
from exporter.protocols.repository import Entry

SERVICE = "/inference.GRPCInferenceService/"


class OpenInferenceGrpc(OpenInference):
    """Open Inference Protocol v2, gRPC. Settings and expectations are those of REST."""

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """As over REST, and what only REST has, or gRPC has no type for."""
        found = list(super().problems(kind))
        if kind is Kind.INFER:
            found += [
                ((key,), "only REST has it") for key in ("body", "path") if getattr(self.settings, key) is not None
            ]
            found += tensor_messages.problems(self.settings.inputs or (), self.settings.parameters)
        return found

    def imports(self) -> tuple[str, ...]:
        """What gRPC takes."""
        return rpc.imports("open_inference")

    async def health(self, exchange: Exchange) -> Observation:
        """The server is alive."""
        response = await self._ask(exchange, "ServerLive")
        if not response.live:
            raise Failure(Reason.NOT_READY, "the server answers that it is not live")
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """The model can be asked, or the server where no model is named."""
        if self.model:
            response = await self._ask(exchange, "ModelReady", **self._which())
        else:
            response = await self._ask(exchange, "ServerReady")
        if not response.ready:
            raise await self._not_ready(exchange)
        return Observation()

    async def metadata(self, exchange: Exchange) -> Observation:
        """What the server is, and what it says of the model."""
        info: dict[str, str] = {}
        told: dict[str, Any] = {}
        reply = await self._call(exchange, "ServerMetadata")
        if reply.code != rpc.UNIMPLEMENTED or not self.model:
            rpc.require(reply)
            server = await self._read("ServerMetadata", reply)
            told = {"name": server.name, "version": server.version, "extensions": list(server.extensions)}
            info |= server_info(told)
        if not self.model:
            return identity.report(self.settings, info, told=told)
        try:
            model = await self._ask(exchange, "ModelMetadata", **self._which())
            told = {
                "name": model.name,
                "versions": list(model.versions),
                "platform": model.platform,
                "inputs": tensor_messages.described(model.inputs),
                "outputs": tensor_messages.described(model.outputs),
            }
            return await self.described(exchange, info, told["versions"], model.platform, told)
        except Failure as failure:
            return Observation(failure=failure, info=info)

    async def infer(self, exchange: Exchange) -> Observation:
        """Outputs come back, and they are the expected ones."""
        messages = await rpc.messages("open_inference")
        request = tensor_messages.request(messages, self.model, self.settings, raw=self.settings.raw)
        reply = await exchange.call(f"{SERVICE}ModelInfer", request.SerializeToString())
        rpc.require(reply, model=self.model)

        def judge(body: bytes) -> Observation:
            return tensors.judge(self.settings, tensor_messages.answer(rpc.read(messages.ModelInferResponse, body)))

        return await handle(reply.body, judge)

    async def catalogue(self, exchange: Exchange) -> Observation:
        """The models of the repository index."""
        response = await self._ask(exchange, "RepositoryIndex")
        entries = [Entry(each.name, each.version, each.state, each.reason) for each in response.models if each.name]
        return Observation(models=repository.served(entries))

    async def propose(self, exchange: Exchange) -> Observation:
        """A prediction on zeros, in the shapes that the model's metadata tells."""
        if not self.model:
            return Observation()
        model = await self._ask(exchange, "ModelMetadata", name=self.model)
        return Observation(proposal=tensors.proposal(tensor_messages.described(model.inputs)))

    async def unserved(self, exchange: Exchange, version: str) -> str | None:
        """What the server says of a version of the model that it does not serve, None when it does."""
        try:
            await self._ask(exchange, "ModelMetadata", name=self.model, version=version)
        except Failure as failure:
            if failure.reason is not Reason.MODEL_NOT_FOUND:
                raise
            return failure.detail
        return None

    async def _not_ready(self, exchange: Exchange) -> Failure:
        """Triton says so of a model that loads and of one it never had; only its metadata tells the two apart."""
        if not self.model:
            return Failure(Reason.NOT_READY, "the server answers that it is not ready")
        reply = await self._call(exchange, "ModelMetadata", **self._which())
        failure = rpc.judge(reply, model=self.model)
        known = repository.NOT_SERVED in reply.message
        if failure is not None and failure.reason is Reason.MODEL_NOT_FOUND and not known:
            return failure
        return Failure(Reason.NOT_READY, "the server answers that the model is not ready")

    def _which(self) -> dict[str, str]:
        return {"name": self.model, "version": self.settings.version or ""}

    async def _ask(self, exchange: Exchange, method: str, **fields: Any) -> Any:
        """The answer to a method. Raises `Failure` for any status but OK."""
        reply = await self._call(exchange, method, **fields)
        rpc.require(reply, model=fields.get("name", ""))
        return await self._read(method, reply)

    async def _call(self, exchange: Exchange, method: str, **fields: Any) -> Reply:
        """What comes of a method whose messages are named after it."""
        messages = await rpc.messages("open_inference")
        request = getattr(messages, f"{method}Request")(**fields)
        return await exchange.call(SERVICE + method, request.SerializeToString())

    async def _read(self, method: str, reply: Reply) -> Any:
        messages = await rpc.messages("open_inference")
        return await handle(reply.body, lambda body: rpc.read(getattr(messages, f"{method}Response"), body))
