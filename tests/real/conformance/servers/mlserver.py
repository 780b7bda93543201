"""MLServer with the iris classifier, over REST."""

import json

from exporter.model.failure import Reason
from tests.real.conformance.running import run
from tests.real.conformance.spec import NOT_LISTENING, Place, Spec
from tests.real.fleet import SERVERS

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
INPUTS = [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": ROWS}]
EXPECT = {"outputs": [{"name": "predict", "data": [0, 2], "shape": [2, 1], "tolerance": 0.001}]}


def prepare(place: Place) -> None:
    run(place, place.python, SERVERS / "make_model.py", "mlserver", place.folder / "model")
    ports = {"http_port": place.port, "grpc_port": place.other(), "metrics_port": place.other()}
    settings = {"host": "127.0.0.1", "parallel_workers": 0, "metrics_dir": str(place.folder), **ports}
    (place.folder / "model" / "settings.json").write_text(json.dumps(settings))


SPECS = (
    Spec(
        name="mlserver",
        venv="mlserver",
        prepare=prepare,
        command=lambda place: (place.bin / "mlserver", "start", place.folder / "model"),
        found="open_inference",
        protocol="open_inference",
        server="mlserver",
        default=("health", "ready", "metadata"),
        model="iris",
        canaries=(("infer", {"inputs": INPUTS, "expect": EXPECT}),),
        unknown=("ready", Reason.MODEL_NOT_FOUND),
        # Its answer to wrong input is 500 and a traceback.
        bad={"inputs": [{"name": "x", "shape": [1, 1], "datatype": "BYTES", "data": ["text"]}]},
        starting="ready",
        loading=NOT_LISTENING | {Reason.NOT_READY, Reason.MODEL_NOT_FOUND},
        info=("server", "server_version"),
    ),
)
