"""Metrics of targets that are several servers, seen together. They are written anew for each scrape: there are few."""

from exporter.ledger import Dirty, Replicas
from exporter.metrics.blocks import ENCODINGS, TEXT, Encoding
from exporter.metrics.family import Family, Rows, closed, value
from exporter.metrics.text import Type
from exporter.model.state import State


def _counts(group: Replicas) -> list[int]:
    found = group.states()
    return [found[state] for state in State]


REPLICA_FAMILIES: tuple[Family, ...] = (
    Family(
        name="model_probe_replicas", type=Type.GAUGE, group=Dirty.CHANGE, rows=Rows.REPLICAS, labels=("state",),
        series=len(State),
        help="Replicas of a target by the state they are in, 0 included. Which one differs: model_probe_state by "
        "address, the status page, /api/v1/targets/NAME.",
        shape=closed(State, _counts),
    ),
    Family(
        name="model_probe_versions", type=Type.GAUGE, group=Dirty.CHANGE, rows=Rows.REPLICAS,
        help="Different versions of the model among the replicas of a target that answer, as they tell them in "
        "model_probe_info; absent while none is known. Above 1 for long: a rollout that did not reach all.",
        shape=value(lambda group: len(group.versions()) or None),
    ),
)  # fmt: skip

_FILLERS = [encoding.filler(REPLICA_FAMILIES) for encoding in ENCODINGS]


def render(group: Replicas, encoding: Encoding = TEXT) -> tuple[tuple[bytes, ...], int]:
    """A block per family, and how many samples these have. Replicas differ in their addresses alone, so the labels are
    those of any of them.
    """
    target = next(iter(group.members.values())).target
    labels = encoding.pairs((("target", group.name), ("model", target.model), *target.labels.items()))
    return _FILLERS[encoding.number].fill(labels, group)
