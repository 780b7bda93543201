"""The model repository extension of the Open Inference Protocol: which models a server has, and in which state.

Source: triton-inference-server/server, docs/protocol/extension_model_repository.md; MLServer has it too. KServe lists
its models at `GET /v2/models` instead.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.contracts import Exchange
from exporter.model.failure import Failure, Reason
from exporter.protocols import answer, listing
from exporter.protocols.family import JSON_HEADERS, Family
from exporter.protocols.reading import handle, parse, parse_object, string
from exporter.protocols.text import quote

INDEX = "/v2/repository/index"
#: What Triton says of a model that it has and does not serve, be it that it loads or that it was unloaded.
NOT_SERVED = "no available versions"


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of a model. A model that was never loaded has neither version nor state; `reason` says why one is
    UNAVAILABLE ("unloaded", or what went wrong).
    """

    name: str
    version: str = ""
    state: str = ""
    reason: str = ""

    @property
    def listed(self) -> bool:
        """Whether the server means to serve it: a version that did not load counts, one that was unloaded does not."""
        if self.state == "UNAVAILABLE":
            return self.reason != "unloaded"
        return self.state != "UNLOADING"

    def __str__(self) -> str:
        version = f"version {self.version} is " if self.version else ""
        why = f": {self.reason}" if self.reason else ""
        return quote(f"{version}{self.state or 'not loaded'}{why}")


async def index(family: Family, exchange: Exchange) -> tuple[Entry, ...]:
    """What the repository index lists. Raises `Failure`: PyTriton, for one, wants a token for it (auth)."""
    response = await family.post_ok(exchange, family.route(INDEX), {})
    return await handle(response.body, _entries)


async def names(family: Family, exchange: Exchange) -> tuple[str, ...]:
    """Names of the models a server lists, by the index or by `GET /v2/models`. Raises `Failure` of the index where it
    has neither.
    """
    response = await exchange.request("POST", family.route(INDEX), headers=JSON_HEADERS, body=b"{}")
    failure = answer.judge(response.status, response.headers, response.body)
    if failure is None:
        return served(await handle(response.body, _entries))
    other = await family.get(exchange, "/v2/models")
    if other.status != 200:
        raise failure
    models = (await handle(other.body, parse_object)).get("models")
    if not isinstance(models, list):
        raise Failure(Reason.MALFORMED, "the listing has no models")
    return listing.names(models)


def served(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Names of the models that a server means to serve, as its index shows them."""
    # A server that tells no states tells only of models it serves.
    told = any(entry.state for entry in entries)
    return listing.names(entry.name for entry in entries if entry.listed and (entry.state or not told))


def of(entries: Iterable[Entry], model: str, version: str | None) -> Sequence[Entry]:
    """The entries of a model, or of one version of it."""
    return [entry for entry in entries if entry.name == model and (version is None or entry.version == version)]


def _entries(body: bytes) -> tuple[Entry, ...]:
    value = parse(body)
    if not isinstance(value, list):
        raise Failure(Reason.MALFORMED, "the repository index is not a list")
    entries = [_entry(item) for item in value[: listing.MOST] if isinstance(item, dict)]
    return tuple(entry for entry in entries if entry.name)


def _entry(item: dict[str, Any]) -> Entry:
    return Entry(*(string(item.get(key)) for key in ("name", "version", "state", "reason")))
