"""What LitServe's `/info` says: which APIs it serves, and what its author calls the model. Pure."""

from typing import Any

from exporter.protocols.reading import json_or_none
from exporter.protocols.text import label


def routes(body: bytes) -> tuple[str, ...]:
    """The paths of its APIs; none when the body is of something else."""
    server = _about(body).get("server")
    if not isinstance(server, dict) or not isinstance(server.get("devices"), list) or not server["devices"]:
        return ()
    stream = server.get("stream")
    # Older versions say only whether they stream; then the path is the default one.
    return tuple(stream) if isinstance(stream, dict) and stream else ("/predict",)


def describe(body: bytes) -> dict[str, str]:
    """Labels: the server, and name and version of the model as far as its author gave them."""
    info = {"server": "litserve"}
    model = _about(body).get("model")
    for key, name in (("model_id", "name"), ("model_version", "version")):
        value = model.get(name) if isinstance(model, dict) else None
        if isinstance(value, str) and value:
            info[key] = label(value)
    return info


def _about(body: bytes) -> dict[str, Any]:
    value = json_or_none(body) if body.lstrip()[:1] == b"{" else None
    return value if isinstance(value, dict) and "model" in value else {}
