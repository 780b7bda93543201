"""What TensorFlow Serving's answers say: states of versions, signatures, and zeros in the shapes of a signature."""

from collections.abc import Mapping
from typing import Any

from exporter.contracts import Response
from exporter.model.failure import Failure, Reason
from exporter.protocols import answer, tensors
from exporter.protocols.reading import object_of, string

_REAL = ("DT_FLOAT", "DT_DOUBLE", "DT_HALF", "DT_BFLOAT16")
_WHOLE = tuple(f"DT_{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
_ZERO: Mapping[str, Any] = {
    "DT_STRING": "text", "DT_BOOL": False, **dict.fromkeys(_REAL, 0.0), **dict.fromkeys(_WHOLE, 0),
}  # fmt: skip


async def versions(response: Response) -> list[dict[str, Any]]:
    """The states of a model's versions. Raises `Failure` (malformed)."""
    found = (await object_of(response.body)).get("model_version_status")
    if not isinstance(found, list) or not all(
        isinstance(version, dict) and isinstance(version.get("version"), str) for version in found
    ):
        said = answer.message(response.body)
        raise Failure(Reason.MALFORMED, f"the answer has no model_version_status: {said}", http_status=response.status)
    return found


def available(version: Mapping[str, Any]) -> bool:
    """Whether a version is served."""
    return version.get("state") == "AVAILABLE" and _error(version)[0] in ("OK", "")


def _error(version: Mapping[str, Any]) -> tuple[str, str]:
    """Error code and message of a version, "" where they are not told."""
    status = version.get("status")
    if not isinstance(status, dict):
        return "", ""
    return string(status.get("error_code")), string(status.get("error_message"))


def told(version: Mapping[str, Any]) -> str:
    """The state of a version, for people."""
    code, message = _error(version)
    why = "" if code in ("OK", "") else f" ({code}: {message})"
    return f"version {version['version']} is {version.get('state')}{why}"


def signatures(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The signatures by name; the answer wraps them twice."""
    for key in ("metadata", "signature_def", "signature_def"):
        inner = value.get(key)
        if not isinstance(inner, dict):
            return {}
        value = inner
    return value


def zero_row(signature: Any) -> Any:
    """One instance of zeros for a signature: a tensor, or an object of them for several inputs. None where it cannot be
    written down.
    """
    inputs = signature.get("inputs") if isinstance(signature, dict) else None
    if not isinstance(inputs, dict) or not inputs:
        return None
    row = {name: _zero_tensor(described) for name, described in inputs.items()}
    if any(value is None for value in row.values()):
        return None
    return next(iter(row.values())) if len(row) == 1 else row


def _zero_tensor(described: Any) -> Any:
    shape = described.get("tensor_shape") if isinstance(described, dict) else None
    dimensions = shape.get("dim") if isinstance(shape, dict) else None
    kind = described.get("dtype") if isinstance(described, dict) else None
    if not isinstance(dimensions, list) or not dimensions or not isinstance(kind, str) or kind not in _ZERO:
        return None
    try:
        sizes = tensors.sized([int(dimension["size"]) for dimension in dimensions])
    except (TypeError, KeyError, ValueError):
        return None
    return None if sizes is None else tensors.nested(sizes[1:], _ZERO[kind])
