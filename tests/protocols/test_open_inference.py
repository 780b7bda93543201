import json

import pytest

from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind, Scope
from tests.protocols.scripted import FakeExchange, build

X = [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [[5.1, 3.5, 1.4, 0.2]]}]
SERVER = (200, '{"name":"mlserver","version":"1.7.1","extensions":[]}')


def answered(**more):
    output = {"name": "predict", "shape": [1, 1], "datatype": "INT64", "data": [0]}
    return (200, json.dumps({"model_name": "iris", "model_version": "v1", "id": "a", "outputs": [output]} | more))


@pytest.mark.parametrize("body", ["", '{"live":true}', '{"live":false}', "<html>"])
async def test_health_looks_at_no_body(ask, body):
    assert (await ask("open_inference", "health", {"GET /v2/health/live": (200, body)})).failure is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, ""), None),
        ((200, '{"name":"iris","ready":true}'), None),
        ((200, '{"ready":false}'), Reason.NOT_READY),
        ((200, "{nonsense"), None),
        ((400, ""), Reason.NOT_READY),
        ((503, '{"error":"queue"}'), Reason.NOT_READY),
        ((404, '{"error":"Model iris not found"}'), Reason.MODEL_NOT_FOUND),
        ((404, ""), Reason.MODEL_NOT_FOUND),
        ((401, ""), Reason.AUTH),
        ((500, ""), Reason.HTTP_STATUS),
    ],
)
async def test_ready_of_a_model(ask, answer, reason):
    found = await ask("open_inference", "ready", {"GET /v2/models/iris/ready": answer}, model="iris")
    assert (found.failure and found.failure.reason) is reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, ""), None),
        ((200, '{"live":true}'), None),  # the specification's own text prints this
        ((200, '{"ready":false}'), Reason.NOT_READY),
        ((400, ""), Reason.NOT_READY),
        ((404, ""), Reason.HTTP_STATUS),
    ],
)
async def test_ready_of_a_server(ask, answer, reason):
    found = await ask("open_inference", "ready", {"GET /v2/health/ready": answer})
    assert (found.failure and found.failure.reason) is reason


def test_scope_is_what_was_asked():
    assert build("open_inference", Kind.READY, model="m").scope() is Scope.MODEL
    assert build("open_inference", Kind.READY).scope() is Scope.SERVER


async def test_paths_hold_prefix_version_query_and_escaped_names(ask):
    fake = FakeExchange({"GET /pre/v2/models/org%2Fm/versions/3/ready?k=1": (200, "")})
    found = await ask("open_inference", "ready", fake, {"version": "3"}, model="org/m", path="/pre/v2", query="k=1")
    assert found.failure is None


async def test_metadata(ask):
    model = (200, '{"name":"iris","versions":["1","3"],"platform":"sklearn"}')
    answers = {"GET /v2": SERVER, "GET /v2/models/iris": model}
    found = await ask("open_inference", "metadata", answers, {"expect": {"version": "3"}}, model="iris")
    assert found.failure is None
    assert found.info == {
        "server": "mlserver", "server_version": "1.7.1", "model_version": "1,3", "platform": "sklearn",
    }  # fmt: skip
    found = await ask("open_inference", "metadata", answers, {"expect": {"version": "2"}}, model="iris")
    assert found.failure.reason is Reason.EXPECTATION
    assert found.info["model_version"] == "1,3"
    found = await ask("open_inference", "metadata", answers, {"expect": {"platform": "onnx"}}, model="iris")
    assert str(found.failure) == 'expectation: platform is "sklearn", expected onnx'


@pytest.mark.parametrize("versions", ["null", "[]", '"3"', "7"])
async def test_a_model_that_lists_no_versions_is_asked_for_the_one(ask, versions):
    model = (200, f'{{"name":"iris","versions":{versions}}}')
    answers = {"GET /v2": SERVER, "GET /v2/models/iris": model, "GET /v2/models/iris/versions/3": model}
    assert (
        await ask("open_inference", "metadata", answers, {"expect": {"version": "3"}}, model="iris")
    ).failure is None
    found = await ask("open_inference", "metadata", answers, {"expect": {"version": "4"}}, model="iris")
    assert found.failure.reason is Reason.EXPECTATION


async def test_metadata_of_a_missing_model_still_names_the_server(ask):
    found = await ask("open_inference", "metadata", {"GET /v2": SERVER}, model="nope")
    assert found.failure.reason is Reason.MODEL_NOT_FOUND
    assert found.info["server"] == "mlserver"


async def test_a_server_without_metadata_may_still_have_models(ask):
    model = (200, '{"name":"iris"}')
    assert (await ask("open_inference", "metadata", {"GET /v2/models/iris": model}, model="iris")).failure is None
    assert (await ask("open_inference", "metadata", {})).failure.reason is Reason.HTTP_STATUS


@pytest.mark.parametrize("body", ["[]", "{}", '{"name":3}', "nothing", '{"name":NaN}'])
async def test_metadata_of_another_shape_is_malformed(ask, body):
    assert (await ask("open_inference", "metadata", {"GET /v2": (200, body)})).failure.reason is Reason.MALFORMED
    answers = {"GET /v2": SERVER, "GET /v2/models/m": (200, body)}
    assert (await ask("open_inference", "metadata", answers, model="m")).failure.reason is Reason.MALFORMED


