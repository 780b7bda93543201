"""Garbage is told from an answer, and a short or emphatic answer is no garbage."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.failure import Evidence, Reason
from exporter.protocols import garbage
from exporter.protocols.garbage import PIECE, REPLACED, TIMES, in_tensor, in_text
from tests.protocols.scripted import FakeExchange

GARBAGE = [
    "!" * 16,
    "!" * 4000,
    " the" * 16,
    "\n" * 16,
    "assistant\n" * 16 + "assis",
    "\ufffd" * 16,
    "\ufffd \ufffd" * 8,
    "0, " * 20,
]
ANSWERS = [
    "",
    "OK",
    "OK.",
    "aaa",
    "a" * (TIMES - 1),
    "Aaaaaaaaaaaaaaaaaaaargh",
    "ha ha ha ha ha",
    "No, no, no, no, no!",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13",
    "10000000000000000",
    "!" * 16 + " OK",
    "a person wearing a mask and a person wearing a mask and a person wearing a mask",
    "\ufffd",
    "\U0001f600\ufffd",
    "\ufffd" * (REPLACED - 1),
]


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage(text):
    assert in_text(text).startswith("garbage: ")


@pytest.mark.parametrize("text", ANSWERS)
def test_answers(text):
    assert in_text(text) is None


@given(st.text(alphabet="ab ", min_size=1, max_size=PIECE), st.integers(1, 3 * TIMES))
def test_it_takes_a_dozen_times(piece, times):
    """Whatever the piece is, it has to stand there a dozen times, and of what stands so often it is always said."""
    said = (piece * times).strip() or piece * times
    again = [length for length in range(1, PIECE + 1) if length < len(said) and said[length:] == said[:-length]]
    shortest = min(again, default=len(said))
    assert (in_text(piece * times) is not None) == (len(said) // shortest >= TIMES)


@given(st.text(max_size=TIMES - 1))
def test_what_is_shorter_is_an_answer(text):
    assert in_text(text) is None or "\ufffd" in text


@pytest.mark.parametrize(
    ("datatype", "data", "found"),
    [
        ("FP32", [0.5, math.nan], "garbage: element 1 is NaN"),
        ("BF16", [[0.5], [math.nan]], "garbage: element 1 is NaN"),
        ("FP64", [0.5, None], "garbage: element 1 is NaN"),
        ("FP32", [math.inf, -math.inf], "garbage: every element is infinite"),
        ("FP32", [0.0, -math.inf], None),
        ("FP32", [0.0, 0.0, 0.0], None),
        ("FP32", [1, 0], None),
        ("FP32", [], None),
        ("FP32", None, None),
        ("INT64", [0, 0], None),
        ("BYTES", ["nan", None], None),
        (None, [math.nan], None),
    ],
)
def test_tensors(datatype, data, found):
    assert in_tensor(datatype, data) == found


def chat(text: str) -> FakeExchange:
    body = json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "length"}]})
    return FakeExchange({"POST /v1/chat/completions": (200, body)})


async def asked(ask, text: str, **own):
    return await ask("openai", "infer", chat(text), own, model="m", wake=True)


async def test_garbage_is_a_wrong_answer(ask):
    failure = (await asked(ask, "!" * 16)).failure
    assert (failure.reason, failure.row.evidence) == (Reason.EXPECTATION, Evidence.WRONG)
    assert failure.detail == 'garbage: the answer is "!" 16 times'


async def test_a_stream_of_garbage(ask):
    event = b'data: {"choices":[{"delta":{"content":"!"}}]}\n\n'
    end = b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\ndata: [DONE]\n\n'
    script = [(100.1, event * 16), (100.2, end), (100.2, None)]
    fake = FakeExchange({"POST /v1/chat/completions": (200, "text/event-stream", script)})
    failure = (await ask("openai", "stream", fake, model="m", wake=True)).failure
    assert failure.detail == 'garbage: the answer is "!" 16 times'


@pytest.mark.parametrize("expect", [{"allow_garbage": True}, {"equals": "!" * 16}])
async def test_a_model_may_be_made_for_it(ask, expect):
    assert (await asked(ask, "!" * 16, expect=expect)).failure is None


async def test_it_does_not_hide_what_else_is_wrong(ask):
    failure = (await asked(ask, "!" * 16, expect={"text": "OK"})).failure
    assert "garbage" in failure.detail
    assert "does not contain" in failure.detail


def infer(datatype: str, data: str) -> FakeExchange:
    output = f'{{"name":"y","shape":[1],"datatype":"{datatype}","data":{data}}}'
    return FakeExchange({"POST /v2/models/m/infer": (200, f'{{"model_name":"m","outputs":[{output}]}}')})


TENSOR = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}]}


async def test_an_output_of_nan(ask):
    found = await ask("open_inference", "infer", infer("FP32", "[null]"), TENSOR, model="m")
    assert found.failure.reason is Reason.EXPECTATION
    assert found.failure.detail == "output y: garbage: element 0 is NaN"
    found = await ask("open_inference", "infer", infer("FP32", "[1e999]"), TENSOR, model="m")
    assert found.failure.detail == "output y: garbage: every element is infinite"
    own = TENSOR | {"expect": {"allow_garbage": True}}
    assert (await ask("open_inference", "infer", infer("FP32", "[null]"), own, model="m")).failure is None


def test_the_limits_fit_each_other():
    """A default canary's 16 tokens are enough to see it, and one piece of that length is looked at whole."""
    assert TIMES <= 16
    assert garbage.SEEN >= 2 * TIMES * PIECE
