"""Elements of tensors as bytes: row-major, little-endian, without gaps; for BYTES each element after its length in four
bytes. Source: triton-inference-server/server, docs/protocol/extension_binary_data.md.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

#: Datatype -> letter of the module struct. BF16 is the upper half of an FP32.
_LETTERS: Mapping[str, str] = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i",
    "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
_FLOATS = frozenset({"FP16", "BF16", "FP32", "FP64"})


def encode(datatype: str, elements: Sequence[Any]) -> bytes:
    """Elements, flat, as bytes; text for BYTES. Raises ValueError that says which one does not fit the datatype."""
    return b"".join([_encode(datatype, element) for element in elements])


def decode(datatype: str, data: bytes) -> list[Any]:
    """The elements, flat; those of BYTES as text, what is not UTF-8 in them replaced.

    Raises ValueError when the bytes are no whole number of elements, or the datatype is not known.
    """
    if datatype == "BYTES":
        return _texts(data)
    if datatype == "BF16":
        halves = _unpack("H", 2, data)
        return list(
            struct.unpack(f"<{len(halves)}f", struct.pack(f"<{len(halves)}I", *(half << 16 for half in halves)))
        )
    letter = _LETTERS.get(datatype)
    if letter is None:
        raise ValueError(f"datatype {datatype[:20]} is not known")
    return _unpack(letter, struct.calcsize(f"<{letter}"), data)


def _encode(datatype: str, element: Any) -> bytes:
    if datatype == "BYTES":
        if not isinstance(element, str):
            raise ValueError("found an element that is no text")
        data = element.encode()
        return struct.pack("<I", len(data)) + data
    number = isinstance(element, int) or (isinstance(element, float) and datatype in _FLOATS)
    if not number or (datatype == "BOOL" and element not in (0, 1)):
        raise ValueError(f"found an element that is no {datatype}")
    try:
        if datatype == "BF16":
            return _bf16(float(element))
        return struct.pack(f"<{_LETTERS[datatype]}", element)
    except (struct.error, OverflowError):
        raise ValueError(f"found an element that is too large for {datatype}") from None


def _bf16(value: float) -> bytes:
    """Rounded to the nearest, ties to even, as hardware does."""
    bits = int.from_bytes(struct.pack("<f", value), "little")
    if value != value:
        return (bits >> 16 | 0x40).to_bytes(2, "little")
    rounded = bits + 0x7FFF + (bits >> 16 & 1)
    if value not in (float("inf"), float("-inf")) and rounded & 0x7F800000 == 0x7F800000:
        raise OverflowError
    return (rounded >> 16).to_bytes(2, "little")


def _unpack(letter: str, size: int, data: bytes) -> list[Any]:
    count, rest = divmod(len(data), size)
    if rest:
        raise ValueError(f"{len(data)} bytes are no whole number of elements of {size} bytes")
    return list(struct.unpack(f"<{count}{letter}", data))


def _texts(data: bytes) -> list[Any]:
    found, at = [], 0
    while at < len(data):
        end = at + 4
        end += int.from_bytes(data[at:end], "little")
        if end > len(data) or at + 4 > len(data):
            raise ValueError("an element of BYTES is longer than what is there")
        found.append(data[at + 4 : end].decode("utf-8", "replace"))
        at = end
    return found
