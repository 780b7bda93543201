"""What every model server must show through our protocols, from start to end. The order of the tests matters."""

import pytest

from exporter import protocols
from exporter.model.failure import Reason, Status
from exporter.model.job import Kind
from exporter.model.sample import same
from tests.real.conformance.running import QUICK, Running

pytestmark = pytest.mark.real

#: A model no server has.
NOBODY = "no-such-model"


def _told(result) -> str:
    return f"{result.job.probe}: {result.status} {result.reason} {result.detail}"


def test_while_it_starts_it_is_not_mistaken_for_broken(server: Running):
    assert server.seen_starting <= server.spec.loading, server.tail()
    assert server.spec.shows <= server.seen_starting


def test_the_url_alone_is_enough(server: Running):
    spec = server.spec
    report = server.find()
    if spec.found is not None:
        assert report.detection is not None, [_told(result) for result in report.results]
        assert (report.detection.protocol, report.detection.server) == (spec.found, spec.server), report.detection.why
        assert report.detection.why
    assert tuple(result.job.probe for result in report.results) == spec.default
    for result in report.results:
        assert result.status is Status.HEALTHY, _told(result)
        assert result.measurement.duration


def test_cheap_probes_with_the_model_named(server: Running):
    spec = server.spec
    for kind in spec.default:
        result = server.ask(kind)
        assert result.status is Status.HEALTHY, _told(result)
        if kind == "metadata":
            assert set(spec.info) <= set(result.observation.info), result.observation.info


def test_the_real_question(server: Running):
    for kind, settings in server.spec.canaries:
        result = server.ask(kind, settings)
        assert result.status is Status.HEALTHY, f"{_told(result)}\n{server.tail()}"
        server.spec.seen(result.observation)
        if kind == "stream":
            stream = result.observation.stream
            assert stream is not None
            assert all(0 < first <= stream.duration for first in stream.ttft.values())
            assert stream.ttft


def test_the_same_question_brings_the_same_answer(server: Running):
    """What it writes of each request, such as an id, is no part of its answer."""
    spec = server.spec
    for kind, settings in spec.canaries:
        keys = protocols.load(spec.protocol).kinds[Kind(kind)].model_fields
        greedy = "temperature" in keys and keys["temperature"].default == 0
        asked = {**settings, **({"drift": True} if greedy else {})}
        first, second = server.ask(kind, asked), server.ask(kind, asked)
        if first.job.drift and "stop_after" not in settings:
            assert first.sample is not None
            assert second.sample is not None
            assert same(first.sample, second.sample), (first.sample, second.sample)


def test_an_unknown_model_is_named_as_such(server: Running):
    unknown = server.spec.unknown
    if unknown is None:
        # It answers to any name: nothing else can be expected of it.
        kind, settings = server.spec.canaries[0]
        result = server.ask(kind, settings, model=NOBODY)
        assert result.status is Status.HEALTHY, _told(result)
        return
    kind, reason = unknown
    settings = dict(server.spec.canaries).get(kind)
    result = server.ask(kind, settings, model=NOBODY, retry=False)
    assert result.reason is reason, _told(result)


def test_input_it_cannot_take(server: Running):
    spec = server.spec
    if spec.bad is None:
        return
    result = server.ask(spec.canaries[0][0], spec.bad, retry=False)
    assert result.reason in spec.bad_reasons, _told(result)
    assert result.reason is Reason.EXPECTATION or result.detail
    kind, settings = spec.canaries[0]
    again = server.ask(kind, settings)
    assert again.status is Status.HEALTHY, f"it did not survive its input: {_told(again)}"


def test_stopped_and_going_on(server: Running):
    spec = server.spec
    server.stop()
    try:
        cheap = server.ask(spec.starting, retry=False, timeout=QUICK)
        kind, settings = spec.canaries[0]
        canary = server.ask(kind, settings, retry=False, timeout=QUICK)
    finally:
        server.go_on()
    assert cheap.reason in spec.hung, _told(cheap)
    assert canary.reason in spec.hung | {Reason.TIMEOUT_FIRST_TOKEN}, _told(canary)
    if spec.resumes:
        result = server.ask(spec.starting)
        assert result.status is Status.HEALTHY, _told(result)


def test_killed(server: Running):
    server.end()
    for kind in (server.spec.starting, server.spec.canaries[0][0]):
        settings = dict(server.spec.canaries).get(kind)
        result = server.ask(kind, settings, retry=False, timeout=QUICK * 5)
        assert result.reason is Reason.CONNECT_REFUSED, _told(result)
