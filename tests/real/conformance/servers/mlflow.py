"""MLflow's scoring server with the iris classifier."""

from tests.real.conformance.running import run
from tests.real.conformance.servers.mlserver import ROWS
from tests.real.conformance.spec import Place, Spec
from tests.real.fleet import SERVERS

EXPECT = {"predictions": [0, 2]}


def prepare(place: Place) -> None:
    run(place, place.python, SERVERS / "make_model.py", "mlflow", place.folder / "model")


SPECS = (
    Spec(
        name="mlflow",
        venv="mlflow",
        prepare=prepare,
        command=lambda place: (
            *(place.bin / "mlflow", "models", "serve", "--model-uri", "model", "--env-manager", "local"),
            *("--host", "127.0.0.1", "--port", str(place.port)),
        ),
        found="mlflow",
        protocol="mlflow",
        server="mlflow",
        default=("health", "metadata"),
        canaries=(("infer", {"inputs": ROWS, "expect": EXPECT}),),
        unknown=None,
        bad={"inputs": [["text"]]},
        info=("server", "server_version"),
    ),
)
