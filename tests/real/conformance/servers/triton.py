"""Triton with models of its Python backend, and PyTriton; both of the server that nvidia-pytriton ships."""

from collections.abc import Mapping
from pathlib import Path

from exporter.model.failure import Reason
from exporter.model.observation import Observation, Part
from tests.real.conformance.running import run
from tests.real.conformance.servers.mlserver import INPUTS
from tests.real.conformance.spec import NOT_LISTENING, Place, Spec
from tests.real.fleet import SERVERS

IRIS = {"inputs": INPUTS, "expect": {"outputs": [{"name": "class", "data": [0, 2]}]}}
BAD = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1.0]}]}
WORDS = {"expect": {"equals": "OK, all is well."}}
TEXT = [{"name": "text_input", "shape": [1], "datatype": "BYTES", "data": ["Say OK."]}]
SAID = {"outputs": [{"name": "text_output", "data": ["OK", ",", " all", " is", " well", "."]}]}


def prepare(place: Place) -> None:
    run(place, place.python, SERVERS / "triton_repository.py", place.folder / "triton")


def command(place: Place) -> tuple[str | Path, ...]:
    (server,) = place.bin.parent.glob("lib/python*/site-packages/pytriton/tritonserver/bin/tritonserver")
    return (
        server, "--model-repository=triton/models", "--backend-directory=triton/backends",
        "--model-control-mode=explicit", "--load-model=iris", "--load-model=words", "--allow-metrics=false",
        "--http-address=127.0.0.1", f"--http-port={place.port}",
        "--grpc-address=127.0.0.1", f"--grpc-port={place.other()}",
    )  # fmt: skip


def pytriton(place: Place) -> tuple[str | Path, ...]:
    ports = (place.port, place.other(), place.other())
    return (place.python, SERVERS / "pytriton_iris.py", *map(str, ports))


def env(place: Place) -> Mapping[str, str]:
    return {"PYTHONDONTWRITEBYTECODE": "1", "SWITCH": str(place.folder / "switch")}


def accounted(observation: Observation) -> None:
    """Its statistics may come a moment after its answer; what they tell is of both parts."""
    told = observation.server_seconds
    assert set(told) in ({Part.QUEUE, Part.COMPUTE}, set())
    assert all(0 <= took < 60 for took in told.values())


SPECS = (
    Spec(
        name="triton",
        venv="pytriton",
        prepare=prepare,
        command=command,
        env=env,
        found="triton",
        protocol="triton",
        server="triton",
        default=("health", "ready", "metadata"),
        model="iris",
        canaries=(("infer", IRIS),),
        seen=accounted,
        unknown=("ready", Reason.MODEL_NOT_FOUND),
        bad=BAD,
        starting="ready",
        # Models that are loaded at the start are loaded before it listens.
        info=("server", "server_version", "model_version", "platform"),
    ),
    Spec(
        name="triton_generate",
        venv="pytriton",
        prepare=prepare,
        command=command,
        env=env,
        found="triton",
        protocol="triton",
        server="triton",
        default=("health", "ready", "metadata"),
        model="words",
        # The second finds out that the model is decoupled, and asks otherwise.
        canaries=(("stream", WORDS), ("infer", {"inputs": TEXT, "expect": SAID})),
        unknown=("stream", Reason.MODEL_NOT_FOUND),
        bad={"body": {"text": "a key that is no input"}},
        starting="ready",
        info=("server", "server_version", "model_version", "platform"),
    ),
    Spec(
        name="pytriton",
        venv="pytriton",
        command=pytriton,
        env=env,
        found="triton",
        protocol="triton",
        server="pytriton",
        default=("health", "ready", "metadata"),
        model="iris",
        canaries=(("infer", IRIS),),
        unknown=("ready", Reason.MODEL_NOT_FOUND),
        bad=BAD,
        starting="ready",
        # Until the model is bound, it is unknown to the server.
        loading=NOT_LISTENING | {Reason.NOT_READY, Reason.MODEL_NOT_FOUND},
        info=("server", "server_version", "model_version", "platform"),
    ),
)
