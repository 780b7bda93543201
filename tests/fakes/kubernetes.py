"""A Kubernetes API with InferenceServices and no controller, written from the Kubernetes API specification: Status
objects for errors, JSON Patch with its `test`, generations that count changes of the spec.
"""

import json
from copy import deepcopy
from typing import Any

from aiohttp import web

from tests.fakes.server import FakeServer

_ROUTE = "/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices/{name}"


class Kubernetes(FakeServer):
    """`services` by (namespace, name). `token` is the one bearer token that may do all."""

    def __init__(self) -> None:
        super().__init__()
        self.token = "cluster-token"
        self.services: dict[tuple[str, str], Any] = {}
        #: What the controller would do next: it is called after each patch.
        self.controller: Any = lambda service: None

    def add(self, name: str, uri: str | None, **metadata: Any) -> Any:
        """An InferenceService whose model is served."""
        model = {"modelFormat": {"name": "sklearn"}, **({"storageUri": uri} if uri is not None else {})}
        service = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": name, "namespace": "models", "generation": 1, "resourceVersion": "10", **metadata},
            "spec": {"predictor": {"model": model}},
            "status": {},
        }
        served(service)
        self.services["models", name] = service
        return service

    def routes(self) -> list[web.RouteDef]:
        return [web.get(_ROUTE, self._get), web.patch(_ROUTE, self._patch)]

    async def answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized", "Unauthorized")
        return await super().answer(request, handler)

    def _found(self, request: web.Request) -> Any:
        return self.services.get((request.match_info["namespace"], request.match_info["name"]))

    async def _get(self, request: web.Request) -> web.Response:
        found = self._found(request)
        return web.json_response(found) if found else _missing(request)

    async def _patch(self, request: web.Request) -> web.Response:
        found = self._found(request)
        if not found:
            return _missing(request)
        if request.content_type != "application/json-patch+json":
            return _status(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        changed = deepcopy(found)
        for operation in await request.json():
            *folders, last = operation["path"].strip("/").split("/")
            place = changed
            for folder in folders:
                place = place[folder]
            if operation["op"] == "test" and place.get(last) != operation["value"]:
                return _status(422, "Invalid", "the server rejected our request due to an error in our request")
            if operation["op"] == "replace":
                place[last] = operation["value"]
        changed["metadata"]["generation"] += changed["spec"] != found["spec"]
        changed["metadata"]["resourceVersion"] = str(int(changed["metadata"]["resourceVersion"]) + 1)
        self.services[request.match_info["namespace"], request.match_info["name"]] = changed
        self.controller(changed)
        return web.json_response(changed)


def served(service: Any) -> None:
    """What the controller writes when the model of the spec is served."""
    service["status"] = {
        "observedGeneration": service["metadata"]["generation"],
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "PredictorReady", "status": "True"}],
        "modelStatus": {"transitionStatus": "UpToDate", "states": {"activeModelState": "Loaded"}},
    }


def broken(service: Any) -> None:
    """What the controller writes when the model of the spec cannot be loaded: the old one goes on serving."""
    service["status"] |= {
        "observedGeneration": service["metadata"]["generation"],
        "modelStatus": {
            "transitionStatus": "BlockedByFailedLoad",
            "lastFailureInfo": {"reason": "ModelLoadFailed", "message": "NoSuchBucket"},
        },
    }


def _missing(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    return _status(404, "NotFound", f'inferenceservices.serving.kserve.io "{name}" not found')


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return web.Response(status=code, text=json.dumps(body), content_type="application/json")
