import json

import pytest

from exporter.model.failure import Evidence, Reason
from exporter.model.job import Kind, Scope
from exporter.model.load import Load
from tests.fakes.tei import ERRORS, Tei
from tests.protocols.scripted import FakeExchange, build

RANK = {"api": "rerank", "query": "q", "texts": ["a", "b", "c"]}


async def test_default_probes(reach):
    async with Tei() as fake:
        for kind in ("health", "ready"):
            assert (await reach(fake, "tei", kind)).failure is None
        found = await reach(fake, "tei", "metadata")
        assert found.info == {
            "server": "tei", "server_version": "1.8.2", "model_id": "org/tiny-embedder", "model_version": "f00d",
        }  # fmt: skip
        assert found.facts["max_input_length"] == 512.0
        fake.healthy = False
        failure = (await reach(fake, "tei", "health")).failure
        assert (failure.reason, failure.row.evidence) == (Reason.HTTP_STATUS, Evidence.BROKEN)


async def test_vectors(reach):
    async with Tei() as fake:
        own = {"input": ["a", "b"], "normalize": True, "expect": {"dimension": 2, "norm": 1, "count": 2}}
        found = await reach(fake, "tei", "infer", own)
        assert (found.failure, found.facts) == (None, {"dimension": 2.0})
        assert fake.requests[0].json == {"inputs": ["a", "b"], "normalize": True}
        for expect in ({"dimension": 3}, {"norm": 2}, {"cosine": {"to": [0.8, -0.6]}}):
            found = await reach(fake, "tei", "infer", {"expect": expect})
            assert found.failure.reason is Reason.EXPECTATION
        fake.vector = [0.6, None]
        failure = (await reach(fake, "tei", "infer")).failure
        assert failure.reason is Reason.MALFORMED
        assert "NaN" in failure.detail


async def test_a_ranking(reach):
    async with Tei("reranker") as fake:
        assert (await reach(fake, "tei", "infer", {**RANK, "expect": {"order": [2, 1, 0]}})).failure is None
        assert fake.requests[0].json == {"query": "q", "texts": ["a", "b", "c"]}
        found = await reach(fake, "tei", "infer", {**RANK, "expect": {"order": [0]}})
        assert found.failure.reason is Reason.EXPECTATION


async def test_a_classification(reach):
    async with Tei("classifier") as fake:
        own = {"api": "predict", "input": ["so glad", "a pair?"], "truncate": True}
        found = await reach(
            fake, "tei", "infer", {**own, "expect": {"json": {"path": "[1][0].label", "equals": "joy"}}}
        )
        assert found.failure is None
        assert fake.requests[0].json == {"inputs": [["so glad"], ["a pair?"]], "truncate": True}
        found = await reach(
            fake, "tei", "infer", {**own, "expect": {"json": {"path": "[0][0].label", "equals": "rage"}}}
        )
        assert found.failure.reason is Reason.EXPECTATION
        own = {"api": "predict", "body": {"inputs": "so glad"}}
        assert (await reach(fake, "tei", "infer", own)).failure is None


@pytest.mark.parametrize(
    ("kind", "reason", "evidence"),
    [
        ("backend", Reason.HTTP_STATUS, Evidence.BROKEN),
        ("overloaded", Reason.OVERLOADED, Evidence.BUSY),
        ("validation", Reason.HTTP_STATUS, Evidence.REFUSED),
        ("tokenizer", Reason.HTTP_STATUS, Evidence.REFUSED),
        ("empty", Reason.HTTP_STATUS, Evidence.REFUSED),
        ("unhealthy", Reason.HTTP_STATUS, Evidence.BROKEN),
    ],
)
async def test_errors(reach, kind, reason, evidence):
    async with Tei() as fake:
        fake.trouble = (kind, f"{kind} it is")
        failure = (await reach(fake, "tei", "infer")).failure
        assert (failure.reason, failure.row.evidence) == (reason, evidence)
        assert failure.detail == f"HTTP {ERRORS[kind]}: {kind} it is"


