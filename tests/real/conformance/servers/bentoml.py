"""A BentoML service with a classifier and a stream of words."""

from exporter.model.failure import Reason
from tests.real.conformance.servers.mlserver import ROWS
from tests.real.conformance.spec import NOT_LISTENING, Spec
from tests.real.fleet import SERVERS

CALL = {"path": "/predict", "body": {"rows": ROWS}}
SAID = "OK, all is well."

SPECS = (
    Spec(
        name="bentoml",
        venv="bentoml",
        command=lambda place: (
            *(place.bin / "bentoml", "serve", "bento_service:Flowers", "--working-dir", SERVERS),
            *("--host", "127.0.0.1", "--port", str(place.port)),
        ),
        env=lambda place: {
            "BENTOML_HOME": str(place.folder / "home"),
            "BENTOML_DO_NOT_TRACK": "True",
            "SWITCH": str(place.folder / "switch"),
            "LOADING": "2",
        },
        found="bentoml",
        protocol="bentoml",
        server="bentoml",
        default=("health", "ready", "metadata"),
        canaries=(
            ("infer", {**CALL, "expect": {"json": {"path": "@", "equals": [0, 2]}}}),
            ("stream", {"path": "/words", "body": {}, "expect": {"equals": SAID}}),
        ),
        unknown=None,
        bad={"path": "/predict", "body": {"rows": "text"}},
        starting="ready",
        # It accepts connections before it can answer.
        loading=NOT_LISTENING | {Reason.TIMEOUT, Reason.NOT_READY},
        shows=frozenset({Reason.TIMEOUT}),
        info=("server", "model_id"),
    ),
)
