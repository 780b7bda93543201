"""What an HTTP status means: one set of rules for every protocol, after the protocol's own."""

import json
import math
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from exporter.contracts import Headers, Response
from exporter.model.failure import Failure, Reason
from exporter.protocols.address import segment
from exporter.protocols.text import quote

#: Bytes of a body that the rules look at.
LOOK = 4096

_LOADING = re.compile(r"\b(?:loading|not[ _-]?ready|warming|starting)")
_LOAD = re.compile(r"queue|overload|busy|capacity|too many|slots|pending requests|backpressure")
_MONEY = re.compile(r'"(?:insufficient_quota|billing[a-z_]*)"')


def require(response: Response, *, model: str = "", path: str = "") -> None:
    """Raise the `Failure` of an answer that is not 2xx.

    `model` and `path` (as sent, percent-encoded) tell a missing model from a missing route.
    """
    failure = judge(response.status, response.headers, response.body, model=model, path=path)
    if failure is not None:
        raise failure


def judge(status: int, headers: Headers, body: bytes, *, model: str = "", path: str = "") -> Failure | None:
    """The failure a status and the beginning of its body stand for, None for 2xx."""
    if 200 <= status < 300:
        return None
    text = body[:LOOK].decode("utf-8", "replace").lower()
    reason = _reason(status, headers, text, model, path)
    return Failure(reason, _detail(status, headers, body), http_status=status, retry_after=retry_after(headers))


def _reason(status: int, headers: Headers, text: str, model: str, path: str) -> Reason:
    if 300 <= status < 400:
        return Reason.REDIRECT
    match status:
        case _ if status < 200:
            return Reason.PROTOCOL
        case 401 | 403:
            return Reason.AUTH
        case 404 if names_model(text, path, model):
            return Reason.MODEL_NOT_FOUND
        case 429:
            return Reason.AUTH if _MONEY.search(text) else Reason.RATE_LIMITED
        case 529:
            return Reason.OVERLOADED
        case 503 if _LOADING.search(text):
            return Reason.NOT_READY
        case 503 if _LOAD.search(text) or headers.get("x-envoy-overloaded"):
            return Reason.OVERLOADED
    return Reason.HTTP_STATUS


def because(failure: Failure, reason: Reason, why: str = "") -> Failure:
    """The same refusal where a protocol knows better what it means, and maybe why."""
    detail = f"{failure.detail} ({quote(why)})" if why and why not in failure.detail else failure.detail
    return Failure(reason, detail, http_status=failure.http_status, retry_after=failure.retry_after)


def names_model(text: str, path: str, model: str) -> bool:
    """Whether a lower-case text holds the model's name as a word, or the path holds it as a segment."""
    if not model:
        return False
    name = model.lower()
    if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text):
        return True
    return segment(model) in path.partition("?")[0].split("/")


def retry_after(headers: Headers, now: float | None = None) -> float | None:
    """Seconds a server asks to wait, None when it does not or not in a form we know. Never negative.

    A date is read against the server's own clock (`Date`), else against ours (`now`, Unix time).
    """
    value = headers.get("retry-after").strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", value, re.ASCII):
        return float(value)
    until = _date(value)
    if until is None:
        return None
    since = _date(headers.get("date"))
    if since is None:
        since = time.time() if now is None else now
    wait = until - since
    return max(0.0, wait) if math.isfinite(wait) else None


def _date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp() if value else None
    except (ValueError, OverflowError, OSError):
        return None


def message(body: bytes) -> str:
    """The part of an error body that is for people, on one line; the body itself where no known form fits."""
    text = body[:LOOK].decode("utf-8", "replace")
    if len(body) <= LOOK and text.lstrip().startswith("{"):
        try:
            found = error_text(json.loads(text))
        except (ValueError, RecursionError):
            found = ""
        if found:
            return quote(found)
    return quote(text)


def error_text(value: Any) -> str:
    """What a JSON error says, `""` when the value is not one of the forms servers use.

    Forms: {"error": {"message"}}, {"error": text}, {"object": "error", "message"}, {"error_code", "message"},
    {"code", "type", "message"}, {"status": {"info"}}, {"detail": text or list}.
    """
    if not isinstance(value, dict):
        return ""
    error = value.get("error")
    if isinstance(error, dict) and error:
        return _first_text(error, "message", "type", "code") or "an error without a message"
    if isinstance(error, str) and error:
        more = _detail_text(value.get("detail"))
        return f"{error}: {more}" if more else error
    if error:
        return "an error without a message"
    if value.get("object") == "error" or "error_code" in value or "error_type" in value:
        return _first_text(value, "message", "error_code", "error_type") or "an error without a message"
    if set(value) == {"code", "type", "message"}:
        return _first_text(value, "message", "type")
    if set(value) == {"status"} and isinstance(value["status"], dict):
        return _first_text(value["status"], "info")
    if set(value) == {"detail"}:
        return _detail_text(value["detail"])
    return ""


def refuse_error(value: Any, reason: Reason = Reason.ERROR_EVENT) -> None:
    """Raise the `Failure` of an error that came with status 200; a value that is none of the forms is no error."""
    if error := error_text(value):
        raise Failure(reason, f"an error with status 200: {quote(error)}")


def _first_text(value: dict[str, Any], *keys: str) -> str:
    return next((text for key in keys if isinstance(text := value.get(key), str) and text), "")


def _detail_text(detail: Any) -> str:
    if isinstance(detail, str):
        return detail
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        place = detail[0].get("loc")
        where = ".".join(str(part) for part in place if isinstance(part, str | int)) if isinstance(place, list) else ""
        return ": ".join(part for part in (where, _first_text(detail[0], "msg")) if part)
    return ""


def tells_load(text: str) -> bool:
    """Whether an error speaks of too much to do, and not of something broken."""
    return bool(_LOAD.search(text.lower()))


def _detail(status: int, headers: Headers, body: bytes) -> str:
    said = message(body)
    if 300 <= status < 400:
        said = _place(headers.get("location")) or said
        return f"HTTP {status} to {said}" if said else f"HTTP {status}"
    return f"HTTP {status}: {said}" if said else f"HTTP {status}"


def _place(location: str) -> str:
    """Where a redirect leads, without what may be secret in it."""
    try:
        parts = urlsplit(location)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    scheme = f"{parts.scheme}://" if parts.scheme and host else ""
    return quote(f"{scheme}{host}{port}{parts.path}")