@pytest.mark.parametrize(
    ("own", "value", "reason"),
    [
        ({}, [], Reason.EMPTY),
        ({}, [[]], Reason.EMPTY),
        ({}, [[1.0], [1.0]], Reason.MALFORMED),  # one text was sent
        ({}, {"data": []}, Reason.MALFORMED),
        ({}, ["x"], Reason.MALFORMED),
        ({}, {"error": "x", "error_type": "backend"}, Reason.ERROR_EVENT),
        ({}, {"error": "x", "error_type": "overloaded"}, Reason.OVERLOADED),
        (RANK, [], Reason.EMPTY),
        (RANK, [{"index": 3, "score": 1}], Reason.MALFORMED),
        (RANK, [[0.1]], Reason.MALFORMED),
        ({"api": "predict"}, [], Reason.EMPTY),
        ({"api": "predict"}, [[]], Reason.EMPTY),
        ({"api": "predict"}, [[{"label": "joy", "score": None}]], Reason.MALFORMED),
        ({"api": "predict"}, [[{"score": 1}]], Reason.MALFORMED),
        ({"api": "predict"}, {"label": "joy"}, Reason.MALFORMED),
    ],
)
async def test_answers_of_another_shape(ask, own, value, reason):
    api = own.get("api", "embed")
    found = await ask("tei", "infer", {f"POST /{api}": (200, json.dumps(value))}, own)
    assert found.failure.reason is reason


async def test_load(reach):
    async with Tei() as fake:
        fake.queue, fake.done = 4, 90
        assert await reach(fake, "tei", "load") == Load(waiting=4, progress=90)
    for answers in ({"GET /metrics": (200, "go_threads 7\n")}, {}):
        assert await build("tei", Kind.HEALTH).load(FakeExchange(answers)) is None


@pytest.mark.parametrize("made_for", ["embedding", "reranker", "classifier"])
async def test_what_is_proposed_works(reach, made_for):
    async with Tei(made_for) as fake:
        assert (await reach(fake, "tei", "catalogue")).models == ("org/tiny-embedder",)
        proposal = (await reach(fake, "tei", "propose")).proposal
        assert fake.asked == ["GET /info", "GET /info"]
        own = {key: value for key, value in proposal.settings.items() if key != "interval"}
        assert not build("tei", Kind.INFER, own).problems(Kind.INFER)
        assert (await reach(fake, "tei", proposal.kind, own)).failure is None


async def test_info_of_something_else(ask):
    for kind in ("ready", "metadata", "catalogue", "propose"):
        assert (await ask("tei", kind, {"GET /info": (200, '{"model":null}')})).failure.reason is Reason.MALFORMED


def test_scope_and_problems():
    def places(own):
        return [place for place, _ in build("tei", Kind.INFER, own).problems(Kind.INFER)]

    assert build("tei", Kind.READY, model="m").scope() is Scope.SERVER
    assert places({}) == places(RANK) == places({"api": "predict", "input": "x"}) == places({"body": {}}) == []
    assert places({"api": "rerank"}) == [("query",), ("texts",)]
    assert places({"query": "q"}) == [("query",)]
    assert places({**RANK, "input": "x"}) == [("input",)]
    assert places({"body": {}, "input": "x"}) == [("input",)]
    assert places({"api": "rerank", "body": {}, "expect": {"order": [0]}}) == []
    assert places({"expect": {"order": [0], "dimension": 3}}) == [("expect", "order")]
    assert places({"expect": {"json": "[0]"}}) == [("expect", "json")]
    assert places({"api": "predict", "normalize": True, "expect": {"norm": 1}}) == [("expect", "norm"), ("normalize",)]
    assert build("tei", Kind.HEALTH).problems(Kind.HEALTH) == ()
