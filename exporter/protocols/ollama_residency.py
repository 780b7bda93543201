"""Which models an Ollama server holds in memory, and how a question leaves them there exactly as long as without it.

Every request loads its model, sets for how long it stays afterwards (`keep_alive`; without it, as long as the request
before had said), and begins that time anew. `/api/ps` tells when it will end. A request whose `num_ctx` is not the one
the model was loaded with makes the server load it again. Pure, but for the clock of the answer.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from exporter.contracts import Headers
from exporter.model.failure import Failure, Reason
from exporter.protocols import answer
from exporter.protocols.reading import count, parse_object, string

#: Seconds; a model that stays longer is held for ever. The server writes that as a moment some 292 years away.
FOR_EVER = 366 * 86400.0
#: Seconds before its end at which a model counts as gone: loading it again would cost more than this look is worth.
MARGIN = 1.0
#: Seconds past its end at which a model that is still there is in use: its time begins anew when that use ends.
OVERDUE = 15.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory: the seconds it stays there and its `num_ctx`, None where the server does not tell."""

    left: float | None
    context: int | None
    digest: str


@dataclass(frozen=True, slots=True)
class Residency:
    """Whether a model is in memory, as far as the server tells."""

    told: bool
    loaded: Loaded | None = None


def canonical(model: str) -> str:
    """The name by which a server lists a model: with its tag, without the registry that is the default one."""
    name = model.lower().removeprefix("registry.ollama.ai/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def find(body: bytes, headers: Headers, model: str) -> Residency:
    """Whether a model is among those of `/api/ps`."""
    try:
        entry = listed(models(body), model)
    except Failure:
        return Residency(told=False)
    if entry is None:
        return Residency(told=True)
    context = count(entry.get("context_length")) or None
    left = _left(string(entry.get("expires_at")), headers)
    return Residency(told=True, loaded=Loaded(left, context, string(entry.get("digest"))))


def models(body: bytes) -> list[dict[str, Any]]:
    """The entries of `/api/tags` or `/api/ps`. Raises `Failure` (malformed, error_event) when it is no such list."""
    value = parse_object(body)
    answer.refuse_error(value)
    entries = value.get("models")
    if entries is None and "models" in value:
        return []  # how some versions write an empty list
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and name_of(entry) for entry in entries):
        raise Failure(Reason.MALFORMED, f"the answer is not a list of models: {answer.message(body)}")
    return entries


def listed(entries: list[dict[str, Any]], model: str) -> dict[str, Any] | None:
    """The entry of a model."""
    wanted = canonical(model)
    return next((entry for entry in entries if canonical(name_of(entry)) == wanted), None)


def name_of(entry: dict[str, Any]) -> str:
    """The name of an entry, `""` when it has none."""
    return string(entry.get("model")) or string(entry.get("name"))


def keep_alive(loaded: Loaded, took: float) -> dict[str, Any] | None:
    """The key that lets a loaded model go when it would have gone; None when it is about to go.

    The time counts from the end of the request, which takes some `took` seconds itself.
    """
    if loaded.left is None or loaded.left < -OVERDUE:
        return {}  # in use now: without the key, what its user asked for holds on
    if loaded.left > FOR_EVER:
        return {"keep_alive": -1}
    left = loaded.left - took
    return {"keep_alive": f"{left * 1000:.0f}ms"} if left >= MARGIN else None


def _left(expires_at: str, headers: Headers) -> float | None:
    """Seconds until a moment of the server's clock. `Date` shows that to the second: rather too few than too many."""
    try:
        expires = datetime.fromisoformat(expires_at).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    try:
        now = parsedate_to_datetime(headers.get("date")).timestamp() + 1.0
    except (ValueError, OverflowError, OSError, TypeError):
        now = time.time()
    return expires - now
