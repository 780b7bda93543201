"""Predictions as MLflow, KServe V1 and TensorFlow Serving exchange them: one of several forms of input in an object,
and an object with the predictions back.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from exporter.contracts import Problem
from exporter.model.failure import Failure, Reason
from exporter.model.observation import Observation, Output, Proposal
from exporter.protocols import answer
from exporter.protocols.compare import difference
from exporter.protocols.expect import Timely, failed
from exporter.protocols.family import Canary
from exporter.protocols.numbers import NumberChecks, check_numbers, shape_of
from exporter.protocols.reading import parse_object
from exporter.protocols.tensors import Dimension
from exporter.protocols.values import ValueExpect, check_value


class PredictionsExpect(Timely, ValueExpect, NumberChecks):
    """What must hold of predictions; range and tolerance of each number."""

    predictions: Any = Field(default=None, description="Predictions as the server writes them.")
    shape: list[Dimension] | None = Field(default=None, description="Dimensions of the predictions, as nested lists.")


class Predict(Canary):
    """One request for predictions."""

    expect: PredictionsExpect = Field(default=PredictionsExpect(), description="What must hold of the answer.")

    @property
    def steady(self) -> bool:
        """A model computes."""
        return True


def misfits(settings: Canary, forms: Sequence[str]) -> list[Problem]:
    """Not exactly one form of input, or `body`."""
    allowed = (*forms, "body")
    given = [key for key in allowed if getattr(settings, key) is not None]
    if len(given) == 1:
        return []
    found = " and ".join(given) or "none"
    return [((given[-1] if given else forms[0],), f"found {found}; needs exactly one of {', '.join(allowed)}")]


def request(settings: Predict, keys: Sequence[str]) -> Any:
    """The request a probe's settings stand for: its body, or those of `keys` that are set."""
    if settings.body is not None:
        return settings.body
    return {key: value for key in keys if (value := getattr(settings, key)) is not None}


def judge(settings: Predict, body: bytes, keys: Sequence[str] = ("predictions",)) -> Observation:
    """What an answer shows. Its predictions are below the first of `keys` that is there; an answer to a body of one's
    own may have none of them. Raises `Failure` (malformed, error_event).
    """
    expect = settings.expect
    value = parse_object(body)
    answer.refuse_error(value)
    key = next((key for key in keys if key in value), None)
    if key is None and settings.body is None:
        raise Failure(Reason.MALFORMED, f"the answer has no {' or '.join(keys)}: {answer.message(body)}")
    found = None if key is None else value[key]
    failure = failed([*_check(expect, found, key or keys[0]), check_value(expect, value)])
    return Observation(failure=failure, output=Output(value, essence=found))


def _check(expect: PredictionsExpect, found: Any, key: str) -> list[str | None]:
    complaints: list[str | None] = []
    if expect.shape is not None and (shape := shape_of(found)) != expect.shape:
        complaints.append(f"the shape of {key} is {'uneven' if shape is None else shape}, expected {expect.shape}")
    if expect.predictions is not None:
        complaints.append(difference(expect.predictions, found, expect.tolerance, key, rtol=expect.rtol))
    if expect.given:
        complaints += check_numbers(expect, None, found if isinstance(found, list) else [found], key)
    return complaints


def proposal(key: str, value: Any) -> Proposal:
    """A prediction on zeros."""
    return Proposal(
        "infer",
        {"interval": "1m", key: value},
        "does it predict? Put a true example in place of the zeros, and expect its answer",
    )
