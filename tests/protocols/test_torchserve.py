import pytest
from pydantic import ValidationError

from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.load import Load
from exporter.model.stream import Outcome
from exporter.protocols.torchserve import TorchServeOptions
from tests.fakes.torchserve import Management, TorchServe
from tests.protocols.scripted import FakeExchange, build

ASK = {"body": {"rows": [[5.1, 3.5, 1.4, 0.2]]}, "expect": {"json": {"path": "classes", "equals": [0]}}}
OFF = {"management": False}
HEALTHY = (200, '{"status": "Healthy"}')
NOBODY = Failure(Reason.CONNECT_REFUSED)


@pytest.fixture
async def server():
    async with TorchServe() as server:
        yield server


@pytest.fixture
async def management():
    async with Management() as management:
        yield management


@pytest.fixture
def about(server, management, reach):
    """`await about(kind, own)`: asks about iris, with the management port named."""

    async def ask(kind, own=None, *, model="iris", options=None, **more):
        options = {"management": management.url} if options is None else options
        return await reach(server, "torchserve", kind, own, model=model, options=options, **more)

    return ask


async def test_all_is_well(about):
    for kind in ("health", "ready"):
        assert (await about(kind)).failure is None
    found = await about("metadata", {"expect": {"version": "7.0"}})
    assert found.failure is None
    assert found.info == {
        "server": "torchserve", "server_version": "0.12.0", "model_version": "7.0", "platform": "python",
    }  # fmt: skip
    assert (await about("infer", ASK)).failure is None
    assert (await about("infer", ASK | {"version": "7.0"})).failure is None
    found = await about("stream", {"body": {}, "expect": {"equals": "OK then"}}, model="words")
    assert found.failure is None
    assert found.stream.outcome is Outcome.COMPLETE


@pytest.mark.parametrize(
    ("status", "reason"),
    [("Partial Healthy", Reason.ERROR_EVENT), ("Unhealthy", Reason.HTTP_STATUS), (None, Reason.MALFORMED)],
)
async def test_health_is_what_it_says(about, server, status, reason):
    server.status = status
    found = await about("health")
    assert found.failure.reason is reason
    assert str(status) in found.failure.detail or status is None


@pytest.mark.parametrize(
    ("workers", "reason"),
    [
        (["READY"], None),
        (["READY", "UNLOADING"], None),
        (["UNLOADING"], Reason.NOT_READY),  # what it says while it loads
        ([], Reason.NOT_READY),
    ],
)
async def test_ready_is_that_a_worker_is(about, management, workers, reason):
    management.workers = workers
    found = await about("ready")
    assert (found.failure and found.failure.reason) is reason
    assert (await about("health")).failure is None


async def test_a_model_or_version_it_does_not_have(about):
    for kind, own, model in [
        ("ready", None, "nope"), ("ready", {"version": "8.0"}, "iris"), ("metadata", None, "nope"),
        ("infer", ASK, "nope"), ("stream", ASK, "nope"),
    ]:  # fmt: skip
        found = await about(kind, own, model=model)
        assert found.failure.reason is Reason.MODEL_NOT_FOUND, kind
    found = await about("metadata", model="nope")
    assert found.info == {"server": "torchserve", "server_version": "0.12.0"}


@pytest.mark.parametrize("kind", ["infer", "stream"])
@pytest.mark.parametrize(
    ("workers", "free", "reason"),
    [
        (["READY"], 0, Reason.OVERLOADED),
        (["READY"], 3, Reason.HTTP_STATUS),
        (["UNLOADING"], 100, Reason.NOT_READY),
        (["UNLOADING"], 0, Reason.NOT_READY),
        ([], 100, Reason.NOT_READY),
    ],
)
async def test_the_same_refusal_means_what_the_management_port_says(
    about, server, management, kind, workers, free, reason
):
    server.refuses = True
    management.workers, management.free = workers, free
    found = await about(kind, ASK)
    assert found.failure.reason is reason
    assert found.failure.http_status == 503


async def test_without_management_a_refusal_is_no_overload(about, server, management):
    server.refuses = True
    management.free = 0
    found = await about("infer", ASK, options=OFF)
    assert (found.failure.reason, found.failure.http_status) == (Reason.HTTP_STATUS, 503)
    assert management.requests == []


