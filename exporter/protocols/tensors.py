"""Tensors of the Open Inference Protocol: how a probe writes them, what must hold of those that come back, and zeros
in the shapes a model says it takes. The same over REST and gRPC.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from exporter.contracts import Problem
from exporter.model.failure import Failure, Reason
from exporter.model.observation import Observation, Output, Proposal
from exporter.protocols import garbage
from exporter.protocols.compare import difference, flatten, show
from exporter.protocols.expect import Timely, failed
from exporter.protocols.family import Canary
from exporter.protocols.garbage import Sound
from exporter.protocols.numbers import NumberChecks, check_numbers
from exporter.protocols.text import label, quote
from exporter.protocols.values import ValueExpect, check_value
from exporter.settings import Settings

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64",
    "BYTES",
]  # fmt: skip
Dimension = Annotated[int, Field(ge=0)]

#: Numbers in one proposed input; a larger one is not written out.
MOST_NUMBERS = 1024

_ZERO: Mapping[str, Any] = {"BOOL": False, "BYTES": "text", "FP16": 0.0, "FP32": 0.0, "FP64": 0.0} | {
    f"{sign}INT{bits}": 0 for sign in ("", "U") for bits in (8, 16, 32, 64)
}


class Version(Settings):
    """Which version of the model a probe asks."""

    version: str | None = Field(
        default=None, min_length=1, description="Version of the model. Default: the server chooses."
    )


class InputTensor(Settings):
    """One input."""

    name: str = Field(min_length=1, description="Name of the input.")
    shape: list[Dimension] = Field(description="Dimensions.")
    datatype: Datatype = Field(description="Type of the elements.")
    data: list[Any] = Field(description="Elements, flat or nested; text for BYTES.")
    parameters: dict[str, Any] | None = Field(default=None, description="Parameters of this input.")


class OutputTensor(NumberChecks):
    """What must hold of one output; range and tolerance of each of its elements."""

    name: str = Field(min_length=1, description="Name of the output.")
    data: list[Any] | None = Field(default=None, description="Elements, flat or nested.")
    shape: list[Dimension] | None = Field(default=None, description="Dimensions.")
    datatype: Datatype | None = Field(default=None, description="Type of the elements.")


class InferExpect(Timely, ValueExpect, Sound):
    """What must hold of an inference answer."""

    outputs: list[OutputTensor] = Field(default=[], description="Outputs that must be there, others may be.")


class Infer(Version, Canary):
    """One inference request."""

    inputs: list[InputTensor] | None = Field(default=None, min_length=1, description="The inputs.")
    outputs: list[str] | None = Field(default=None, description="Names of the outputs to ask for. Default: all.")
    id: str | None = Field(default=None, min_length=1, description="Request id; the answer must repeat it.")
    parameters: dict[str, Any] | None = Field(default=None, description="Parameters of the request.")
    expect: InferExpect = Field(default=InferExpect(), description="What must hold of the answer.")

    @property
    def steady(self) -> bool:
        """A model computes."""
        return True


def misfits(inputs: Sequence[InputTensor]) -> Iterator[Problem]:
    """Inputs whose data does not fill their shape."""
    for index, tensor in enumerate(inputs):
        count, room = len(flatten(tensor.data)), math.prod(tensor.shape)
        if count != room:
            yield ("inputs", index, "data"), f"found {count} elements; shape {tensor.shape} holds {room}"


def request(settings: Infer) -> Any:
    """The request a probe's settings stand for, as JSON has it."""
    if settings.body is not None:
        return settings.body
    made: dict[str, Any] = {} if settings.id is None else {"id": settings.id}
    if settings.parameters is not None:
        made["parameters"] = settings.parameters
    made["inputs"] = [tensor.model_dump(exclude_none=True) for tensor in settings.inputs or ()]
    if settings.outputs is not None:
        made["outputs"] = [{"name": name} for name in settings.outputs]
    return made


