"""How late the exporter says it was: its own histograms of starts and of turns of its loop, between two scrapes."""

from dataclasses import dataclass, field

from tests.support.scrape import Scrape

#: What of a hundred may be late by at most, and what all of them: seconds.
MOST_OF_THEM, ALL = 0.1, 0.25
WHAT = {"starts": "model_exporter_schedule_delay_seconds", "turns of the loop": "model_exporter_loop_lag_seconds"}


@dataclass
class Lateness:
    """`told` is a sentence for people; `wrong` says what does not hold."""

    told: str
    wrong: list[str] = field(default_factory=list)

    def hold(self) -> None:
        """Fail where more than one of a hundred was late by more than 100 ms, or any by more than 250 ms."""
        assert not self.wrong, f"{'; '.join(self.wrong)}: {self.told}"


def between(before: Scrape, after: Scrape, taken: float = 0.0) -> Lateness:
    """Between two scrapes, in which the machine took up to `taken` seconds from the process at once. Bounds are those
    of buckets: the next that is at least so large.
    """
    parts, wrong = [], []
    for what, name in WHAT.items():
        buckets = {
            float(sample.labels["le"]): sample.value - (before.value(f"{name}_bucket", **sample.labels) or 0)
            for sample in after.all(f"{name}_bucket")
        }
        count, later = buckets[float("inf")], {}
        for limit in (MOST_OF_THEM, ALL):
            bound = min(bound for bound in buckets if bound >= limit + taken)
            later[limit] = count - buckets[bound]
        if not count:
            wrong.append(f"no {what}")
        if later[MOST_OF_THEM] > max(1.0, 0.01 * count) or later[ALL]:
            wrong.append(f"{what} were late")
        shown = ", ".join(f"{count - buckets[bound]:g} by more than {bound:g} s" for bound in (0.1, 0.25, 1.0))
        parts.append(f"of {count:g} {what} late: {shown}")
    return Lateness(f"{'; '.join(parts)}; the machine took {taken:.3f} s at once", wrong)
