"""The exporter as a process, and real servers as its targets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.real.conformance.running import Running
from tests.support.daemon import Daemon
from tests.support.scrape import Scrape

#: Of every probe but metadata, seconds.
INTERVAL, TIMEOUT = 1, 3
#: What two busy cores may add to what is promised, a look at /metrics included.
PATIENCE = 2.0
#: A change that the cheap probes see; and one that only a canary sees, which is confirmed once.
CHEAP = INTERVAL + TIMEOUT + PATIENCE
CANARY = INTERVAL + 2 * TIMEOUT + INTERVAL + PATIENCE
#: A first answer, of servers that have just started.
FIRST = 20.0
#: What /ready/{target} answers in each state.
READY = {"healthy": 200, "saturated": 200, "unhealthy": 200, "loading": 503, "zombie": 503, "error": 503}


def target(server: Running, name: str = "t", *, canary: str | None = None, **more: Any) -> dict[str, Any]:
    """A server as its users watch it: its default probes and a canary, of this kind or the first; `more` keys."""
    spec = server.spec
    kind, settings = next(each for each in spec.canaries if canary in (None, each[0]))
    probes: dict[str, Any] = {**{each: {} for each in spec.default}, kind: dict(settings)}
    found = {"name": name, "url": server.url, "protocol": spec.protocol, "probes": probes, **spec.target(server.place)}
    if spec.model:
        found["model"] = spec.model
    return found | more


class Scene:
    """The exporter at work."""

    def __init__(self, folder: Path, targets: Sequence[Mapping[str, Any]]) -> None:
        defaults = {"interval": f"{INTERVAL}s", "timeout": f"{TIMEOUT}s"}
        self.exporter = Daemon(folder, {"defaults": defaults, "targets": list(targets)})

    def becomes(self, state: str, name: str = "t", *, within: float) -> Scrape:
        """Wait for a target's state, and look at it as kubelet and Prometheus do."""
        scrape = self.exporter.until_state(name, state, within=within)
        assert scrape.value("model_probe_up", target=name) == (state == "healthy")
        assert self.exporter.get(f"/ready/{name}").status == READY[state]
        return scrape

    def states(self, name: str = "t") -> list[str]:
        """Every state it had so far, by the exporter's log."""
        return [event["to"] for event in self.changes(name)]

    def reason(self, name: str = "t") -> str:
        """The reason of its present state."""
        return str(self.changes(name)[-1]["reason"])

    def changes(self, name: str) -> list[dict[str, Any]]:
        """The lines of the log that tell a change of its state."""
        return [event for event in self.exporter.events() if event.get("target") == name and "to" in event]

    def failures(self, name: str = "t") -> Mapping[str, float]:
        """How many runs of a target failed, by reason."""
        found = self.exporter.scrape().all("model_probe_failures_total", target=name)
        return {sample.labels["reason"]: sample.value for sample in found if sample.value}