def judge(settings: Infer, value: Mapping[str, Any]) -> Observation:
    """What an answer of the form {model_name, model_version, id, outputs} shows. Raises `Failure` (malformed, empty)
    when it is not of that form.
    """
    outputs = value.get("outputs")
    if not isinstance(value.get("model_name"), str) or not isinstance(outputs, list):
        raise Failure(Reason.MALFORMED, f"the answer has no model_name or outputs, only {_keys(value)}")
    if not all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in outputs):
        raise Failure(Reason.MALFORMED, "an output has no name")
    if settings.id is not None and settings.body is None and value.get("id") != settings.id:
        raise Failure(Reason.MALFORMED, "the answer does not repeat the request's id")
    if not outputs:
        raise Failure(Reason.EMPTY, "the answer has no outputs")
    version = value.get("model_version")
    return Observation(
        failure=failed(
            [
                *_unsound(settings.expect, outputs),
                *_check(settings.expect, outputs),
                check_value(settings.expect, value),
            ]
        ),
        info={"model_version": label(version)} if isinstance(version, str) and version else {},
        output=Output(value, essence=[[item["name"], item.get("data")] for item in outputs]),
    )


def proposal(described: Any) -> Proposal | None:
    """A prediction on zeros for inputs as model metadata describes them ([{name, datatype, shape}], -1 or 0 for any
    size); None where they cannot be written down.
    """
    if not isinstance(described, list) or not described:
        return None
    tensors = [tensor for entry in described if (tensor := _zeros(entry)) is not None]
    if len(tensors) != len(described):
        return None
    return Proposal(
        "infer",
        {"interval": "1m", "inputs": tensors},
        "does it predict? Put a true example in place of the zeros, and expect its answer",
    )


def zero_row(entry: Any) -> Any:
    """Zeros for one row of an input as model metadata describes it, nested; the first dimension counts the rows. None
    where they cannot be written down.
    """
    tensor = _zeros(entry)
    return None if tensor is None else nested(tensor["shape"][1:], _ZERO[tensor["datatype"]])


def nested(shape: Sequence[int], value: Any) -> Any:
    """A tensor of one value, as nested lists; the value itself for a shape without dimensions."""
    for size in reversed(shape):
        value = [value] * size
    return value


def sized(dimensions: Sequence[int]) -> list[int] | None:
    """A shape with 1 wherever any size will do; None when it holds more numbers than are written out."""
    shape = [max(size, 1) for size in dimensions]
    many = 1
    for size in shape:
        many *= size
        if many > MOST_NUMBERS:  # before the product itself is too long a number
            return None
    return shape


def _zeros(entry: Any) -> dict[str, Any] | None:
    if not isinstance(entry, dict):
        return None
    name, datatype, dimensions = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if not isinstance(name, str) or not isinstance(datatype, str) or datatype not in _ZERO:
        return None
    if not isinstance(dimensions, list) or not all(isinstance(size, int) for size in dimensions):
        return None
    shape = sized(dimensions)
    if shape is None:
        return None
    return {"name": name, "shape": shape, "datatype": datatype, "data": [_ZERO[datatype]] * math.prod(shape)}


def _keys(value: Mapping[str, Any]) -> str:
    return quote(", ".join(list(value)[:20]), 100) or "nothing"


def _unsound(expect: InferExpect, outputs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for output in () if expect.allow_garbage else outputs:
        if (found := garbage.in_tensor(output.get("datatype"), output.get("data"))) is not None:
            yield f"output {quote(output['name'], 60)}: {found}"


def _check(expect: InferExpect, outputs: Sequence[Mapping[str, Any]]) -> list[str]:
    found = {item["name"]: item for item in outputs}
    complaints: list[str] = []
    for wanted in expect.outputs:
        output, name = found.get(wanted.name), quote(wanted.name, 60)
        if output is None:
            complaints.append(f"there is no output {name}, only {quote(', '.join(found), 100)}")
        else:
            complaints += (f"output {name}: {complaint}" for complaint in _check_output(wanted, output))
    return complaints


def _check_output(wanted: OutputTensor, output: Mapping[str, Any]) -> list[str]:
    complaints: list[str] = []
    if wanted.datatype is not None and output.get("datatype") != wanted.datatype:
        complaints.append(f"datatype is {show(output.get('datatype'))}, expected {wanted.datatype}")
    if wanted.shape is not None and (other := difference(wanted.shape, output.get("shape"), where="shape")):
        complaints.append(other)
    if wanted.data is None and not wanted.given:
        return complaints
    data = output.get("data")
    if not isinstance(data, list):
        return [*complaints, "there is no data"]
    return complaints + check_numbers(wanted, wanted.data, data, "data")
