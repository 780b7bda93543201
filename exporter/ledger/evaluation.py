"""What the runs of one evaluation left behind."""

from exporter.model.score import Outcome, Score


class Evaluated:
    """`score` is of the last run, None before the first; `last_run_at` is when it ended, Unix time. `outcomes` counts
    the examples of all runs by what became of them.
    """

    __slots__ = ("last_run_at", "outcomes", "score")

    def __init__(self) -> None:
        self.score: Score | None = None
        self.last_run_at: float | None = None
        self.outcomes = dict.fromkeys(Outcome, 0)

    def note(self, score: Score | None, at: float) -> None:
        """Take a finished run; without a score it broke off by a fault of ours."""
        self.score, self.last_run_at = score, at
        for outcome, many in score.outcomes.items() if score is not None else ():
            self.outcomes[outcome] += many
