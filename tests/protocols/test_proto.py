"""The generated messages are those of the .proto files."""

import re
from pathlib import Path

import pytest

from exporter.protocols import proto
from exporter.protocols.proto import health_pb2, open_inference_pb2

FOLDER = Path(proto.__file__).parent
_MESSAGE = re.compile(r"^\s*(message|enum|oneof) (\w+) \{(\})?")
_FIELD = re.compile(r"^\s*(?:repeated )?(?:map<\w+, \w+>|\w+) (\w+) = (\d+);")
_VALUE = re.compile(r"^\s*([A-Z_]+) = (\d+);")


def written(name):
    """Dotted name of each field and enum value -> its number, as a .proto file has them."""
    found, inside = {}, []
    for line in (FOLDER / f"{name}.proto").read_text().splitlines():
        if match := _MESSAGE.match(line):
            if not match[3]:
                inside.append("" if match[1] == "oneof" else match[2])
        elif line.strip() == "}":
            inside.pop()
        elif match := _FIELD.match(line) or _VALUE.match(line):
            found[".".join([*filter(None, inside), match[1]])] = int(match[2])
    assert not inside
    return found


def generated(messages, prefix=""):
    found = {}
    for message in messages:
        if message.GetOptions().map_entry:
            continue
        name = f"{prefix}{message.name}"
        found |= {f"{name}.{field.name}": field.number for field in message.fields}
        for enum in message.enum_types:
            found |= {f"{name}.{enum.name}.{value.name}": value.number for value in enum.values}
        found |= generated(message.nested_types, f"{name}.")
    return found


@pytest.mark.parametrize(("name", "module"), [("health", health_pb2), ("open_inference", open_inference_pb2)])
def test_generated_from_what_is_written(name, module):
    assert generated(module.DESCRIPTOR.message_types_by_name.values()) == written(name)
    assert module.DESCRIPTOR.package == f"model_exporter.{name}", "a name of our own: others may have the original"


def test_numbers_of_the_specification():
    """The fields that a wrong number would break without a word."""
    known = written("open_inference")
    assert known["ModelInferRequest.raw_input_contents"] == 7
    assert known["ModelInferResponse.raw_output_contents"] == 6
    assert known["ModelMetadataResponse.outputs"] == 5
    assert known["InferTensorContents.bytes_contents"] == 8
