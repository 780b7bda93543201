"""Names and labels of targets: what may become a label on a series."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from exporter.model.target import MAX_LABEL_BYTES
from exporter.settings import problem

MAX_LABELS = 64
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

#: Label names that are ours on some metric, now or in a later version, and those Prometheus itself sets.
RESERVED = frozenset(
    {
        "address", "api_version", "canary", "capability", "channel", "cheap", "component", "dataset", "evaluation",
        "from", "instance", "job", "key", "le", "metric", "model", "model_id", "model_type", "model_version", "name",
        "outcome", "part", "phase", "platform", "probe", "protocol", "quantile", "reason", "result", "server",
        "server_version", "sink", "source", "state", "status", "target", "to", "token_type", "training",
    }
)  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise problem("name", "found {found}; string expected", found=value)
    if not value.strip():
        raise problem("name", "the name is empty; allowed: 1 to 256 bytes")
    if _CONTROL.search(value):
        raise problem("name", "the name holds a control character; allowed: 1 to 256 bytes without one")
    if len(value.encode()) > MAX_LABEL_BYTES:
        raise problem("name", f"the name has {len(value.encode())} bytes; allowed: at most {MAX_LABEL_BYTES}")
    return value


def _label(value: Any) -> str:
    if not isinstance(value, str):
        raise problem("label", "found {found}; string expected", found=value)
    if len(value) > MAX_LABEL_BYTES // 4 and len(value.encode()) > MAX_LABEL_BYTES:
        raise problem("label", f"the value has {len(value.encode())} bytes; allowed: at most {MAX_LABEL_BYTES}")
    return value


def check_label_name(name: str) -> str:
    """What is wrong with a label's name, `""` when nothing is."""
    if name in RESERVED or name.startswith("__"):
        return "reserved label name: model-exporter or Prometheus sets it; choose another"
    if not LABEL_NAME.fullmatch(name):
        return "not a label name; allowed: letters, digits and _, not beginning with a digit"
    if len(name) > MAX_LABEL_BYTES:
        return f"the label name has {len(name)} bytes; allowed: at most {MAX_LABEL_BYTES}"
    return ""


#: A name: 1 to 256 bytes, no control character.
Name = Annotated[
    str, BeforeValidator(_name), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_LABEL_BYTES})
]
#: A label's value. Names of labels are judged by `check_label_name`, so that each is reported at its own place.
LabelValue = Annotated[str, BeforeValidator(_label), WithJsonSchema({"type": "string", "maxLength": MAX_LABEL_BYTES})]
#: A name as Kubernetes allows it, and a selection by labels.
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Selector = Annotated[str, Field(min_length=1, max_length=1024)]