async def test_hostile_names_become_harmless_labels(ask):
    evil = json.dumps({"name": "a\n\x00b\u202e" + "ä" * 500, "version": "x" * 4_000_000, "extensions": []})
    info = (await ask("open_inference", "metadata", {"GET /v2": (200, evil)})).info
    assert info["server"].startswith("abä")
    assert all(len(value.encode()) <= 128 for value in info.values())


INFER = "POST /v2/models/iris/infer"


async def test_infer(ask):
    fake = FakeExchange({INFER: answered()})
    expect = {"outputs": [{"name": "predict", "data": [[0.0005]], "tolerance": 0.001, "shape": [1, 1]}]}
    own = {"inputs": X, "id": "a", "outputs": ["predict"], "parameters": {"p": 1}, "expect": expect}
    found = await ask("open_inference", "infer", fake, own, model="iris")
    assert found.failure is None
    assert found.info == {"model_version": "v1"}
    assert json.loads(fake.bodies[0]) == {
        "id": "a", "parameters": {"p": 1}, "inputs": X, "outputs": [{"name": "predict"}],
    }  # fmt: skip
    assert ("Content-Type", "application/json") in fake.headers[0]


async def test_infer_sends_a_body_as_it_is(ask):
    fake = FakeExchange({"POST /v2/x": answered()})
    found = await ask("open_inference", "infer", fake, {"body": {"any": [1]}, "path": "/v2/x"}, model="iris")
    assert found.failure is None
    assert json.loads(fake.bodies[0]) == {"any": [1]}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answered(id="b"), Reason.MALFORMED),
        (answered(outputs=[]), Reason.EMPTY),
        (answered(outputs=None), Reason.MALFORMED),
        (answered(outputs=[3]), Reason.MALFORMED),
        (answered(outputs=[{"data": [1]}]), Reason.MALFORMED),
        (answered(model_name=None), Reason.MALFORMED),
        ((200, '{"error":"no"}'), Reason.ERROR_EVENT),
        ((200, "[]"), Reason.MALFORMED),
        ((200, '{"outputs":[{"name":"predict","data":[NaN]}]}'), Reason.MALFORMED),
        ((404, '{"error":"Model iris not found"}'), Reason.MODEL_NOT_FOUND),
        ((400, '{"error":"bad shape"}'), Reason.HTTP_STATUS),
        ((500, "Traceback"), Reason.HTTP_STATUS),
        (Failure(Reason.RESET), Reason.RESET),
    ],
)
async def test_infer_goes_wrong(ask, answer, reason):
    found = await ask("open_inference", "infer", {INFER: answer}, {"inputs": X, "id": "a"}, model="iris")
    assert found.failure.reason is reason


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"name": "predict", "data": [1]}, "data[0] is 0, expected 1"),
        ({"name": "predict", "data": [0, 0]}, "has 1 elements, expected 2"),
        ({"name": "predict", "datatype": "FP32"}, 'datatype is "INT64", expected FP32'),
        ({"name": "predict", "shape": [1, 2]}, "shape[1] is 1, expected 2"),
        ({"name": "other"}, "there is no output other, only predict"),
    ],
)
async def test_infer_expectations(ask, expected, words):
    own = {"inputs": X, "expect": {"outputs": [expected]}}
    found = await ask("open_inference", "infer", {INFER: answered()}, own, model="iris")
    assert found.failure.reason is Reason.EXPECTATION
    assert words in found.failure.detail


async def test_infer_json_expectation(ask):
    own = {"inputs": X, "expect": {"json": {"path": "outputs[0].data[0]", "equals": 7}}}
    assert (await ask("open_inference", "infer", {INFER: answered()}, own, model="iris")).failure.detail == (
        "outputs[0].data[0] is 0, expected 7"
    )


@pytest.mark.parametrize("datatype", ["BYTES", "BOOL"])
async def test_text_and_booleans(ask, datatype):
    data = ["ja", "nein"] if datatype == "BYTES" else [True, False]
    outputs = [{"name": "y", "datatype": datatype, "shape": [2], "data": data if datatype == "BYTES" else [1, 0]}]
    own = {"inputs": X, "expect": {"outputs": [{"name": "y", "data": data}]}}
    assert (await ask("open_inference", "infer", {INFER: answered(outputs=outputs)}, own, model="iris")).failure is None


def test_problems():
    def problems(own, kind=Kind.INFER, **more):
        return build("open_inference", kind, own, **more).problems(kind)

    assert problems({"inputs": X}, model="m") == []
    assert problems({"body": {}}, model="m") == []
    assert [place for place, _ in problems({}, model="m")] == [("inputs",)]
    assert [place for place, _ in problems({"inputs": X, "body": {}}, model="m")] == [("body",)]
    assert "model" in problems({"inputs": X})[0][1]
    wrong = [{**X[0], "shape": [1, 3]}]
    assert problems({"inputs": wrong}, model="m") == [(("inputs", 0, "data"), "found 4 elements; shape [1, 3] holds 3")]
    assert problems({"expect": {"version": "3"}}, Kind.METADATA)[0][0] == ("expect",)
