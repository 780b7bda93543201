"""Open Inference Protocol over gRPC: against a real gRPC server that says what real model servers were heard to say."""

import pytest

from exporter import protocols
from exporter.model.failure import Reason
from exporter.model.job import Kind, Scope
from exporter.protocols.open_inference_grpc import SERVICE, OpenInferenceGrpc
from exporter.protocols.proto import open_inference_pb2 as pb
from exporter.protocols.tensor_bytes import encode
from exporter.protocols.triton import Triton
from tests.protocols.on_the_wire import ask
from tests.protocols.scripted import build
from tests.support.grpc_fake import GrpcFake

pytestmark = pytest.mark.slow

X = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1.0, 2.0], [3.0, 4.0]]}


def answers(message):
    return lambda call: message.SerializeToString()


def refuses(code, text=""):
    return lambda call: call.refuse(code, text)


def served(**methods):
    """A server with these methods; the rest is UNIMPLEMENTED."""
    return GrpcFake({SERVICE + name: answer for name, answer in methods.items()})


def probe(kind, own=None, *, model="m", **methods):
    async def run():
        with served(**methods) as fake:
            found = await ask(fake.port, "open_inference", kind, own, model=model)
            return found, fake.calls

    return run()


def result(*outputs, raw=(), **fields):
    return pb.ModelInferResponse(model_name="m", outputs=list(outputs), raw_output_contents=raw, **fields)


def output(name="y", datatype="FP32", shape=(1,), **contents):
    return pb.ModelInferResponse.InferOutputTensor(
        name=name, datatype=datatype, shape=shape, contents=pb.InferTensorContents(**contents)
    )


# Which of the two is asked.


@pytest.mark.parametrize(("scheme", "grpc"), [("http", False), ("unix", False), ("grpc", True), ("grpcs", True)])
def test_the_scheme_chooses(scheme, grpc):
    made = build("open_inference", Kind.HEALTH, scheme=scheme)
    assert isinstance(made, OpenInferenceGrpc) is grpc
    assert isinstance(made, protocols.load("open_inference"))
    assert made.scheme == scheme


def test_triton_stays_with_rest():
    assert Triton.schemes == {"http", "https", "unix"}
    assert not isinstance(build("triton", Kind.HEALTH), OpenInferenceGrpc)


# Health and ready.


async def test_live():
    found, calls = await probe("health", ServerLive=answers(pb.ServerLiveResponse(live=True)))
    assert found.failure is None
    assert [call.method for call in calls] == [f"{SERVICE}ServerLive"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answers(pb.ServerLiveResponse()), Reason.NOT_READY),
        (lambda call: b"\xff\xff", Reason.MALFORMED),
        (refuses("UNAVAILABLE"), Reason.HTTP_STATUS),
        (refuses("UNAUTHENTICATED"), Reason.AUTH),
        (refuses("UNIMPLEMENTED"), Reason.HTTP_STATUS),
        (refuses("DEADLINE_EXCEEDED"), Reason.TIMEOUT),
    ],
)
async def test_not_live(answer, reason):
    found, _ = await probe("health", ServerLive=answer)
    assert found.failure.reason is reason


async def test_ready_asks_for_the_model_and_its_version():
    found, calls = await probe("ready", {"version": "3"}, ModelReady=answers(pb.ModelReadyResponse(ready=True)))
    assert found.failure is None
    assert pb.ModelReadyRequest.FromString(calls[0].message) == pb.ModelReadyRequest(name="m", version="3")
    found, _ = await probe("ready", model="", ServerReady=answers(pb.ServerReadyResponse(ready=True)))
    assert found.failure is None
    assert build("open_inference", Kind.READY, scheme="grpc", model="m").scope() is Scope.MODEL
    assert build("open_inference", Kind.READY, scheme="grpc").scope() is Scope.SERVER


NO = answers(pb.ModelReadyResponse())


@pytest.mark.parametrize(
    ("methods", "reason"),
    [
        # Triton: an empty message for a model that loads and for one it never had; its metadata tells them apart.
        ({"ModelReady": NO, "ModelMetadata": refuses("NOT_FOUND", "Request for unknown model: 'm' is not found")},
         Reason.MODEL_NOT_FOUND),
        ({"ModelReady": NO, "ModelMetadata": refuses("NOT_FOUND", "Request for unknown model: 'm' has no available "
                                                     "versions")}, Reason.NOT_READY),
        ({"ModelReady": NO, "ModelMetadata": answers(pb.ModelMetadataResponse(name="m"))}, Reason.NOT_READY),
        ({"ModelReady": NO}, Reason.NOT_READY),
        # MLServer.
        ({"ModelReady": refuses("UNKNOWN", "Unexpected <class 'mlserver.errors.ModelNotFound'>: Model m with version "
                                "not found")}, Reason.MODEL_NOT_FOUND),
        # KServe.
        ({"ModelReady": refuses("NOT_FOUND", "Model with name m does not exist.")}, Reason.MODEL_NOT_FOUND),
        ({"ModelReady": refuses("UNAVAILABLE", "Model m is not ready")}, Reason.NOT_READY),
        ({"ModelReady": refuses("RESOURCE_EXHAUSTED", "too many requests")}, Reason.OVERLOADED),
    ],
)  # fmt: skip
async def test_not_ready(methods, reason):
    found, _ = await probe("ready", **methods)
    assert found.failure.reason is reason, found.failure


