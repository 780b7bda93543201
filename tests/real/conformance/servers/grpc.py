"""The same servers over gRPC: the Open Inference Protocol, and the health service where there is one."""

import json
from collections.abc import Mapping
from pathlib import Path

from exporter.model.failure import Reason
from tests.real.conformance.running import run
from tests.real.conformance.servers import kserve, mlserver, triton
from tests.real.conformance.spec import NOT_LISTENING, Place, Spec
from tests.real.fleet import SERVERS

#: The canary, its elements in typed lists and as bytes.
IRIS = ("infer", {"inputs": mlserver.INPUTS, "expect": mlserver.EXPECT})
RAW = {"raw": True}


def mlserver_prepare(place: Place) -> None:
    run(place, place.python, SERVERS / "make_model.py", "mlserver", place.folder / "model")
    ports = {"http_port": place.other(), "grpc_port": place.port, "metrics_port": place.other()}
    settings = {"host": "127.0.0.1", "parallel_workers": 0, "metrics_dir": str(place.folder), **ports}
    (place.folder / "model" / "settings.json").write_text(json.dumps(settings))


def kserve_command(place: Place) -> tuple[str, ...]:
    ports = ("--http_port", str(place.other()), "--grpc_port", str(place.port))
    return (str(place.python), str(SERVERS / "kserve_iris.py"), *ports)


def triton_command(place: Place) -> tuple[str | Path, ...]:
    swapped = {f"--http-port={place.port}": f"--http-port={place.other()}"}
    command = [swapped.get(str(part), part) for part in triton.command(place) if "--grpc-port" not in str(part)]
    return (*command, f"--grpc-port={place.port}")


def with_raw(canary: tuple[str, Mapping[str, object]]) -> tuple[tuple[str, Mapping[str, object]], ...]:
    """A canary, and the same with its elements as bytes."""
    kind, settings = canary
    return (canary, (kind, {**settings, **RAW}))


SPECS = (
    Spec(
        name="mlserver_grpc",
        venv="mlserver",
        prepare=mlserver_prepare,
        command=lambda place: (place.bin / "mlserver", "start", place.folder / "model"),
        scheme="grpc",
        found="open_inference",
        protocol="open_inference",
        server="mlserver",
        default=("health", "ready", "metadata"),
        model="iris",
        canaries=with_raw(IRIS),
        unknown=("ready", Reason.MODEL_NOT_FOUND),
        bad={"inputs": [{"name": "x", "shape": [1, 1], "datatype": "BYTES", "data": ["text"]}]},
        starting="ready",
        # It takes the port before it serves: connections are accepted, and nobody speaks HTTP/2.
        loading=NOT_LISTENING | {Reason.NOT_READY, Reason.MODEL_NOT_FOUND, Reason.TIMEOUT},
        info=("server", "server_version"),
    ),
    Spec(
        name="kserve_grpc",
        venv="kserve",
        command=kserve_command,
        env=kserve.env,
        scheme="grpc",
        found="open_inference",
        protocol="open_inference",
        server="kserve",
        default=("health", "ready", "metadata"),
        model="iris",
        canaries=with_raw(("infer", triton.IRIS)),
        unknown=("ready", Reason.MODEL_NOT_FOUND),
        bad=triton.BAD,
        starting="ready",
        info=("server", "server_version"),
    ),
    Spec(
        name="triton_grpc",
        venv="pytriton",
        prepare=triton.prepare,
        command=triton_command,
        env=triton.env,
        scheme="grpc",
        found="open_inference",
        protocol="open_inference",
        server="triton",
        default=("health", "ready", "metadata"),
        model="iris",
        canaries=with_raw(("infer", triton.IRIS)),
        unknown=("ready", Reason.MODEL_NOT_FOUND),
        bad=triton.BAD,
        starting="ready",
        info=("server", "server_version", "model_version", "platform"),
    ),
    Spec(
        name="triton_grpc_health",
        venv="pytriton",
        prepare=triton.prepare,
        command=triton_command,
        env=triton.env,
        scheme="grpc",
        found=None,
        protocol="grpc_health",
        default=("health", "ready"),
        model="iris",
        canaries=(("ready", {}),),
        # It answers any name with the state of the whole server.
        unknown=None,
        bad=None,
    ),
)
