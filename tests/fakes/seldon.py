"""A Seldon Core v1 microservice, from wrapper.py, seldon_methods.py and flask_utils.py: doubles what it is given."""

from typing import Any

from aiohttp import web

from tests.fakes.server import FakeServer


class Seldon(FakeServer):
    """`check` is what the author's own health_status returns: a value, the status of an exception, or None where there
    is none. `status` is put into the answers as a message's own status.
    """

    def __init__(self) -> None:
        super().__init__()
        self.check: Any = {"data": {"names": [], "ndarray": ["still fine"]}, "meta": {}}
        self.status: dict[str, Any] | None = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health/ping", self._ping),
            web.get("/health/status", self._check),
            web.get("/metadata", self._metadata),
            web.post("/api/v1.0/predictions", self._predict),
        ]

    async def _ping(self, request: web.Request) -> web.Response:
        return web.Response(text="pong", content_type="text/html")

    async def _check(self, request: web.Request) -> web.Response:
        if self.check is None:
            return _refuse(400, "health is not implemented")
        if isinstance(self.check, int):
            return _refuse(self.check, "the feature store cannot be reached")
        return web.json_response(self.check)

    async def _metadata(self, request: web.Request) -> web.Response:
        array = {"messagetype": "ndarray", "schema": {"names": ["a", "b"], "shape": [2]}}
        about = {"name": "doubler", "versions": ["doubler/v3"], "platform": "numpy", "custom": {}}
        return web.json_response(about | {"inputs": [array], "outputs": [array]})

    async def _predict(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return _refuse(400, "Can't find JSON in data")
        asked = await request.json()
        answer = _doubled(asked)
        if answer is None:
            return _refuse(400, f"Unknown data type: {sorted(asked)}")
        if self.status is not None:
            answer["status"] = self.status
            return web.json_response(answer, status=self.status.get("code", 200))
        return web.json_response(answer)


def _doubled(asked: dict[str, Any]) -> dict[str, Any] | None:
    meta = {"requestPath": {"doubler": "image:1"}}
    if "strData" in asked:
        return {"strData": asked["strData"] * 2, "meta": meta}
    if "jsonData" in asked:
        return {"jsonData": [asked["jsonData"]] * 2, "meta": meta}
    data = asked.get("data", {})
    if "ndarray" in data:
        rows = [[2 * value for value in row] for row in data["ndarray"]]
        return {"data": {"names": ["t:0", "t:1"], "ndarray": rows}, "meta": meta}
    if "tensor" in data:
        values = [2 * value for value in data["tensor"]["values"]]
        return {"data": {"names": [], "tensor": {"shape": data["tensor"]["shape"], "values": values}}, "meta": meta}
    return None


def _refuse(code: int, info: str) -> web.Response:
    status = {"status": 1, "info": info, "code": -1, "reason": "MICROSERVICE_BAD_DATA"}
    return web.json_response({"status": status}, status=code)