async def test_a_server_that_is_not_ready():
    found, calls = await probe("ready", model="", ServerReady=answers(pb.ServerReadyResponse()))
    assert (found.failure.reason, len(calls)) == (Reason.NOT_READY, 1)


# Metadata.

SERVER = answers(pb.ServerMetadataResponse(name="triton", version="2.51.0", extensions=["a"]))
MODEL = answers(pb.ModelMetadataResponse(name="m", versions=["1", "3"], platform="python"))


async def test_metadata():
    found, _ = await probe("metadata", ServerMetadata=SERVER, ModelMetadata=MODEL)
    assert found.failure is None
    assert found.info == {
        "server": "triton", "server_version": "2.51.0", "model_version": "1,3", "platform": "python"
    }  # fmt: skip
    found, _ = await probe("metadata", model="", ServerMetadata=SERVER)
    assert found.info == {"server": "triton", "server_version": "2.51.0"}


async def test_metadata_of_half_a_server():
    found, _ = await probe("metadata", ModelMetadata=MODEL)
    assert (found.failure, found.info) == (None, {"model_version": "1,3", "platform": "python"})
    found, _ = await probe("metadata", ServerMetadata=SERVER, ModelMetadata=refuses("NOT_FOUND", "no m"))
    assert (found.failure.reason, found.info["server"]) == (Reason.MODEL_NOT_FOUND, "triton")
    found, _ = await probe("metadata", model="", ModelMetadata=MODEL)
    assert found.failure.reason is Reason.HTTP_STATUS
    found, _ = await probe("metadata", ServerMetadata=refuses("UNAVAILABLE"), ModelMetadata=MODEL)
    assert found.failure.reason is Reason.HTTP_STATUS


@pytest.mark.parametrize(
    ("expect", "reason"),
    [
        ({"version": "3", "platform": "python"}, None),
        ({"version": "2"}, Reason.EXPECTATION),
        ({"platform": "onnx"}, Reason.EXPECTATION),
    ],
)
async def test_metadata_expected(expect, reason):
    found, _ = await probe("metadata", {"expect": expect}, ServerMetadata=SERVER, ModelMetadata=MODEL)
    assert (found.failure and found.failure.reason) is reason


async def test_a_server_that_lists_no_versions_is_asked_for_the_one():
    def model(call):
        asked = pb.ModelMetadataRequest.FromString(call.message).version
        if asked in ("", "7"):
            return pb.ModelMetadataResponse(name="m").SerializeToString()
        return call.refuse("NOT_FOUND", f"Model m with version {asked} not found")

    for version, reason in (("7", None), ("8", Reason.EXPECTATION)):
        found, _ = await probe("metadata", {"expect": {"version": version}}, ServerMetadata=SERVER, ModelMetadata=model)
        assert (found.failure and found.failure.reason) is reason


# Infer: the request.


async def test_a_request_as_it_is_sent():
    own = {
        "inputs": [X | {"parameters": {"content_type": "np"}},
                   {"name": "t", "shape": [2], "datatype": "BYTES", "data": ["a", "\u00e9"]},
                   {"name": "b", "shape": [2], "datatype": "BOOL", "data": [True, False]}],
        "outputs": ["y"], "id": "7", "version": "3",
        "parameters": {"text": "x", "yes": True, "count": 5, "huge": 2**63, "real": 0.5},
    }  # fmt: skip
    _, calls = await probe("infer", own, ModelInfer=answers(result(output(fp32_contents=[1.0]), id="7")))
    sent = pb.ModelInferRequest.FromString(calls[0].message)
    assert (sent.model_name, sent.model_version, sent.id) == ("m", "3", "7")
    assert [each.name for each in sent.outputs] == ["y"]
    x, t, b = sent.inputs
    assert (x.datatype, list(x.shape), list(x.contents.fp32_contents)) == ("FP32", [2, 2], [1, 2, 3, 4])
    assert x.parameters["content_type"].string_param == "np"
    assert list(t.contents.bytes_contents) == [b"a", "\u00e9".encode()]
    assert list(b.contents.bool_contents) == [True, False]
    assert not sent.raw_input_contents
    assert {name: each.WhichOneof("parameter_choice") for name, each in sent.parameters.items()} == {
        "text": "string_param", "yes": "bool_param", "count": "int64_param", "huge": "uint64_param",
        "real": "double_param",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("datatype", "field"),
    [("INT8", "int_contents"), ("UINT16", "uint_contents"), ("INT64", "int64_contents"), ("UINT64", "uint64_contents"),
     ("FP64", "fp64_contents")],
)  # fmt: skip
async def test_every_datatype_has_its_list(datatype, field):
    own = {"inputs": [{"name": "x", "shape": [2], "datatype": datatype, "data": [1, 2]}]}
    _, calls = await probe("infer", own, ModelInfer=answers(result(output(fp32_contents=[1.0]))))
    (sent,) = pb.ModelInferRequest.FromString(calls[0].message).inputs
    assert list(getattr(sent.contents, field)) == [1, 2]


