"""The Grafana dashboards of deploy/dashboards, built in Python: `python -m dashboards` writes them.

Each file beside this one is a dashboard, `board` is what they have in common. The builders are those of Grafana's
foundation SDK, for the schema of Grafana 11.6, which newer ones read.
"""

from collections.abc import Callable, Mapping

from dashboards import fleet, internals, model, streams, training
from dashboards.board import Board

#: File name without its ending -> what builds the dashboard.
DASHBOARDS: Mapping[str, Callable[[], Board]] = {
    "fleet": fleet.build,
    "model": model.build,
    "streams": streams.build,
    "training": training.build,
    "internals": internals.build,
}
