import json

import pytest

from exporter.model.failure import Evidence, Reason
from exporter.model.job import Kind, Scope
from exporter.model.load import Load
from exporter.model.stream import Tokens
from tests.protocols.scripted import FakeExchange, build

EMBEDDINGS, RERANK = "POST /embeddings", "POST /rerank"
RANK = {"api": "rerank", "query": "q", "texts": ["a", "b"]}


def entry(name, *skills, queue=0):
    stats = {"queue_fraction": 0.0, "queue_absolute": queue, "results_pending": 0, "batch_size": 32}
    return {"id": name, "stats": stats, "owned_by": "infinity", "backend": "torch", "capabilities": list(skills)}


def models(*entries, prefix=""):
    return {f"GET {prefix}/models": (200, json.dumps({"data": list(entries), "object": "list"}))}


def vectors(*rows):
    data = [{"object": "embedding", "embedding": row, "index": place} for place, row in enumerate(rows)]
    return (200, json.dumps({"data": data, "model": "m", "usage": {"prompt_tokens": 4, "total_tokens": 4}}))


BOTH = models(entry("m", "embed", queue=3), entry("r", "rerank"))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"unix":1795620479.54}', None),
        ('{"unix":1795620479}', None),
        ('{"unix":"now"}', Reason.MALFORMED),
        ('{"unix":true}', Reason.MALFORMED),
        ('{"status":"ok"}', Reason.MALFORMED),
        ("ok", Reason.MALFORMED),
    ],
)
async def test_health(ask, body, reason):
    found = await ask("infinity", "health", {"GET /health": (200, body)})
    assert (found.failure and found.failure.reason) is reason


async def test_a_prefix_is_not_healths(ask):
    fake = FakeExchange({"GET /health": (200, '{"unix":1}')} | models(entry("m"), prefix="/v1"))
    for kind in ("health", "ready"):
        assert (await ask("infinity", kind, fake, model="m", path="/v1")).failure is None
    behind = FakeExchange({"GET /emb/health": (200, '{"unix":1}')})
    assert (await ask("infinity", "health", behind, path="/emb")).failure is None


async def test_ready_and_metadata(ask):
    assert (await ask("infinity", "ready", BOTH, model="m")).failure is None
    assert (await ask("infinity", "ready", BOTH)).failure is None
    assert (await ask("infinity", "ready", BOTH, model="x")).failure.reason is Reason.MODEL_NOT_FOUND
    assert (await ask("infinity", "ready", models(), model="x")).failure.reason is Reason.MODEL_NOT_FOUND
    assert (await ask("infinity", "ready", {"GET /models": (200, '{"models":[]}')})).failure.reason is Reason.MALFORMED
    found = await ask("infinity", "metadata", BOTH, model="r")
    assert found.info == {"server": "infinity", "model_id": "r", "platform": "torch"}
    assert (await ask("infinity", "metadata", BOTH)).info == {"server": "infinity"}  # two, and none is meant


async def test_vectors(ask):
    fake = FakeExchange({EMBEDDINGS: vectors([0.6, 0.8], [1.0, 0.0])})
    own = {"input": ["a", "b"], "expect": {"dimension": 2, "norm": 1}}
    found = await ask("infinity", "infer", fake, own, model="m")
    assert (found.failure, found.tokens, found.facts) == (None, Tokens(input=4), {"dimension": 2.0})
    assert json.loads(fake.bodies[0]) == {"model": "m", "input": ["a", "b"]}
    found = await ask("infinity", "infer", fake, {"input": ["a", "b"], "expect": {"dimension": 3}})
    assert found.failure.reason is Reason.EXPECTATION
    assert json.loads(fake.bodies[1]) == {"input": ["a", "b"]}


