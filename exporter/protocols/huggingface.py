"""What Hugging Face's own servers share (Text Generation Inference, Text Embeddings Inference): errors and `/info`."""

from typing import Any

from exporter.contracts import Headers
from exporter.model.failure import Failure, Reason
from exporter.protocols import answer
from exporter.protocols.reading import count, json_or_none, parse_object, string
from exporter.protocols.text import label


def judge(status: int, headers: Headers, body: bytes, *, model: str, path: str) -> Failure | None:
    """The failure of an answer, None for 2xx.

    424 is their backend that failed: broken, where other 4xx are a refusal. 429 in their own words is a full queue; in
    others it is the limit of a gateway in front.
    """
    failure = answer.judge(status, headers, body, model=model, path=path)
    if failure is None:
        return None
    if status == 424:
        failure.http_status = None  # without the code, `http_status` is evidence of something broken
    elif status in (429, 503) and overloaded(json_or_none(body, answer.LOOK)):
        failure.reason = Reason.OVERLOADED
    return failure


def overloaded(value: Any) -> bool:
    """Whether an error, `{"error", "error_type"}`, says that there is no room. Older servers send no type."""
    if not isinstance(value, dict):
        return False
    return string(value.get("error_type")).lower() == "overloaded" or "overloaded" in string(value.get("error")).lower()


def reason_of(error: Any) -> Reason:
    """What an error in an answer with status 200 means."""
    return Reason.OVERLOADED if overloaded(error) else Reason.ERROR_EVENT


def described(body: bytes, *numbers: str) -> tuple[dict[str, str], dict[str, float]]:
    """Labels and numbers of an answer to `/info`. Raises `Failure` (malformed) when it names no model."""
    value = parse_object(body)
    model = value.get("model_id")
    if not isinstance(model, str) or not model:
        raise Failure(Reason.MALFORMED, f"the answer names no model: {answer.message(body)}")
    info = {"model_id": label(model)}
    for key, name in (("server_version", "version"), ("model_version", "model_sha")):
        if text := string(value.get(name)):
            info[key] = label(text)
    facts = {name: float(number) for name in numbers if (number := count(value.get(name))) is not None}
    return info, facts
