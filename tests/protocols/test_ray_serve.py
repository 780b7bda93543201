import json

import pytest

from exporter.model.failure import Evidence, Reason
from exporter.model.job import Kind, Scope
from exporter.model.stream import Outcome
from tests.protocols.scripted import FakeExchange, build

ROUTES = (200, '{"/flowers":"flowers","/trees/old":"trees"}')


async def test_health_is_the_proxys_wherever_the_application_is(ask):
    for path in ("", "/flowers", "/flowers/words", "/-/healthz", "/-/routes"):
        fake = FakeExchange({"GET /-/healthz?k=1": (200, "success")})
        assert (await ask("ray_serve", "health", fake, path=path, query="k=1")).failure is None


@pytest.mark.parametrize("kind", ["health", "ready"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((503, "Route table is not populated yet."), Reason.NOT_READY),
        ((503, "No replicas are available yet."), Reason.NOT_READY),
        ((503, "This node is being drained."), Reason.NOT_READY),
        ((503, "upstream connect error"), Reason.HTTP_STATUS),
        ((404, "default backend - 404"), Reason.HTTP_STATUS),
    ],
)
async def test_a_proxy_that_takes_no_requests(ask, kind, answer, reason):
    found = await ask("ray_serve", kind, {"GET /-/healthz": answer, "GET /-/routes": answer})
    assert found.failure.reason is reason


@pytest.mark.parametrize(
    ("path", "there"),
    [("/flowers", True), ("/flowers/words", True), ("/trees/old", True), ("", True), ("/-/healthz", True),
     ("/flowersx", False), ("/trees", False), ("/other", False)],
)  # fmt: skip
async def test_ready_is_that_the_prefix_has_a_route(ask, path, there):
    found = await ask("ray_serve", "ready", {"GET /-/routes": ROUTES}, path=path)
    assert (found.failure is None) is there
    if not there:
        assert found.failure.reason is Reason.NOT_READY
        assert "/flowers, /trees/old" in found.failure.detail
    assert build("ray_serve", Kind.READY).scope() is Scope.SERVER


async def test_an_application_at_the_root_covers_every_path(ask):
    answers = {"GET /-/routes": (200, '{"/":"all"}')}
    assert (await ask("ray_serve", "ready", answers, path="/anything")).failure is None
    assert (await ask("ray_serve", "ready", answers)).failure is None


@pytest.mark.parametrize(
    ("body", "reason"), [("{}", Reason.NOT_READY), ("[]", Reason.MALFORMED), ("", Reason.MALFORMED)]
)
async def test_no_routes(ask, body, reason):
    assert (await ask("ray_serve", "ready", {"GET /-/routes": (200, body)})).failure.reason is reason


@pytest.mark.parametrize(
    ("path", "own", "asked"),
    [
        ("", {}, "POST /"),
        ("/flowers", {}, "POST /flowers"),
        ("/flowers", {"path": "/words"}, "POST /flowers/words"),
        ("/flowers", {"path": "/flowers/words"}, "POST /flowers/words"),
        ("", {"path": "/flowers"}, "POST /flowers"),
    ],
)
async def test_infer_goes_to_the_prefix(ask, path, own, asked):
    fake = FakeExchange({asked: (200, '{"classes":[0]}')})
    own = {"body": {"rows": [[1]]}, "expect": {"json": {"path": "classes", "equals": [0]}}, **own}
    assert (await ask("ray_serve", "infer", fake, own, path=path)).failure is None
    assert json.loads(fake.bodies[0]) == {"rows": [[1]]}


@pytest.mark.parametrize(
    ("answer", "reason", "evidence"),
    [
        ((503, "Request dropped due to backpressure (num_queued_requests=1, max_queued_requests=1)."),
         Reason.OVERLOADED, Evidence.BUSY),
        ((429, "Request dropped due to backpressure (num_queued_requests=1, max_queued_requests=1)."),
         Reason.OVERLOADED, Evidence.BUSY),
        ((429, "slow down"), Reason.RATE_LIMITED, Evidence.BUSY),
        ((503, "Deployment(name='Queue', app='loading') is unavailable because it failed to deploy."),
         Reason.HTTP_STATUS, Evidence.BROKEN),
        ((408, "Request 1 timed out after 30.0s."), Reason.HTTP_STATUS, Evidence.SLOW),
        ((404, "Path '/flowers' not found. Ping http://.../-/routes for available routes."),
         Reason.MODEL_NOT_FOUND, Evidence.REFUSED),
        ((404, '{"detail":"Not Found"}'), Reason.HTTP_STATUS, Evidence.REFUSED),
        ((500, "Internal Server Error"), Reason.HTTP_STATUS, Evidence.BROKEN),
        ((401, ""), Reason.AUTH, Evidence.REFUSED),
    ],
)  # fmt: skip
async def test_what_the_proxy_says_is_told_apart(ask, answer, reason, evidence):
    for kind, sent in (("infer", answer), ("stream", (answer[0], "text/plain", [(101.0, answer[1].encode())]))):
        failure = (await ask("ray_serve", kind, {"POST /flowers": sent}, {"body": {}}, path="/flowers")).failure
        assert (failure.reason, failure.row.evidence, failure.http_status) == (reason, evidence, answer[0])


async def test_retry_after_of_a_refusal_is_kept(ask):
    answer = (503, "Request dropped due to backpressure", [("Retry-After", "3")])
    failure = (await ask("ray_serve", "infer", {"POST /": answer}, {"body": {}})).failure
    assert (failure.reason, failure.retry_after) == (Reason.OVERLOADED, 3.0)


async def test_stream(ask):
    script = [(101.0, b"data: OK\n\n"), (102.0, b"data: .\n\n"), (103.0, None)]
    fake = {"POST /flowers/words": (200, "text/event-stream; charset=utf-8", script)}
    own = {"path": "/words", "body": {}, "expect": {"equals": "OK."}}
    found = await ask("ray_serve", "stream", fake, own, path="/flowers")
    assert (found.failure, found.stream.outcome) == (None, Outcome.COMPLETE)
    assert found.stream.gaps == (1.0,)


def test_problems():
    assert [place for place, _ in build("ray_serve", Kind.INFER, {}).problems(Kind.INFER)] == [("body",)]
    assert not build("ray_serve", Kind.READY, {}).problems(Kind.READY)
