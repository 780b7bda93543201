"""TorchServe with a classifier, and with a model that streams; both ports, without keys."""

from collections.abc import Mapping
from typing import Any

from exporter.model.failure import Reason
from tests.real.conformance.running import run
from tests.real.conformance.servers.mlserver import ROWS
from tests.real.conformance.spec import NOT_LISTENING, Place, Spec
from tests.real.fleet import SERVERS

_PROPERTIES = """\
inference_address=http://127.0.0.1:{}
management_address=http://127.0.0.1:{}
metrics_address=http://127.0.0.1:{}
grpc_inference_port={}
grpc_management_port={}
default_workers_per_model=1
job_queue_size=2
"""


def prepare(place: Place) -> None:
    run(place, place.python, SERVERS / "torchserve_model.py", place.folder / "store")
    ports = (place.port, *(place.other() for _ in range(4)))
    (place.folder / "config.properties").write_text(_PROPERTIES.format(*ports))


def target(place: Place) -> Mapping[str, Any]:
    lines = (place.folder / "config.properties").read_text().splitlines()
    return {"management": next(line.partition("=")[2] for line in lines if line.startswith("management_address"))}


def env(place: Place) -> Mapping[str, str]:
    logs = str(place.folder / "logs")
    switch = str(place.folder / "switch")
    return {"LOG_LOCATION": logs, "METRICS_LOCATION": logs, "PYTHONDONTWRITEBYTECODE": "1", "SWITCH": switch}


def command(place: Place) -> tuple[str, ...]:
    return (
        str(place.bin / "torchserve"), "--foreground", "--no-config-snapshots", "--disable-token-auth",
        "--model-store", "store", "--models", "iris=iris.mar", "words=words.mar", "--ts-config", "config.properties",
    )  # fmt: skip


SPECS = (
    Spec(
        name="torchserve",
        venv="torchstack",
        prepare=prepare,
        command=command,
        env=env,
        found="torchserve",
        protocol="torchserve",
        server="torchserve",
        default=("health", "ready", "metadata"),
        model="iris",
        target=target,
        canaries=(
            ("infer", {"body": {"rows": ROWS}, "expect": {"json": {"path": "classes", "equals": [0, 2]}}}),
            ("stream", {"path": "/predictions/words", "body": {}, "expect": {"equals": "OK, all is well."}}),
        ),
        unknown=("ready", Reason.MODEL_NOT_FOUND),
        # A handler that raises is 503.
        bad={"body": {"rows": [[1.0]]}},
        starting="ready",
        # Its workers start one after the other once both ports listen; a model is there a little later than they are.
        # The first answers of a fresh JVM may take more than a second where the machine is busy.
        loading=NOT_LISTENING | {Reason.NOT_READY, Reason.MODEL_NOT_FOUND, Reason.TIMEOUT},
        shows=frozenset({Reason.NOT_READY}),
        info=("server", "server_version", "model_version", "platform"),
    ),
)
