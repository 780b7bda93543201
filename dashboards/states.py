"""States as numbers with a colour: worse is greater, so that the greatest of several is the one to know of."""

from dashboards.board import Names, Q, Variable
from exporter.model.state import State

_COLORS = {
    State.HEALTHY: "green",
    State.UNKNOWN: "text",
    State.LOADING: "blue",
    State.SATURATED: "orange",
    State.UNHEALTHY: "red",
    State.ZOMBIE: "purple",
    State.ERROR: "dark-red",
}

STATES: Names = {code: (str(state), color) for code, (state, color) in enumerate(_COLORS.items(), 1)}
#: The same for series that have the state as their legend.
STATE_COLORS = dict(STATES.values())

YES: Names = {1: ("yes", "green"), 0: ("no", "orange")}


def state(by: str, legend: str = "{{target}} {{address}}") -> Q:
    """The state by these labels, as a number of STATES."""
    parts = [f'model_probe_state{{*, state="{name}"}} * {code}' for code, (name, _) in STATES.items()]
    return Q(f"max by ({by}) (\n  " + "\n  or ".join(parts) + "\n)", legend)


MODEL = Variable("model", "Model", 'label_values(model_probe_state{job=~"$job"}, model)', ".*")
TARGETS = Variable("target", "Target", 'label_values(model_probe_state{job=~"$job", model=~"$model"}, target)')


def quantiles(
    histogram: str, by: str, legend: str, shares: tuple[float, ...] = (0.5, 0.95), *, of: str = "{*}"
) -> tuple[Q, ...]:
    """Estimates of these shares from a histogram's buckets, by these labels."""
    labels = ", ".join(label for label in ("le", by) if label)
    rates = f"sum by ({labels}) (rate({histogram}_bucket{of}[$__rate_interval]))"
    return tuple(Q(f"histogram_quantile({share}, {rates})", f"p{share * 100:g} {legend}".strip()) for share in shares)


def buckets(histogram: str, *, of: str = "{*}") -> Q:
    """What fell into each bucket, for a heat map."""
    return Q(f"sum by (le) (increase({histogram}_bucket{of}[$__rate_interval]))")
