"""Questions `init` asks beyond detection: which models are served, and what one of them wants as input."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter import __version__
from exporter.contracts import Exchange
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Failure
from exporter.protocols.address import join, segment
from exporter.protocols.reading import parse
from exporter.transport import Transport

#: Seconds for one question.
TIMEOUT = 5.0
#: Numbers in one proposed input; a larger one is not written out.
MOST_NUMBERS = 1024
#: Model names taken from one listing.
MOST_MODELS = 100

_ZERO: Mapping[str, Any] = {"BOOL": False, "BYTES": "text", "FP16": 0.0, "FP32": 0.0, "FP64": 0.0} | {
    f"{sign}INT{bits}": 0 for sign in ("", "U") for bits in (8, 16, 32, 64)
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input of a model, filled with zeros. `shape` has 1 where the model takes any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: tuple[Any, ...]


async def models(endpoint: Endpoint, protocol: str) -> tuple[str, ...]:
    """Names of the models a server lists; none where it has no list or does not tell."""
    match protocol:
        case "openai":
            listed = await _ask(endpoint, "GET", "/v1/models")
            entries = listed.get("data") if isinstance(listed, dict) else None
            key = "id"
        case "open_inference":
            entries = await _ask(endpoint, "POST", "/v2/repository/index", b"{}")
            key = "name"
        case _:
            return ()
    if not isinstance(entries, list):
        return ()
    names = (entry.get(key) for entry in entries if isinstance(entry, dict))
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and name.isprintable()))[:MOST_MODELS]


async def inputs(endpoint: Endpoint, model: str) -> tuple[Tensor, ...]:
    """The inputs of an Open Inference model, all zeros; none where it does not tell or they cannot be written down."""
    told = await _ask(endpoint, "GET", f"/v2/models/{segment(model)}")
    described = told.get("inputs") if isinstance(told, dict) else None
    if not isinstance(described, list):
        return ()
    tensors = [_zeros(entry) for entry in described]
    known = tuple(tensor for tensor in tensors if tensor is not None)
    return known if len(known) == len(tensors) else ()


def _zeros(entry: Any) -> Tensor | None:
    if not isinstance(entry, dict):
        return None
    name, datatype, dimensions = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if not isinstance(name, str) or not isinstance(datatype, str) or not isinstance(dimensions, list):
        return None
    if datatype not in _ZERO:
        return None
    shape: list[int] = []
    many = 1
    for size in dimensions:
        if not isinstance(size, int):
            return None
        shape.append(max(size, 1))
        many *= shape[-1]
    if many > MOST_NUMBERS:
        return None
    return Tensor(name, datatype, tuple(shape), (_ZERO[datatype],) * many)


async def _ask(endpoint: Endpoint, method: str, route: str, body: bytes | None = None) -> Any:
    """The JSON a server answers with, None for any other answer."""
    transport = Transport(user_agent=f"model-exporter/{__version__}")
    try:
        exchange: Exchange = transport.exchange(
            endpoint, deadline=time.perf_counter() + TIMEOUT, trace_id=secrets.token_hex(16), memory={}
        )
        headers = [("content-type", "application/json")] if body is not None else []
        try:
            response = await exchange.request(
                method, join(endpoint.path, route, endpoint.query), headers=headers, body=body
            )
            return parse(response.body) if response.status == 200 else None
        except Failure:
            return None
        finally:
            await exchange.close()
    finally:
        await transport.close()
