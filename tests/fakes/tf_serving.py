"""TensorFlow Serving's REST API, from g3doc/api_rest.md and http_rest_api_handler.cc: one model, and its errors."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.server import FakeServer

_STATUS = re.compile(r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(/metadata)?")
_CALL = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(predict|classify|regress)")
_FULL = "The batch scheduling queue to which this task was submitted is full; currently max_enqueued_batches is 4"


@dataclass
class Version:
    """One version and how it stands."""

    state: str = "AVAILABLE"
    error_code: str = "OK"
    error_message: str = ""


@dataclass
class Refused(Exception):
    """A tensorflow::Status that is not OK, with the HTTP status it is mapped to."""

    status: int
    text: str = field(default="")


class TfServing(FakeServer):
    """One server. `versions` and `labels` of its one model may change while it runs."""

    name = "half_plus_two"

    def __init__(self) -> None:
        super().__init__()
        self.versions: dict[str, Version] = {"123": Version()}
        self.labels = {"stable": "123"}
        self.queue_full = False

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self._process)]

    async def _process(self, request: web.Request) -> web.Response:
        try:
            return _json(200, self._answer(request.method, request.path, await request.read()))
        except Refused as refused:
            return _json(refused.status, {"error": refused.text})

    def _answer(self, method: str, path: str, body: bytes) -> Any:
        if method == "POST" and (call := _CALL.fullmatch(path)):
            name, version, label, what = call.groups()
            return self._call(what, self._servable(name, self._number(version, label)), body)
        if method == "GET" and (status := _STATUS.fullmatch(path)):
            name, version, label, metadata = status.groups()
            if name is None:
                raise Refused(400, "Missing model name in request.")
            number = self._number(version, label)
            return self._metadata(self._servable(name, number)) if metadata else self._status(name, number)
        raise Refused(400, f"Malformed request: {method} {path}")

    def _number(self, version: str | None, label: str | None) -> str | None:
        if label is not None and label not in self.labels:
            raise Refused(400, f"Unrecognized servable version label: {label}")
        return version if label is None else self.labels[label]

    def _status(self, name: str, number: str | None) -> Any:
        known = self.versions if name == self.name else {}
        if number is not None and number not in known:
            raise Refused(404, f"Could not find version {number} of model {name}")
        if not known:
            raise Refused(404, f"Could not find any versions of model {name}")
        chosen = {number: known[number]} if number else known
        return {
            "model_version_status": [
                {
                    "version": each,
                    "state": version.state,
                    "status": {"error_code": version.error_code, "error_message": version.error_message},
                }
                for each, version in chosen.items()
            ]
        }

    def _servable(self, name: str, number: str | None) -> str:
        known = self.versions if name == self.name else {}
        served = [each for each, version in known.items() if version.state == "AVAILABLE"]
        if number is None and served:
            return served[-1]
        if number is None or number not in served:
            which = f"Latest({name})" if number is None else f"Specific({name}, {number})"
            raise Refused(404, f"Servable not found for request: {which}")
        return number

    def _metadata(self, number: str) -> Any:
        x = {
            "dtype": "DT_FLOAT",
            "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}], "unknown_rank": False},
            "name": "x:0",
        }
        signature = {"inputs": {"x": x}, "outputs": {"y": x | {"name": "y:0"}}, "method_name": "predict"}
        return {
            "model_spec": {"name": self.name, "signature_name": "", "version": number},
            "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
        }

    def _call(self, what: str, number: str, body: bytes) -> Any:
        if self.queue_full:
            raise Refused(503, _FULL)
        try:
            asked = json.loads(body)
        except ValueError:
            raise Refused(400, f"JSON Parse error: Invalid value. at offset: 0 {body[:20]!r}") from None
        if what != "predict":
            rows = [example["x"] for example in asked.get("examples") or self._missing()]
            return {"results": [[["half", row / 2]] if what == "classify" else row / 2 + 2 for row in rows]}
        if ("instances" in asked) == ("inputs" in asked):
            raise Refused(400, "Missing 'inputs' or 'instances' key")
        key, answer = ("instances", "predictions") if "instances" in asked else ("inputs", "outputs")
        try:
            return {answer: [row / 2 + 2 for row in asked[key]]}
        except TypeError:
            raise Refused(400, "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT") from None

    def _missing(self) -> Any:
        raise Refused(400, "When method is classify, key 'examples' is expected and was not found")


def _json(status: int, value: Any) -> web.Response:
    return web.Response(status=status, text=json.dumps(value, indent=4), content_type="application/json")
