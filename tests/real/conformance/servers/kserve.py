"""KServe's python server with a classifier: protocol V1, and V2 over REST on the same port."""

from collections.abc import Mapping

from exporter.model.failure import Reason
from tests.real.conformance.servers.mlserver import INPUTS, ROWS
from tests.real.conformance.spec import Place, Spec
from tests.real.fleet import SERVERS


def command(place: Place) -> tuple[str, ...]:
    ports = ("--http_port", str(place.port), "--grpc_port", str(place.other()))
    return (str(place.python), str(SERVERS / "kserve_iris.py"), *ports)


def env(place: Place) -> Mapping[str, str]:
    return {"SWITCH": str(place.folder / "switch")}


SPECS = (
    Spec(
        name="kserve_v1",
        venv="kserve",
        command=command,
        env=env,
        found=None,
        protocol="kserve_v1",
        default=("health", "ready", "metadata"),
        model="iris",
        canaries=(("infer", {"instances": ROWS, "expect": {"predictions": [0, 2]}}),),
        unknown=("ready", Reason.MODEL_NOT_FOUND),
        # What the model's own code raises is 500.
        bad={"instances": [[1.0]]},
        starting="ready",
        info=("server", "server_version"),
    ),
    Spec(
        name="kserve_v2",
        venv="kserve",
        command=command,
        env=env,
        found="open_inference",
        protocol="open_inference",
        server="kserve",
        default=("health", "ready", "metadata"),
        model="iris",
        canaries=(("infer", {"inputs": INPUTS, "expect": {"outputs": [{"name": "class", "data": [0, 2]}]}}),),
        unknown=("ready", Reason.MODEL_NOT_FOUND),
        bad={"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1.0]}]},
        starting="ready",
        info=("server", "server_version"),
    ),
)