async def test_a_handler_that_fails_is_no_overload(about, management):
    management.free = 0
    found = await about("infer", {"body": "{bad", "content_type": "application/json"})
    assert (found.failure.reason, found.failure.detail) == (Reason.HTTP_STATUS, "HTTP 503: Prediction failed")


async def test_keys(about, server, management):
    server.token, management.token = "inference", "management"
    named = {"management": {"url": management.url, "token": "management"}}
    for kind, own in [("health", None), ("ready", None), ("metadata", None), ("infer", ASK)]:
        assert (await about(kind, own, key="inference", options=named)).failure is None, kind
    for kind, own in [("health", None), ("infer", ASK), ("stream", ASK)]:
        assert (await about(kind, own, options=named)).failure.reason is Reason.AUTH, kind
    found = await about("ready", key="inference")
    assert found.failure.reason is Reason.AUTH
    assert found.failure.detail.startswith("management port: ")
    # The key of one port never goes to the other.
    assert {request.headers.get("authorization") for request in management.requests} == {"Bearer management", None}


async def test_a_port_that_nobody_named_is_asked_where_it_lets_us(ask):
    there = {"GET :8081/models/iris": (200, '[{"modelName":"iris","workers":[{"status":"UNLOADING"}]}]')}
    found = await ask("torchserve", "ready", {"GET /ping": HEALTHY} | there, model="iris")
    assert found.failure.reason is Reason.NOT_READY
    for answer in [
        NOBODY,
        Failure(Reason.CONNECT_TIMEOUT),
        Failure(Reason.TLS),
        (400, '{"code":400,"type":"InvalidKeyException","message":"Token Authorization failed"}'),
        (404, "<html>another server</html>"),
        (200, "<html>another server</html>"),
        (200, '{"status":"ok"}'),
    ]:
        fake = FakeExchange({"GET /ping": HEALTHY, "GET :8081/models/iris": answer})
        for _ in range(2):
            assert (await ask("torchserve", "ready", fake, model="iris")).failure is None, answer
        # It is left alone for a while.
        assert fake.asked == ["GET :8081/models/iris", "GET /ping", "GET /ping"]
        fake.clock += 61
        await ask("torchserve", "ready", fake, model="iris")
        assert fake.asked[3:] == ["GET :8081/models/iris", "GET /ping"]


async def test_a_port_that_hangs_is_not_absent(ask):
    for options in (None, {"management": "http://m:8081"}):
        place = "http://m:8081" if options else ":8081"
        fake = FakeExchange({"GET /ping": HEALTHY, f"GET {place}/models/iris": Failure(Reason.TIMEOUT)})
        assert (await ask("torchserve", "ready", fake, model="iris", options=options)).failure.reason is Reason.TIMEOUT
        # One that was guessed may not use up the attempt.
        assert fake.timeouts == [None if options else 2.0]


async def test_a_named_port_that_cannot_be_reached_is_a_failure(ask):
    fake = FakeExchange({"GET /ping": HEALTHY, "GET http://m:9/models/iris": NOBODY})
    found = await ask("torchserve", "ready", fake, model="iris", options={"management": "http://m:9"})
    assert found.failure.reason is Reason.CONNECT_REFUSED


async def test_without_management_health_is_all_there_is(about, server):
    assert (await about("ready", options=OFF)).failure is None
    assert (await about("metadata", options=OFF)).info == {"server": "torchserve", "server_version": "0.12.0"}
    found = await about("metadata", {"expect": {"version": "7.0"}}, options=OFF)
    assert found.failure.reason is Reason.EXPECTATION
    server.status = "Partial Healthy"
    assert (await about("ready", options=OFF)).failure.reason is Reason.ERROR_EVENT
    assert build("torchserve", Kind.READY, model="m", options=OFF).scope() is Scope.SERVER
    assert build("torchserve", Kind.READY, model="m").scope() is Scope.MODEL
    assert build("torchserve", Kind.READY).scope() is Scope.SERVER


async def test_load_is_the_queue(about, management):
    management.workers, management.pending = ["READY", "READY", "UNLOADING"], 5
    assert await about("load") == Load(waiting=5, capacity=8)
    management.workers = []
    assert await about("load") == Load(waiting=5)
    assert await about("load", options=OFF) is None


