"""LitServe: with APIs of its author's own, and with the OpenAI API."""

from exporter.model.failure import Reason
from tests.real.conformance.servers.mlserver import ROWS
from tests.real.conformance.spec import NOT_LISTENING, Spec
from tests.real.fleet import SERVERS

SAID = r'^({"word": ".*"}\n){6}$'

SPECS = (
    Spec(
        name="litserve",
        venv="litserve",
        command=lambda place: (place.python, SERVERS / "lit_flowers.py", str(place.port)),
        env=lambda place: {"SWITCH": str(place.folder / "switch"), "LOADING": "2"},
        found="litserve",
        protocol="litserve",
        server="litserve",
        default=("health", "metadata"),
        canaries=(
            ("infer", {"body": {"rows": ROWS}, "expect": {"json": {"path": "classes", "equals": [0, 2]}}}),
            ("stream", {"path": "/words", "body": {}, "expect": {"regex": SAID}}),
        ),
        unknown=None,
        # Its answer to wrong input is 500.
        bad={"body": {"rows": "text"}},
        # It listens once the first of its workers is set up, and is not ready until all are.
        loading=NOT_LISTENING | {Reason.NOT_READY},
        shows=frozenset({Reason.NOT_READY}),
        info=("server", "model_id", "model_version"),
    ),
    Spec(
        name="litserve-openai",
        venv="litserve",
        command=lambda place: (place.python, SERVERS / "chat.py", str(place.port), "0.02"),
        found="openai",
        protocol="openai",
        server="litserve",
        default=("health", "metadata"),
        canaries=(
            ("stream", {"expect": {"equals": "OK, all is well."}}),
            ("infer", {"expect": {"equals": "OK, all is well."}}),
        ),
        unknown=None,
        bad={"body": {"messages": "text", "stream": True}},
        info=("server",),
    ),
)
