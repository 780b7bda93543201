"""TorchServe's management port: the only one that tells workers, queue and versions of a model.

Source: pytorch/serve, docs/management_api.md and docs/token_authorization_api.md. It has a key of its own, and by
default it listens on the server's own loopback only.
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SerializerFunctionWrapHandler, WrapSerializer

from exporter.contracts import Exchange, Response
from exporter.model.failure import Failure, Reason
from exporter.protocols import answer, listing
from exporter.protocols.address import segment
from exporter.protocols.reading import json_or_none, object_of
from exporter.protocols.torchserve_answer import Standing, error_type, judge, read
from exporter.settings import Secret, Settings, problem
from exporter.transport import secrets

#: Where it is unless the operator says otherwise.
PORT = 8081
#: Seconds a port that nobody named has to answer, and for how long it is left alone when it does not.
_GUESS, _PAUSE = 2.0, 60.0
#: What it means when a port that nobody named cannot be spoken to: it is not there for us.
_ELSEWHERE = frozenset(
    {Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.CONNECT, Reason.PROTOCOL, Reason.TLS, Reason.TLS_EXPIRED,
     Reason.TLS_UNTRUSTED, Reason.TLS_HOSTNAME}
)  # fmt: skip
_ABSENT = "torchserve.management absent since"
#: Pages of a listing that are read; each has a hundred models.
_PAGES = 100


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise problem("url", "found something else (not shown); allowed: such as http://host:8081, without a path")
    return value.rstrip("/")


class ManagementPort(Settings):
    """Where the management port is, and the key it wants."""

    url: Annotated[str, AfterValidator(_url)] = Field(description="Its address, such as http://host:8081.")
    token: Secret | None = Field(default=None, description="The management key of TorchServe's key_file.json.")


def _port(value: Any) -> Any:
    if value is False:  # an empty url, which no operator can write, stands for no port
        return ManagementPort.model_construct(url="")
    if isinstance(value, str):
        return {"url": value}
    if isinstance(value, dict | ManagementPort):
        return value
    raise problem("management", "found {found}; allowed: a url, {url:, token:}, or false", found=value)


def _written(port: ManagementPort, write: SerializerFunctionWrapHandler) -> Any:
    return write(port) if port.url else False


#: A url, `{url, token}`, or false where there is none.
Management = Annotated[
    ManagementPort,
    BeforeValidator(_port, json_schema_input_type=str | Literal[False] | ManagementPort),
    WrapSerializer(_written),
]


async def standing(exchange: Exchange, port: ManagementPort | None, model: str, version: str | None) -> Standing | None:
    """How a model stands, or None where there is no management port to ask. `port` None: nobody said where it is.

    Raises `Failure`: model_not_found, auth, malformed, and whatever a named port that does not answer means.
    """
    tail = f"/{segment(version)}" if version else ""
    response = await _get(exchange, port, f"/models/{segment(model)}{tail}")
    if response is None:
        return None
    _refuse(response, model)
    return read(response.body)


async def models(exchange: Exchange, port: ManagementPort | None) -> tuple[str, ...]:
    """Names of all models. Raises `Failure`."""
    found: list[Any] = []
    token = ""
    for _ in range(_PAGES):
        response = await _get(exchange, port, f"/models?next_page_token={segment(token)}" if token else "/models")
        if response is None:
            raise Failure(Reason.CONNECT, "the management port, which alone lists models, is not there: set management")
        _refuse(response)
        page = await object_of(response.body)
        entries, following = page.get("models"), page.get("nextPageToken")
        if not isinstance(entries, list):
            raise Failure(Reason.MALFORMED, f"management port: no models in {answer.message(response.body)}")
        found += [entry.get("modelName") for entry in entries if isinstance(entry, dict)]
        if not isinstance(following, str) or not following or following == token:
            break
        token = following
    return listing.names(found)


async def _get(exchange: Exchange, port: ManagementPort | None, route: str) -> Response | None:
    """GET a route, None where there is no port. One that nobody named counts as absent when it cannot be reached, wants
    a key, or is another server's.
    """
    if port is not None:
        return await _ask(exchange, port, route) if port.url else None
    since = exchange.memory.get(_ABSENT)
    if isinstance(since, float) and exchange.now() - since < _PAUSE:
        return None
    try:
        response = await exchange.beside(PORT).request("GET", route, timeout=_GUESS)
    except Failure as failure:
        if failure.reason not in _ELSEWHERE:
            raise
        response = None
    if response is None or not _spoken_by_torchserve(response):
        exchange.memory[_ABSENT] = exchange.now()
        return None
    return response


async def _ask(exchange: Exchange, port: ManagementPort, route: str) -> Response:
    headers = [] if port.token is None else [("Authorization", f"Bearer {secrets.read(port.token)}")]
    try:
        return await exchange.beside(port.url).request("GET", route, headers=headers)
    except Failure as failure:
        raise _theirs(failure) from None


def _refuse(response: Response, model: str = "") -> None:
    failure = judge(response, model)
    if failure is not None:
        raise _theirs(failure)


def _theirs(failure: Failure) -> Failure:
    """A failure of this port, and said so: the inference port may be well."""
    return Failure(failure.reason, f"management port: {failure.detail}", http_status=failure.http_status)


def _spoken_by_torchserve(response: Response) -> bool:
    if response.status != 200:
        return error_type(response.body).endswith("NotFoundException")
    value = json_or_none(response.body)
    return isinstance(value, list) or (isinstance(value, dict) and "models" in value)
