import json

import pytest

from exporter.model.failure import Reason
from exporter.model.job import Kind
from tests.protocols.scripted import FakeExchange, build


async def test_health_and_prefix(ask):
    assert (await ask("mlflow", "health", {"GET /ping": (200, "\n")})).failure is None
    assert (await ask("mlflow", "health", {"GET /m/ping": (200, "\n")}, path="/m")).failure is None
    assert (await ask("mlflow", "health", {"GET /ping": (200, "\n")}, path="/invocations")).failure is None
    assert (await ask("mlflow", "health", {"GET /ping": (404, "")})).failure.reason is Reason.HTTP_STATUS


async def test_version_is_mlflows(ask):
    for body in ("3.17.2", "3.17.2\n", '"3.17.2"'):
        found = await ask("mlflow", "metadata", {"GET /version": (200, body)})
        assert found.info == {"server": "mlflow", "server_version": "3.17.2"}
    for body in ("", "<html>", "ok", '{"version":"3"}', "1.2" + "x" * 300 + "\n!"):
        assert (await ask("mlflow", "metadata", {"GET /version": (200, body)})).failure.reason is Reason.MALFORMED


async def test_infer_sends_the_form_given(ask):
    fake = FakeExchange({"POST /invocations": (200, '{"predictions": [0, 1.0005]}')})
    own = {"inputs": [[1.0]], "params": {"p": 1}, "expect": {"predictions": [0, 1], "tolerance": 0.001}}
    assert (await ask("mlflow", "infer", fake, own)).failure is None
    assert json.loads(fake.bodies[0]) == {"inputs": [[1.0]], "params": {"p": 1}}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, '{"predictions": [1]}'), Reason.EXPECTATION),
        ((200, '{"predictions": null}'), Reason.EXPECTATION),
        ((200, "{}"), Reason.MALFORMED),
        ((200, "[0]"), Reason.MALFORMED),
        ((200, '{"error_code":"X","message":"y"}'), Reason.ERROR_EVENT),
        ((400, '{"error_code":"BAD_REQUEST","message":"y"}'), Reason.HTTP_STATUS),
        ((415, ""), Reason.HTTP_STATUS),
    ],
)
async def test_infer_goes_wrong(ask, answer, reason):
    own = {"inputs": [[1.0]], "expect": {"predictions": [0]}}
    assert (await ask("mlflow", "infer", {"POST /invocations": answer}, own)).failure.reason is reason


async def test_a_body_of_ones_own_may_be_answered_otherwise(ask):
    own = {"body": {"messages": []}, "expect": {"json": "choices[0].ok"}}
    assert (
        await ask("mlflow", "infer", {"POST /invocations": (200, '{"choices":[{"ok":true}]}')}, own)
    ).failure is None


def test_problems():
    def places(own):
        return [place for place, _ in build("mlflow", Kind.INFER, own).problems(Kind.INFER)]

    assert places({"inputs": [1]}) == places({"dataframe_split": {"data": [[1]]}}) == places({"body": {}}) == []
    assert places({}) == [("inputs",)]
    assert places({"inputs": [1], "instances": [1]}) == [("instances",)]
    assert build("mlflow", Kind.HEALTH).problems(Kind.HEALTH) == ()
