"""What of a body people see: shapes of answers, whole errors, and never what was asked."""

import json

import pytest

from exporter.contracts import Chunk
from exporter.transport import gist


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"choices": [{"message": {"role": "assistant", "content": "four words of it"}, "finish_reason": "stop"}]},
         {"choices": [{"message": {"role": "assistant", "content": "…(16)"}, "finish_reason": "stop"}]}),
        ({"predictions": [0.1, 0.2, 0.3, 0.4], "ok": True, "more": None},
         {"predictions": ["…", "…", "…2 more"], "ok": True, "more": None}),
        ({"error": {"message": "out of memory", "code": 7}, "usage": {"total_tokens": 3}},
         {"error": {"message": "out of memory", "code": 7}, "usage": {"total_tokens": 3}}),
        ({"output": {"error": "what a model said"}}, {"output": {"error": "…(17)"}}),
        ({"id": {"nested": "in what is no id"}}, {"id": {"nested": "…(16)"}}),
        ("a text alone", "…(12)"),
        ([], []),
    ],
)  # fmt: skip
def test_an_answer_has_a_shape(said: object, shown: object) -> None:
    assert json.loads(gist.shape(json.dumps(said))) == shown


@pytest.mark.parametrize("text", ["not JSON at all", "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_what_cannot_be_read_has_a_length(text: str) -> None:
    assert gist.shape(text) == f"…({len(text)})"


def test_deep_and_wide_answers_are_cut() -> None:
    deep: object = "x"
    for _ in range(40):
        deep = {"a": deep}
    assert "x" not in gist.shape(json.dumps({"deep": deep}))
    assert len(gist.shape(json.dumps({f"key-{number}": 1 for number in range(1000)}))) < 1000


def test_a_stream_is_told_event_by_event() -> None:
    chunks = [
        Chunk(1.0, b": a comment\r\n\r\nevent: delta\r\ndata: {\"text\": \"Hel"),
        Chunk(2.0, b"lo\"}\r\n\r\ndata: [DONE]\n\n{\"response\": \"world\"}\ngarbage from a model\n"),
        Chunk(3.0, b"data: {\"text\": \"cut"),
    ]  # fmt: skip
    assert list(gist.events(chunks)) == [
        (1.0, ": …(9)"),
        (1.0, "event: delta"),
        (2.0, 'data: {"text":"…(5)"}'),
        (2.0, "data: [DONE]"),
        (2.0, '{"response":"…(5)"}'),
        (2.0, "…(20)"),
        (3.0, "data: …(13) (not at its end)"),
    ]


def test_a_flood_of_events_is_cut() -> None:
    told = list(gist.events([Chunk(1.0, b"data: [DONE]\n" * 5000)]))
    assert len(told) == gist.EVENTS


def test_what_was_asked_is_known_again_and_how_is_not() -> None:
    asked = {"role": "user", "content": "one line\nand another"}
    body = {"model": "meta/llama-3", "messages": [asked], "max_tokens": 3, "tools": [{"name": {"odd": "hidden text"}}]}
    found = gist.prompts(json.dumps(body).encode())
    assert found is not None
    assert set(found) == {"one line\nand another", "one line", "and another", "hidden text"}


def test_a_body_that_is_no_json_is_known_by_its_words() -> None:
    assert gist.prompts(b"\0\1\2\3words of it\0\0x") == ("words of it",)


def test_too_much_is_not_looked_for() -> None:
    assert gist.prompts(json.dumps([f"a text {number:03}" for number in range(300)]).encode()) is None
    assert gist.prompts(b"x" * (gist.ASKED + 1)) is None
    assert gist.prompts(b'["\\ud800 is no text"]') == ("? is no text",)
