"""Records as OpenTelemetry metrics: what /metrics says, at the time of each run, to a receiver over HTTP and gRPC."""

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import grpc
import pytest
import trustme
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as rpc

from exporter.contracts import Record, Refused
from exporter.ledger import Bounds
from exporter.metrics.catalog import FAMILIES
from exporter.metrics.exposition import Exposition
from exporter.metrics.text import Type
from exporter.model.endpoint import Bearer, Service, Tls
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.score import Outcome, Score
from exporter.model.secret import Secret
from exporter.model.state import State, Verdict
from exporter.model.stream import Outcome as Ended
from exporter.model.stream import Tokens
from exporter.sinks import records
from exporter.sinks.otlp import OtlpSink
from exporter.sinks.points import AGAIN, FORGET, Points
from exporter.sinks.spec import Otlp
from exporter.transport import Transport
from tests.metrics.reading import families, scrape, series
from tests.metrics.world import EPOCH, World, job, streamed
from tests.support import otlp
from tests.support.otlp import Receiver
from tests.support.ports import free_port

pytestmark = pytest.mark.slow

HTTP, GRPC = "http", "grpc"


def decoded(data: bytes) -> list[otlp.Point]:
    return list(otlp.points(service.ExportMetricsServiceRequest.FromString(data)))


def lived() -> tuple[World, list[Record]]:
    """A world in which things happened, and the records of them."""
    world = World()
    health = job(labels={"team": "chat"})
    stream = job(probe="stream", labels={"team": "chat"})
    world.watch(health, stream)
    told: list[Record] = []

    def run(result: Any, state: State) -> None:
        world.now += 1
        result = replace(result, at=EPOCH + world.now, trace_id=f"{int(world.now):032x}")
        before = world.ledger.targets["assistant"].state
        world.run(result)
        change = world.ledger.judge("assistant", Verdict(state))
        if change is not None:
            assert change.before is before
            told.append(records.of_change(change, result.job.target))
        told.append(records.of_result(result, state))

    run(world.result(health), State.HEALTHY)
    run(world.result(stream, observation=streamed(Tokens(3, 5, 2, 1)), duration=0.7), State.HEALTHY)
    run(world.result(health, Reason.CONNECT_REFUSED, attempts=3, duration=None, phases={}, http_status=None,
        size=None, certificate=None), State.ERROR)  # fmt: skip
    run(world.result(stream, Reason.STALLED, observation=streamed(None, Ended.STALLED)), State.ERROR)
    run(world.result(health, duration=0.2), State.HEALTHY)
    return world, told


async def test_numbers_are_those_of_a_scrape() -> None:
    world, told = lived()
    made = otlp.as_scraped(decoded(Points(Bounds(), {}, EPOCH).encode(told)))
    scraped = series(families(await scrape(Exposition(world.ledger))))
    # Gauges that the last run did not produce are absent in a scrape; here the last point is of an older run.
    older = {name for name, _ in made.keys() - scraped.keys()}
    assert older == {"model_probe_output_tokens_per_second", "model_probe_time_per_output_token_seconds"}
    made = {key: value for key, value in made.items() if key[0] not in older}
    assert len(made) > 70
    wrong = {
        key: (value, scraped[key]) for key, value in made.items() if not math.isclose(value, scraped[key], abs_tol=1e-9)
    }
    assert not wrong
    missing = {name for name, _ in scraped.keys() - made.keys()}
    assert missing == {
        "model_probe_disagreement_total", "model_probe_info", "model_probe_interval_seconds",
        "model_probe_load_seconds", "model_probe_state_seconds_total", "model_probe_timeout_seconds",
        "model_probe_verified",
    }  # fmt: skip


def test_every_name_is_in_the_catalogue_with_its_type_and_labels() -> None:
    _, told = lived()
    known = {family.name: family for family in FAMILIES}
    kinds = {"gauge": Type.GAUGE, "sum": Type.COUNTER, "histogram": Type.HISTOGRAM}
    for point in decoded(Points(Bounds(), {}, EPOCH).encode(told)):
        family = known[point.name]
        assert kinds[point.kind] is family.type
        own = point.labels.keys() - {"target", "model", "team", "probe"}
        assert own == set(family.labels), point


def test_every_record_is_in_its_points_at_its_own_time() -> None:
    _, told = lived()
    found = decoded(Points(Bounds(), {}, EPOCH).encode(told))
    for each in told:
        (mine,) = [point for point in found if point.record == each.id]
        assert round(mine.at, 3) == round(each.at, 3)
        counted = "model_probe_runs_total" if each.type == "result" else "model_probe_state_changes_total"
        assert mine.name == counted