@pytest.mark.parametrize(("own", "datatype"), [({"raw": True}, "FP32"), ({}, "FP16"), ({}, "BF16")])
async def test_raw_contents(own, datatype):
    """FP16 and BF16 have no list of their own."""
    inputs = [X | {"datatype": datatype}, {"name": "t", "shape": [1], "datatype": "BYTES", "data": ["hi"]}]
    _, calls = await probe("infer", {"inputs": inputs} | own, ModelInfer=answers(result(output(fp32_contents=[1.0]))))
    sent = pb.ModelInferRequest.FromString(calls[0].message)
    assert list(sent.raw_input_contents) == [encode(datatype, [1.0, 2.0, 3.0, 4.0]), b"\2\0\0\0hi"]
    assert not any(each.HasField("contents") for each in sent.inputs)


# Infer: the answer.

Y = {"name": "y", "data": [[1.5], [2.5]], "shape": [2, 1], "datatype": "FP32", "tolerance": 0.001}


@pytest.mark.parametrize(
    "answer",
    [
        result(output(shape=(2, 1), fp32_contents=[1.5, 2.5])),
        result(output(shape=(2, 1)), raw=[encode("FP32", [1.5, 2.5])]),
        result(output(name="z", datatype="BYTES", shape=(1,)), output(shape=(2, 1)),
               raw=[encode("BYTES", ["a"]), encode("FP32", [1.5004, 2.5])]),
    ],
    ids=["typed", "raw", "two-raw"],
)  # fmt: skip
async def test_answers_typed_and_raw(answer):
    found, _ = await probe("infer", {"inputs": [X], "expect": {"outputs": [Y]}}, ModelInfer=answers(answer))
    assert found.failure is None, found.failure


@pytest.mark.parametrize(
    ("datatype", "elements", "field"),
    [
        ("BOOL", [True, False], "bool_contents"), ("INT8", [-1, 2], "int_contents"),
        ("UINT32", [1, 2], "uint_contents"), ("INT64", [-(2**63), 1], "int64_contents"),
        ("UINT64", [2**64 - 1, 1], "uint64_contents"), ("FP64", [0.1, 0.2], "fp64_contents"),
        ("BYTES", ["a", "\u00e9"], "bytes_contents"), ("FP16", [1.5, -2.0], None), ("BF16", [1.5, -2.0], None),
    ],
)  # fmt: skip
async def test_every_datatype_comes_back(datatype, elements, field):
    wanted = {"outputs": [{"name": "y", "data": elements, "datatype": datatype}]}
    kinds = [result(output(datatype=datatype, shape=(2,)), raw=[encode(datatype, elements)])]
    if field is not None:
        sent = [each.encode() for each in elements] if datatype == "BYTES" else elements
        kinds.append(result(output(datatype=datatype, shape=(2,), **{field: sent})))
    for answer in kinds:
        found, _ = await probe("infer", {"inputs": [X], "expect": wanted}, ModelInfer=answers(answer))
        assert found.failure is None, found.failure
        wrong = {"outputs": [{"name": "y", "data": list(reversed(elements))}]}
        found, _ = await probe("infer", {"inputs": [X], "expect": wrong}, ModelInfer=answers(answer))
        assert found.failure.reason is Reason.EXPECTATION


