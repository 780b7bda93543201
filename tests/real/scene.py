"""What the tests watch: the servers, the exporter's config, and the names they share."""

from dataclasses import dataclass
from typing import Any

from tests.real.fleet import Fleet
from tests.real.prometheus import Prometheus
from tests.support.daemon import Daemon

#: Of every cheap probe and canary below, seconds.
INTERVAL = TIMEOUT = 2.0
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
CLASSES = [0, 2]


def config(fleet: Fleet) -> dict[str, Any]:
    """Each server as its users would watch it, and one target whose expectation is wrong on purpose."""
    tensor = {"name": "x", "shape": [2, 4], "datatype": "FP32", "data": ROWS}
    often = {"interval": f"{INTERVAL:g}s"}

    def iris(classes: list[int]) -> dict[str, Any]:
        expect = {"outputs": [{"name": "predict", "data": classes, "tolerance": 0.001}]}
        return {
            "url": fleet.mlserver.url,
            "protocol": "open_inference",
            "model": "iris",
            "probes": {"health": {}, "ready": {}, "metadata": often, "infer": {"inputs": [tensor], "expect": expect}},
        }

    body = {"inputs": ROWS}
    predicted = {"json": {"path": "predictions", "equals": CLASSES}}
    said = {"prompt": "Say OK.", "expect": {"regex": r"^OK, all is well\.$"}}
    return {
        "defaults": {"interval": f"{INTERVAL:g}s", "timeout": f"{TIMEOUT:g}s"},
        "targets": [
            {"name": "iris", **iris(CLASSES), "labels": {"team": "flowers"}},
            {"name": "iris-wrong", **iris([1, 1])},
            {
                "name": "flowers",
                "url": fleet.mlflow.url,
                "protocol": "mlflow",
                "probes": {"health": {}, "metadata": often, "infer": {"body": body, "expect": predicted}},
            },
            {
                "name": "assistant",
                "url": fleet.litserve.url,
                "protocol": "openai",
                "model": "words",
                "probes": {"stream": said},
            },
            {"name": "assistant-alive", "url": fleet.litserve.url, "protocol": "http", "probes": {"health": {}}},
        ],
    }


#: The targets that are well while nobody does anything to their servers.
WELL = ("iris", "flowers", "assistant", "assistant-alive")


@dataclass
class Scene:
    """Everything at work together."""

    fleet: Fleet
    exporter: Daemon
    prometheus: Prometheus