def test_a_state_that_holds_is_told_again_now_and_then() -> None:
    made = Points(Bounds(), {}, EPOCH)
    one = records.of_result(World().result(job()), State.HEALTHY)
    found = decoded(made.encode([replace(one, at=EPOCH + seconds) for seconds in range(0, 150, 15)]))
    times = [point.at - EPOCH for point in found if point.name == "model_probe_up"]
    assert times == [0, AGAIN, 2 * AGAIN]
    changed = decoded(made.encode([replace(one, at=EPOCH + 151, state=State.ERROR)]))
    assert [point.value for point in changed if point.name == "model_probe_up"] == [0]


def test_counters_go_on_from_batch_to_batch() -> None:
    _, told = lived()
    made = Points(Bounds(), {}, EPOCH)
    whole = [point for each in told for point in decoded(made.encode([each]))]
    assert otlp.as_scraped(whole) == otlp.as_scraped(decoded(Points(Bounds(), {}, EPOCH).encode(told)))
    health = [point for point in whole if point.labels.get("probe") == "health"]
    runs = [point.value for point in health if point.name == "model_probe_runs_total"]
    assert runs == [1, 2, 3]
    began = {point.began for point in health if point.kind != "gauge"}
    assert len(began) == 1
    assert min(point.at for point in health) - 1 < began.pop() < min(point.at for point in health)


def test_a_probe_that_became_another_begins_anew() -> None:
    made = Points(Bounds(), {}, EPOCH)
    one = records.of_result(World().result(job()), State.HEALTHY)
    other = World().result(replace(job(), fingerprint="other"))
    batch = [one, replace(one, at=EPOCH + 1), replace(records.of_result(replace(other, at=EPOCH + 2), None))]
    runs = [point for point in decoded(made.encode(batch)) if point.name == "model_probe_runs_total"]
    assert [point.value for point in runs] == [1, 2, 1]
    assert runs[0].began == runs[1].began < runs[1].at < runs[2].began < runs[2].at


def test_no_series_goes_back_in_time() -> None:
    """A change of state is told before the run that brought it about, and is a little later than that."""
    _, told = lived()
    made = Points(Bounds(), {}, EPOCH)
    late = replace(told[0], at=told[1].at + 0.5)
    found = decoded(made.encode([late, replace(told[1], state=State.ERROR)]) + made.encode([told[2]]))
    times: dict[Any, list[float]] = {}
    for point in found:
        times.setdefault(point.series, []).append(point.at)
    assert all(each == sorted(each) for each in times.values())
    assert {point.record for point in found} - {""} == {late.id, told[1].id, told[2].id}


def test_what_an_evaluation_found() -> None:
    golden = job("assistant", "golden", Kind.EVALUATE)
    score = Score("accuracy", {Outcome.SCORED: 3, Outcome.FAILED: 1}, 0.9, threshold=0.8)
    result = World().result(golden, observation=Observation(score=score))
    found = otlp.as_scraped(decoded(Points(Bounds(), {}, EPOCH).encode([records.of_result(result, None)])))
    of_it = {name: (value, dict(labels)) for (name, labels), value in found.items() if "_evaluation_" in name}
    common = {"target": "assistant", "model": "llama-3", "evaluation": "golden"}
    assert of_it == {
        "model_probe_evaluation_score": (0.9, {**common, "metric": "accuracy"}),
        "model_probe_evaluation_threshold": (0.8, {**common, "metric": "accuracy"}),
        "model_probe_evaluation_coverage": (0.75, common),
    }


def test_a_target_unheard_of_for_a_day_is_forgotten() -> None:
    _, told = lived()
    made = Points(Bounds(), {}, EPOCH)
    made.encode(told)
    made.encode([replace(told[-1], at=told[-1].at + FORGET - 10)])
    assert set(made._heard) == {"assistant"} == set(made._ledger.targets)
    other = World().result(job("other"))
    made.encode([replace(records.of_result(other, None), at=told[-1].at + 3 * FORGET)])
    assert set(made._heard) == {"other"} == set(made._ledger.targets)


def test_the_resource_and_units() -> None:
    _, told = lived()
    data = Points(Bounds(), {"service.name": "prober", "zone": "a"}, EPOCH).encode(told)
    (whole,) = service.ExportMetricsServiceRequest.FromString(data).resource_metrics
    attributes = {each.key: each.value.string_value for each in whole.resource.attributes}
    assert attributes["service.name"] == "prober"
    assert attributes["zone"] == "a"
    assert attributes["service.instance.id"]
    metrics = {metric.name: metric for metric in whole.scope_metrics[0].metrics}
    assert metrics["model_probe_duration_seconds"].unit == "s"
    assert metrics["model_probe_response_size_bytes"].unit == "By"
    # A gauge in "1" would be called ..._ratio by Prometheus.
    assert metrics["model_probe_success"].unit == metrics["model_probe_output_tokens_per_second"].unit == ""
    assert metrics["model_probe_runs_total"].sum.is_monotonic
    assert metrics["model_probe_runs_total"].description