@pytest.mark.parametrize(
    ("answer", "own", "reason"),
    [
        (answers(result()), {}, Reason.EMPTY),
        (answers(result(output(), output(), raw=[b"1234"])), {}, Reason.MALFORMED),
        (answers(result(output(), raw=[b"12345"])), {}, Reason.MALFORMED),
        (answers(result(output(fp32_contents=[1.0]), id="8")), {"id": "7"}, Reason.MALFORMED),
        (lambda call: b"<html>", {}, Reason.MALFORMED),
        (answers(result(output(datatype="TF_VARIANT"))), {"expect": {"outputs": [{"name": "y", "data": [1]}]}},
         Reason.EXPECTATION),
        (answers(result(output(fp32_contents=[1.0]))), {"expect": {"outputs": [{"name": "z"}]}}, Reason.EXPECTATION),
        (answers(result(output(fp32_contents=[1.0]))), {"expect": {"json": "model_name == 'n'"}}, Reason.EXPECTATION),
        (refuses("INVALID_ARGUMENT", "unexpected shape"), {}, Reason.HTTP_STATUS),
        (refuses("NOT_FOUND", "unknown"), {}, Reason.MODEL_NOT_FOUND),
        (refuses("UNAVAILABLE", "Exceeds maximum queue size"), {}, Reason.OVERLOADED),
        (refuses("UNIMPLEMENTED", "decoupled"), {}, Reason.HTTP_STATUS),
    ],
)  # fmt: skip
async def test_answers_that_are_not_well(answer, own, reason):
    found, _ = await probe("infer", {"inputs": [X]} | own, ModelInfer=answer)
    assert found.failure.reason is reason, found.failure


@pytest.mark.parametrize(
    "answer",
    [
        result(output(fp32_contents=[float("nan")])),
        result(output(), raw=[encode("FP32", [float("nan")])]),
        result(output(datatype="BF16"), raw=[encode("BF16", [float("nan")])]),
    ],
)
async def test_nan_that_json_could_not_say(answer):
    own = {"inputs": [X]}
    found, _ = await probe("infer", own, ModelInfer=answers(answer))
    assert found.failure.reason is Reason.EXPECTATION
    assert found.failure.detail == "output y: garbage: element 0 is NaN"
    found, _ = await probe("infer", own | {"expect": {"allow_garbage": True}}, ModelInfer=answers(answer))
    assert found.failure is None


async def test_what_an_answer_shows():
    told = result(output(fp32_contents=[1.0]), model_version="3")
    told.parameters["took"].double_param = 0.5
    own = {"inputs": [X], "expect": {"json": {"path": "parameters.took", "equals": 0.5}}}
    found, _ = await probe("infer", own, ModelInfer=answers(told))
    assert (found.failure, found.info) == (None, {"model_version": "3"})


# What else it offers.


async def test_catalogue():
    index = pb.RepositoryIndexResponse()
    for name, state, reason in (("a", "READY", ""), ("b", "UNAVAILABLE", "unloaded"), ("c", "UNAVAILABLE", "broken")):
        index.models.add(name=name, version="1", state=state, reason=reason)
    found, _ = await probe("catalogue", model="", RepositoryIndex=answers(index))
    assert found.models == ("a", "c")
    found, _ = await probe("catalogue", model="")
    assert found.failure.reason is Reason.HTTP_STATUS


async def test_propose():
    model = pb.ModelMetadataResponse(name="m")
    model.inputs.add(name="x", datatype="FP32", shape=[-1, 4])
    found, _ = await probe("propose", ModelMetadata=answers(model))
    assert found.proposal.kind == "infer"
    assert found.proposal.settings["inputs"] == [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.0] * 4}]
    found, calls = await probe("propose", model="")
    assert (found.proposal, calls) == (None, [])


# Settings.


@pytest.mark.parametrize(
    ("own", "place"),
    [
        ({"body": {}}, ("body",)),
        ({"inputs": [X], "path": "/x"}, ("path",)),
        ({"inputs": [X | {"datatype": "INT8"}]}, ("inputs", 0, "data")),
        ({"inputs": [X | {"data": [1, 2, 3]}]}, ("inputs", 0, "data")),
        ({"inputs": [X | {"parameters": {"a": [1]}}]}, ("inputs", 0, "parameters", "a")),
        ({"inputs": [X], "parameters": {"a": None}}, ("parameters", "a")),
        ({"inputs": [X], "parameters": {"a": 2**64}}, ("parameters", "a")),
    ],
)
def test_settings_that_grpc_cannot_send(own, place):
    found = build("open_inference", Kind.INFER, own, model="m", scheme="grpc").problems(Kind.INFER)
    assert place in [path for path, _ in found]
    assert all(message for _, message in found)


def test_settings_that_it_can_send():
    own = {"inputs": [X], "raw": True, "parameters": {"a": 1}, "id": "7"}
    assert build("open_inference", Kind.INFER, own, model="m", scheme="grpc").problems(Kind.INFER) == []


def test_raw_is_for_grpc_alone():
    found = build("open_inference", Kind.INFER, {"inputs": [X], "raw": True}, model="m").problems(Kind.INFER)
    assert [path for path, _ in found] == [("raw",)]
