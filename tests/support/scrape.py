"""Reading an exposition as Prometheus would."""

from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.web import fetch


class Scrape:
    """The samples of one scrape in the text format."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    @classmethod
    def of(cls, url: str) -> "Scrape":
        """Scrape an address. The answer must be a 200 in the text format."""
        answer = fetch(url, headers={"Accept": "text/plain;version=0.0.4"})
        assert answer.status == 200, answer
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), answer.headers
        return cls(answer.body)

    def all(self, name: str, /, **labels: str) -> Iterator[Sample]:
        """Every sample of this name that has these labels, and maybe others."""
        for sample in self.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                yield sample

    def value(self, name: str, /, **labels: str) -> float | None:
        """The one sample of this name and these labels; None when there is none."""
        found = list(self.all(name, **labels))
        assert len(found) < 2, f"{name}{labels} is not one series: {found}"
        return found[0].value if found else None

    def labels(self, name: str, /, **labels: str) -> Mapping[str, str]:
        """The labels of the one series of this name that has these."""
        (found,) = self.all(name, **labels)
        return found.labels

    def state(self, target: str) -> str | None:
        """The state of a target, None when it is not watched. Exactly one of the seven must be 1."""
        states = {sample.labels["state"]: sample.value for sample in self.all("model_probe_state", target=target)}
        if not states:
            return None
        assert len(states) == 7, states
        (state,) = (name for name, value in states.items() if value == 1)
        return state