async def test_canaries_that_were_given_up_are_no_queue(ask):
    described = '[{"modelName":"iris","workers":[{"status":"READY"}],"jobQueueStatus":{"pendingRequests":2}}]'
    fake = FakeExchange({"GET :8081/models/iris": (200, described), "POST /predictions/iris": Failure(Reason.TIMEOUT)})

    async def waiting():
        return (await build("torchserve", Kind.INFER, ASK, model="iris").load(fake)).waiting

    assert await waiting() == 2
    for left in (1, 0, 0):
        assert (await ask("torchserve", "infer", fake, ASK, model="iris")).failure.reason is Reason.TIMEOUT
        assert await waiting() == left
    fake.answers["POST /predictions/iris"] = (200, '{"classes": [0]}')
    assert (await ask("torchserve", "infer", fake, ASK, model="iris")).failure is None
    assert await waiting() == 2
    fake.answers["POST /predictions/iris"] = Failure(Reason.TIMEOUT)
    await ask("torchserve", "infer", fake, ASK, model="iris")
    fake.clock += 601
    assert await waiting() == 2


async def test_catalogue_reads_every_page(about, management, ask):
    management.names = [f"model-{number}" for number in range(250)]
    assert (await about("catalogue")).models == tuple(management.names)
    assert len(management.requests) == 3
    # A server that points to the same page for ever is left.
    endless = {"GET :8081/models": (200, '{"nextPageToken":"1","models":[]}')}
    endless["GET :8081/models?next_page_token=1"] = endless["GET :8081/models"]
    assert (await ask("torchserve", "catalogue", endless)).models == ()
    found = await ask("torchserve", "catalogue", {"GET :8081/models": NOBODY})
    assert found.failure.reason is Reason.CONNECT


@pytest.mark.parametrize("body", ["[]", "{}", "[3]", "nothing"])
async def test_a_description_of_another_shape_is_malformed(ask, body):
    fake = FakeExchange({"GET http://m:9/models/iris": (200, body)})
    found = await ask("torchserve", "ready", fake, model="iris", options={"management": "http://m:9"})
    assert found.failure.reason is Reason.MALFORMED


async def test_hostile_descriptions_tell_nothing(ask):
    described = '[{"workers":[{"status":["x"]},3],"jobQueueStatus":7,"batchSize":-1,"modelVersion":{},"runtime":null}]'
    fake = FakeExchange({"GET :8081/models/iris": (200, described), "OPTIONS /": (200, '{"info":[]}')})
    assert await build("torchserve", Kind.INFER, ASK, model="iris").load(fake) == Load()
    assert (await ask("torchserve", "metadata", fake, model="iris")).info == {"server": "torchserve"}


@pytest.mark.parametrize(
    "given",
    [True, 8081, "8081", "ftp://h:1", "http://h:1/path", "http://u:p@h:1", "http://h:x", {"token": "x"}, {"url": ""},
     {"url": "http://h", "key": "x"}],
)  # fmt: skip
def test_a_management_port_is_an_address(given):
    with pytest.raises(ValidationError) as caught:
        TorchServeOptions.model_validate({"management": given})
    assert "u:p" not in str(caught.value)


def test_a_management_port_is_written_as_it_was_given():
    for given, written in [
        (False, False),
        ("http://h:8081/", {"url": "http://h:8081"}),
        ({"url": "https://h", "token": "s3cr3t"}, {"url": "https://h", "token": "<hidden>"}),
    ]:
        options = TorchServeOptions.model_validate({"management": given})
        assert options.model_dump(mode="json", exclude_unset=True) == {"management": written}


def test_problems():
    def places(kind, own=None, *, model="iris", options=None):
        return [
            place
            for place, _ in build("torchserve", Kind(kind), own, model=model, options=options).problems(Kind(kind))
        ]

    assert places("infer", ASK) == places("ready", model="") == []
    assert places("infer") == [("body",)]
    assert places("stream", ASK, model="") == [()]
    assert places("infer", ASK | {"path": "/v1/models/iris:predict"}, model="") == []
    assert places("catalogue", options=OFF) == [()]
