"""A Ray Serve application below /flowers."""

from exporter.model.failure import Reason
from tests.real.conformance.servers.mlserver import ROWS
from tests.real.conformance.spec import NOT_LISTENING, Spec
from tests.real.fleet import SERVERS

SAID = "OK, all is well."

SPECS = (
    Spec(
        name="ray",
        venv="ray",
        command=lambda place: (place.python, SERVERS / "ray_app.py", str(place.port)),
        env=lambda place: {
            "HOME": str(place.folder),
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "SWITCH": str(place.folder / "switch"),
            "LOADING": "1",
        },
        path="/flowers",
        found="ray_serve",
        protocol="ray_serve",
        server="ray_serve",
        default=("health", "ready"),
        canaries=(
            ("infer", {"body": {"rows": ROWS}, "expect": {"json": {"path": "classes", "equals": [0, 2]}}}),
            ("stream", {"path": "/words", "body": {}, "expect": {"equals": SAID}}),
        ),
        unknown=None,
        # Its answer to wrong input is 500.
        bad={"body": {"rows": "text"}},
        starting="ready",
        loading=NOT_LISTENING | {Reason.NOT_READY},
        shows=frozenset({Reason.NOT_READY}),
        patience=300,
    ),
)