# --- on the wire ------------------------------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver((free_port(), free_port())) as running:
        yield running


@pytest.fixture
async def open_sink() -> AsyncIterator[Callable[..., OtlpSink]]:
    transport = Transport(user_agent="model-exporter/test")
    opened: list[OtlpSink] = []

    def make(url: str, protocol: str, **settings: Any) -> OtlpSink:
        timeout = settings.pop("timeout", 10.0)
        what = Otlp(Service(url, **settings), protocol, timeout=timeout)  # type: ignore[arg-type]
        sink = OtlpSink(what, lambda: transport.calls, Bounds())
        opened.append(sink)
        return sink

    yield make
    for sink in opened:
        await sink.close()
    await transport.close()


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
async def test_a_receiver_gets_it(receiver: Receiver, open_sink: Callable[..., OtlpSink], protocol: str) -> None:
    _, told = lived()
    headers = (("X-Tenant", Secret("inline", "s3cr3t-t")),)
    sink = open_sink(receiver.url(protocol), protocol, auth=Bearer(Secret("inline", "s3cr3t-b")), headers=headers)
    await sink.send(sink.encode(told), "key")
    assert {point.record for point in receiver.points} - {""} == {each.id for each in told}
    assert receiver.headers[0]["authorization"] == "Bearer s3cr3t-b"
    assert receiver.headers[0]["x-tenant"] == "s3cr3t-t"


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
async def test_a_receiver_that_comes_back(
    receiver: Receiver, open_sink: Callable[..., OtlpSink], protocol: str
) -> None:
    _, told = lived()
    sink = open_sink(receiver.url(protocol), protocol, timeout=20.0)
    payload = sink.encode(told)
    await sink.send(payload, "key")
    receiver.stop()
    with pytest.raises(Failure) as caught:
        await sink.send(payload, "key")
    assert caught.value.reason in (Reason.CONNECT, Reason.CONNECT_REFUSED)
    receiver.start()
    for _ in range(100):  # a channel of gRPC's waits a little before it connects again
        with suppress(Failure):
            await sink.send(payload, "key")
            break
        await asyncio.sleep(0.1)
    assert len(receiver.requests) == 2


@pytest.mark.parametrize(
    ("code", "reason"),
    [("UNAVAILABLE", Reason.CONNECT), ("RESOURCE_EXHAUSTED", Reason.RATE_LIMITED), ("UNAUTHENTICATED", Reason.AUTH),
     ("UNIMPLEMENTED", Reason.PROTOCOL), ("INVALID_ARGUMENT", None), ("INTERNAL", None)],
)  # fmt: skip
async def test_what_grpc_says(
    receiver: Receiver, open_sink: Callable[..., OtlpSink], code: str, reason: Reason | None
) -> None:
    receiver.code = grpc.StatusCode[code]
    sink = open_sink(receiver.url(GRPC), GRPC)
    with pytest.raises(Failure if reason else Refused) as caught:
        await sink.send(b"", "key")
    assert f"gRPC {code}" in str(caught.value)
    if isinstance(caught.value, Failure):
        assert caught.value.reason is reason


@pytest.mark.parametrize(("status", "expected"), [(400, Refused), (503, Failure), (404, Failure), (302, Failure)])
async def test_what_http_says(
    receiver: Receiver, open_sink: Callable[..., OtlpSink], status: int, expected: type[Exception]
) -> None:
    receiver.status = status
    sink = open_sink(receiver.url(HTTP), HTTP)
    with pytest.raises(expected):
        await sink.send(b"", "key")


async def test_a_url_that_ends_as_the_service_does_is_taken_as_it_is(
    receiver: Receiver, open_sink: Callable[..., OtlpSink]
) -> None:
    sink = open_sink(f"{receiver.url(HTTP)}/v1/metrics", HTTP)
    await sink.send(b"", "key")
    assert len(receiver.requests) == 1


async def test_grpc_over_tls(open_sink: Callable[..., OtlpSink], tmp_path: Any) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("receiver.test")
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))

    class Servicer(rpc.MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            return service.ExportMetricsServiceResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    rpc.add_MetricsServiceServicer_to_server(Servicer(), server)
    pair = (leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        good = open_sink(f"https://127.0.0.1:{port}", GRPC, tls=Tls(ca_file=str(ca), server_name="receiver.test"))
        await good.send(b"", "key")
        other = open_sink(f"https://127.0.0.1:{port}", GRPC, tls=Tls(ca_file=str(ca)), timeout=1.0)
        with pytest.raises(Failure):
            await other.send(b"", "key")
    finally:
        server.stop(None).wait(5)


async def test_without_the_extra_it_says_what_is_missing(
    open_sink: Callable[..., OtlpSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "exporter.sinks.points", None)
    with pytest.raises(Failure, match=r"model-exporter\[otlp\]"):
        open_sink("http://127.0.0.1:1", HTTP).encode([])
