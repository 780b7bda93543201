"""Elements of tensors as bytes, and back."""

import math
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.protocols.tensor_bytes import decode, encode

INTEGERS = {
    f"{sign}INT{bits}": st.integers(0, 2**bits - 1) if sign else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("", "U")
    for bits in (8, 16, 32, 64)
}
#: What each datatype holds exactly.
ELEMENTS = {
    **INTEGERS,
    "BOOL": st.booleans(),
    "FP16": st.floats(width=16),
    "FP32": st.floats(width=32),
    "FP64": st.floats(),
    "BF16": st.integers(0, 2**16 - 1).map(lambda half: struct.unpack("<f", struct.pack("<I", half << 16))[0]),
    "BYTES": st.text(st.characters(exclude_categories=["Cs"])),
}
SIZES = {"BOOL": 1, "INT8": 1, "UINT8": 1, "INT16": 2, "UINT16": 2, "INT32": 4, "UINT32": 4, "INT64": 8, "UINT64": 8,
         "FP16": 2, "BF16": 2, "FP32": 4, "FP64": 8}  # fmt: skip


def same(left, right):
    return left == right or (isinstance(left, float) and math.isnan(left) and math.isnan(right))


@given(st.sampled_from(sorted(ELEMENTS)).flatmap(lambda name: st.tuples(st.just(name), st.lists(ELEMENTS[name]))))
def test_there_and_back(case):
    datatype, elements = case
    data = encode(datatype, elements)
    if datatype != "BYTES":
        assert len(data) == SIZES[datatype] * len(elements)
    found = decode(datatype, data)
    assert len(found) == len(elements)
    assert all(same(*pair) for pair in zip(found, elements, strict=True))


@given(st.sampled_from([*sorted(ELEMENTS), "COMPLEX64"]), st.binary(max_size=40))
def test_any_bytes_are_elements_or_an_error(datatype, data):
    with suppress(ValueError):
        found = decode(datatype, data)
        assert datatype == "BYTES" or len(found) * SIZES[datatype] == len(data)


@pytest.mark.parametrize(
    ("datatype", "element", "data"),
    [
        ("BOOL", True, "01"),
        ("INT16", -2, "feff"),
        ("UINT32", 1, "01000000"),
        ("FP16", 1.5, "003e"),
        ("BF16", 1.5, "c03f"),
        ("FP32", 5.1, "3333a340"),
        ("FP64", 1.0, "000000000000f03f"),
        ("BYTES", "h\u00e9", "0300000068c3a9"),
        ("BYTES", "", "00000000"),
    ],
)
def test_by_the_book(datatype, element, data):
    assert encode(datatype, [element]).hex() == data


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_bf16_is_the_nearest(value):
    """Checked against the two neighbours that BF16 has."""
    bits = int.from_bytes(struct.pack("<f", value), "little") & 0xFFFF0000
    near = [struct.unpack("<f", struct.pack("<I", each))[0] for each in (bits, bits + 0x10000)]
    if not all(map(math.isfinite, near)):
        return
    (found,) = decode("BF16", encode("BF16", [value]))
    assert abs(found - value) == min(abs(each - value) for each in near)


@pytest.mark.parametrize(
    ("datatype", "element"),
    [
        ("INT8", 128), ("UINT8", -1), ("INT64", 2**63), ("UINT64", 2**64), ("FP16", 70000.0), ("FP32", 1e39),
        ("BF16", 3.4e38), ("BF16", 1e39), ("BOOL", 2), ("INT32", 1.0), ("FP32", "1"), ("BYTES", 1), ("INT8", None),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_an_error(datatype, element):
    with pytest.raises(ValueError, match="found an element"):
        encode(datatype, [element])


@pytest.mark.parametrize("data", [b"\1", b"\1\0\0\0", b"\xff\xff\xff\xffabc", b"\0\0\0\0\1"])
def test_texts_that_are_cut(data):
    with pytest.raises(ValueError, match="longer than what is there"):
        decode("BYTES", data)
