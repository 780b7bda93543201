"""What `metadata` probes share: versions that are expected, and numbers that the operator wants to see."""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from exporter.model.observation import Observation
from exporter.protocols.expect import failed
from exporter.protocols.text import quote
from exporter.protocols.values import JmesPath, find
from exporter.settings import Settings

#: Facts one probe may ask for.
MOST = 32

#: The label `key` of a fact.
FactName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")]

_NONE: Mapping[str, float] = MappingProxyType({})


class ServerExpect(Settings):
    """What must hold of what the server says of itself."""

    server_version: str | None = Field(default=None, min_length=1, description="Version the server must have.")


class ModelExpect(Settings):
    """What must hold of what the server says of the model."""

    version: str | None = Field(default=None, min_length=1, description="Version of the model that must be served.")


class VersionsExpect(ModelExpect, ServerExpect):
    """What must hold of what the server says of itself and of the model."""


class Facts(Settings):
    """Numbers out of what the server says."""

    facts: dict[FactName, JmesPath] = Field(
        default={},
        max_length=MOST,
        description="Numbers for model_probe_metadata by name, each a JMESPath over what the server says: see "
        "docs/drift.md. A boolean counts as 0 or 1; where no number is found, there is no fact.",
    )


class ServerMetadata(Facts):
    """What the server is."""

    expect: ServerExpect = Field(default=ServerExpect(), description="What must hold of the answer.")


class ModelMetadata(Facts):
    """What the model is."""

    expect: ModelExpect = Field(default=ModelExpect(), description="What must hold of the answer.")


class VersionsMetadata(Facts):
    """What the server and the model are."""

    expect: VersionsExpect = Field(default=VersionsExpect(), description="What must hold of the answer.")


def report(
    settings: Facts,
    info: Mapping[str, str],
    facts: Mapping[str, float] = _NONE,
    told: Any = None,
    *,
    versions: Sequence[str] | None = None,
    complaints: Iterable[str | None] = (),
) -> Observation:
    """What there is to report of a server. `told` is the JSON it describes itself with, `versions` those of the model,
    where `info` does not tell them one by one; `complaints` are about whatever else was expected.
    """
    expect = getattr(settings, "expect", None)
    found = list(complaints)
    if (wanted := getattr(expect, "server_version", None)) is not None:
        found.append(_other("server version", wanted, [info.get("server_version", "")]))
    if (wanted := getattr(expect, "version", None)) is not None:
        served = [info.get("model_version", "")] if versions is None else versions
        found.append(_other("version", wanted, served))
    own = {} if told is None else _numbers(settings.facts, told)
    return Observation(failure=failed(found), info=info, facts={**facts, **own})


def _other(what: str, wanted: str, told: Sequence[str]) -> str | None:
    served = quote(", ".join(filter(None, told)), 100)
    if wanted in told:
        return None
    return f"{what} is {served}, expected {wanted}" if served else f"{what} is not told, expected {wanted}"


def _numbers(facts: Mapping[str, str], told: Any) -> dict[str, float]:
    found = {name: find(path, told) for name, path in facts.items()}
    return {name: float(value) for name, value in found.items() if _finite(value)}


def _finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and isfinite(value)
    except OverflowError:  # an integer beyond what a float can hold
        return False