async def test_a_ranking(ask):
    results = [{"relevance_score": 0.9, "index": 1, "document": None}, {"relevance_score": 0.1, "index": 0}]
    fake = FakeExchange({RERANK: (200, json.dumps({"results": results, "usage": {"prompt_tokens": 9}}))})
    found = await ask("infinity", "infer", fake, {**RANK, "expect": {"order": [1, 0]}}, model="r")
    assert (found.failure, found.tokens) == (None, Tokens(input=9))
    assert json.loads(fake.bodies[0]) == {"model": "r", "query": "q", "documents": ["a", "b"]}
    found = await ask("infinity", "infer", fake, {**RANK, "expect": {"order": [0, 1]}})
    assert found.failure.reason is Reason.EXPECTATION


@pytest.mark.parametrize(
    ("status", "error", "reason", "evidence"),
    [
        (400, "Invalid model: Engine for model name `m` not found. Available model names are ['a', 'b']",
         Reason.MODEL_NOT_FOUND, Evidence.REFUSED),
        (400, "ModelNotDeployedError: model=`m` does not support `embed`.", Reason.HTTP_STATUS, Evidence.REFUSED),
        (429, "model m is currently overloaded", Reason.OVERLOADED, Evidence.BUSY),
        (429, "slow down", Reason.RATE_LIMITED, Evidence.BUSY),
        (401, "Unauthorized", Reason.AUTH, Evidence.REFUSED),
        (500, "InternalServerError: oops", Reason.HTTP_STATUS, Evidence.BROKEN),
    ],
)  # fmt: skip
async def test_errors(ask, status, error, reason, evidence):
    answer = (status, json.dumps({"error": {"message": error, "type": None, "param": None, "code": status}}))
    failure = (await ask("infinity", "infer", {EMBEDDINGS: answer}, model="m")).failure
    assert (failure.reason, failure.row.evidence) == (reason, evidence)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (vectors([0.1], [0.2]), Reason.MALFORMED),  # one text was sent
        (vectors([None]), Reason.MALFORMED),
        (vectors([]), Reason.EMPTY),
        (vectors(), Reason.EMPTY),
        ((200, "[[0.1]]"), Reason.MALFORMED),
        ((200, '{"error":{"message":"x"}}'), Reason.ERROR_EVENT),
    ],
)
async def test_answers_of_another_shape(ask, answer, reason):
    assert (await ask("infinity", "infer", {EMBEDDINGS: answer})).failure.reason is reason


async def test_load():
    def told(answers, model):
        return build("infinity", Kind.INFER, model=model).load(FakeExchange(answers))

    assert await told(BOTH, "m") == Load(waiting=3)
    assert await told(models(entry("m", queue=7)), "") == Load(waiting=7)
    assert await told(BOTH, "") is None
    assert await told(models({"id": "m"}), "m") is None
    assert await told(models(entry("m", queue=-1)), "m") is None


async def test_catalogue_and_proposals(ask):
    assert (await ask("infinity", "catalogue", BOTH)).models == ("m", "r")
    for model, api in (("m", "embeddings"), ("r", "rerank")):
        proposal = (await ask("infinity", "propose", BOTH, model=model)).proposal
        own = {key: value for key, value in proposal.settings.items() if key != "interval"}
        built = build("infinity", Kind(proposal.kind), own, model=model)
        assert built.settings.api == api
        assert not built.problems(Kind.INFER)
    for answers in (BOTH, models(entry("m", "classify")), models({"id": "m"})):
        assert (await ask("infinity", "propose", answers)).proposal is None


def test_scope_and_problems():
    def places(own):
        return [place for place, _ in build("infinity", Kind.INFER, own).problems(Kind.INFER)]

    assert build("infinity", Kind.READY, model="m").scope() is Scope.MODEL
    assert build("infinity", Kind.READY).scope() is Scope.SERVER
    assert places({}) == places(RANK) == places({"body": {}}) == []
    assert places({"api": "rerank", "query": "q"}) == [("texts",)]
    assert places({**RANK, "expect": {"dimension": 1}}) == [("expect", "dimension")]
    assert build("infinity", Kind.HEALTH).problems(Kind.HEALTH) == ()
