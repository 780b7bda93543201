"""Inference requests and answers of the Open Inference Protocol between their gRPC messages and the form they have over
REST. `messages` is the generated module.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exporter.contracts import Problem
from exporter.model.failure import Failure, Reason
from exporter.protocols.compare import flatten
from exporter.protocols.tensor_bytes import decode, encode
from exporter.protocols.tensors import Infer, InputTensor
from exporter.protocols.text import quote

#: Datatype -> where its elements lie in `contents`. FP16 and BF16 have no place there.
_CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip


def problems(inputs: Sequence[InputTensor], parameters: Mapping[str, Any] | None) -> Iterator[Problem]:
    """Elements that do not fit their datatype, and parameters that gRPC has no type for."""
    for index, tensor in enumerate(inputs):
        try:
            encode(tensor.datatype, flatten(tensor.data))
        except ValueError as error:
            yield ("inputs", index, "data"), str(error)
        for name in _strange(tensor.parameters):
            yield ("inputs", index, "parameters", name), _ALLOWED
    for name in _strange(parameters):
        yield ("parameters", name), _ALLOWED


def request(messages: Any, model: str, settings: Infer, *, raw: bool) -> Any:
    """The ModelInferRequest that a probe's settings stand for. `raw`: the elements as bytes."""
    inputs = settings.inputs or ()
    raw = raw or any(tensor.datatype not in _CONTENTS for tensor in inputs)
    return messages.ModelInferRequest(
        model_name=model,
        model_version=settings.version or "",
        id=settings.id or "",
        parameters=_parameters(messages, settings.parameters),
        inputs=[_input(messages, tensor, raw=raw) for tensor in inputs],
        outputs=[{"name": name} for name in settings.outputs or ()],
        raw_input_contents=[encode(tensor.datatype, flatten(tensor.data)) for tensor in inputs] if raw else (),
    )


def answer(response: Any) -> dict[str, Any]:
    """A ModelInferResponse as REST has it. Raises `Failure` (malformed) when its bytes do not fit its outputs.

    An output of a datatype that is not known has no `data`.
    """
    raw = response.raw_output_contents
    if raw and len(raw) != len(response.outputs):
        raise Failure(Reason.MALFORMED, f"{len(response.outputs)} outputs, and {len(raw)} raw contents")
    outputs = [_output(output, raw[index] if raw else None) for index, output in enumerate(response.outputs)]
    value = {"model_name": response.model_name, "model_version": response.model_version, "id": response.id}
    return {**value, "parameters": _values(response.parameters), "outputs": outputs}


def described(tensors: Any) -> list[dict[str, Any]]:
    """TensorMetadata messages as REST has them."""
    return [{"name": each.name, "datatype": each.datatype, "shape": list(each.shape)} for each in tensors]


def _input(messages: Any, tensor: InputTensor, *, raw: bool) -> Any:
    elements: list[Any] = [] if raw else flatten(tensor.data)
    if tensor.datatype == "BYTES":
        elements = [element.encode() for element in elements]
    return messages.ModelInferRequest.InferInputTensor(
        name=tensor.name,
        datatype=tensor.datatype,
        shape=tensor.shape,
        parameters=_parameters(messages, tensor.parameters),
        contents=None if raw else messages.InferTensorContents(**{_CONTENTS[tensor.datatype]: elements}),
    )


def _output(output: Any, raw: bytes | None) -> dict[str, Any]:
    value: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
    if output.parameters:
        value["parameters"] = _values(output.parameters)
    try:
        if raw is not None:
            value["data"] = decode(output.datatype, raw)
        elif output.datatype in _CONTENTS:
            found = getattr(output.contents, _CONTENTS[output.datatype])
            text = output.datatype == "BYTES"
            value["data"] = [item.decode("utf-8", "replace") for item in found] if text else list(found)
    except ValueError as error:
        raise Failure(Reason.MALFORMED, f"output {quote(output.name, 60)}: {error}") from None
    return value


_ALLOWED = "found something that gRPC has no type for; allowed: text, a boolean or a number"


def _strange(parameters: Mapping[str, Any] | None) -> Iterator[str]:
    for name, value in (parameters or {}).items():
        known = isinstance(value, str | bool | float) or (isinstance(value, int) and -(2**63) <= value < 2**64)
        if not known:
            yield name


def _parameters(messages: Any, given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: messages.InferParameter(**{_choice(value): value}) for name, value in (given or {}).items()}


def _choice(value: Any) -> str:
    match value:
        case bool():
            return "bool_param"
        case int():
            return "int64_param" if value < 2**63 else "uint64_param"
        case float():
            return "double_param"
        case _:
            return "string_param"


def _values(parameters: Any) -> dict[str, Any]:
    found = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        found[name] = None if choice is None else getattr(parameter, choice)
    return found
