"""What a request may cost, before it is sent."""

from typing import Any

import pytest

from exporter import protocols
from exporter.model.cost import ONE_REQUEST, Cost
from exporter.model.job import Kind
from exporter.protocols.worst_case import UNBOUNDED, worst_case


def test_a_token_for_three_bytes_and_all_it_may_write() -> None:
    assert worst_case({"p": "aa", "max_tokens": 10}) == Cost(9 + 10, 1)  # 26 bytes
    assert worst_case({"p": "aaa", "max_tokens": 10}) == Cost(9 + 10, 1)
    assert worst_case({"p": "aaaa", "max_tokens": 10}) == Cost(10 + 10, 1)


def test_bytes_and_not_letters() -> None:
    plain, wide = worst_case({"p": "a" * 300}, writes=False), worst_case({"p": "語" * 300}, writes=False)
    assert (plain.tokens, wide.tokens) == (103, 303)


def test_the_models_name_is_no_prompt() -> None:
    assert worst_case({"model": "x" * 90, "p": "a", "n": 1}) == worst_case({"p": "a", "n": 1})


@pytest.mark.parametrize(
    "request_",
    [
        {"max_tokens": 7}, {"max_completion_tokens": 7}, {"max_output_tokens": 7},
        {"options": {"num_predict": 7}}, {"parameters": {"max_new_tokens": 7}}, {"max_tokens": 3, "max_new_tokens": 7},
        {"max_tokens": 7, "options": 3}, {"max_tokens": 7, "parameters": [1]},
    ],
)  # fmt: skip
def test_every_way_to_say_a_bound(request_: dict[str, Any]) -> None:
    assert worst_case(request_).tokens - worst_case(request_, writes=False).tokens == 7


@pytest.mark.parametrize(
    "request_",
    [{}, {"max_tokens": None}, {"max_tokens": -1}, {"max_tokens": True}, {"max_tokens": "7"}, [1], "text", None],
)
def test_without_a_bound_much_may_be_written(request_: Any) -> None:
    assert worst_case(request_).tokens - worst_case(request_, writes=False).tokens == UNBOUNDED


def test_several_answers_cost_each() -> None:
    request = {"max_tokens": 7, "n": 3}
    assert worst_case(request).tokens - worst_case(request, writes=False).tokens == 21


def test_what_is_no_text_can_be_counted_too() -> None:
    assert worst_case({"p": "\ud800"}, writes=False).tokens == 4


def cost(name: str, kind: Kind, **settings: Any) -> Cost:
    protocol = protocols.load(name)
    return protocol(
        model="m", path="", query="", settings=protocol.kinds[kind].model_validate(settings), options=protocol.options()
    ).cost()


LANGUAGE = [
    (name, kind) for name in ("openai", "litellm", "anthropic", "ollama", "tgi") for kind in (Kind.INFER, Kind.STREAM)
]


@pytest.mark.parametrize(("name", "kind"), [*LANGUAGE, ("triton", Kind.STREAM)])
def test_language_models_cost_what_is_said_and_what_may_be_answered(name: str, kind: Kind) -> None:
    small = cost(name, kind, prompt="Hi", max_tokens=1)
    assert small.requests == 1
    assert 1 < small.tokens < 200
    assert cost(name, kind, prompt="Hi", max_tokens=1001).tokens - small.tokens in (1000, 1001)
    assert cost(name, kind, prompt="Hi" + "x" * 3000, max_tokens=1).tokens - small.tokens == pytest.approx(1000, abs=1)
    own = {"prompt": "Hi", "max_tokens": 50, "stream": kind is Kind.STREAM}
    assert 50 < cost(name, kind, body=own).tokens < 250


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("openai", {"api": "embeddings", "input": ["x" * 3000]}),
        ("openai", {"api": "rerank", "query": "x", "texts": ["x" * 3000]}),
        ("ollama", {"api": "embed", "prompt": "x" * 3000}),
        ("tei", {"api": "embed", "input": ["x" * 3000]}),
        ("infinity", {"input": ["x" * 3000]}),
    ],
)
def test_vectors_and_rankings_are_no_tokens(name: str, settings: dict[str, Any]) -> None:
    assert 1000 <= cost(name, Kind.INFER, **settings).tokens < 1060


CANARIES = [
    (name, kind)
    for name in protocols.NAMES
    for kind, settings in protocols.load(name).kinds.items()
    if kind.canary and "body" in settings.model_fields
]
TALKS = {*LANGUAGE, ("triton", Kind.STREAM), ("tei", Kind.INFER), ("infinity", Kind.INFER)}


@pytest.mark.parametrize(("name", "kind"), CANARIES)
def test_every_canary_is_one_request(name: str, kind: Kind) -> None:
    found = cost(name, kind, body={"max_tokens": 3, "stream": kind is Kind.STREAM})
    assert found.requests == 1
    assert (found != ONE_REQUEST) is ((name, kind) in TALKS)
