"""Whether a canary that is asked the same again and again gets the same answer."""

from exporter.model.sample import Sample, distance, same

#: Different answers that are remembered. One address may lead to several builds of a model.
KEPT = 4


class Drift:
    """The last few different answers of one canary, and how the last one stands to them.

    `match`: it is one of those known before. `gap`: how far it is from the nearest of them, 0 to 1. Both are None when
    the last run brought no whole answer, or there was none before. `changes` counts good answers that were another
    than the good one before.

    So an answer that changed once does not match, once, and counts once. One that goes to and fro between two matches,
    and counts on. One that is never the same does not match, and counts on.
    """

    __slots__ = ("changes", "gap", "match", "_known")

    def __init__(self) -> None:
        self.match: bool | None = None
        self.gap: float | None = None
        self.changes = 0
        self._known: list[Sample] = []  #: newest first

    def note(self, sample: Sample | None, *, good: bool) -> None:
        """Take the answer of one run; only a `good` one becomes one that others are held against."""
        self.match = self.gap = None
        if sample is None:
            return
        known = self._known
        place = next((place for place, each in enumerate(known) if same(sample, each)), None)
        if known:
            self.match = place is not None
            nearest = known if place is None else (known[place],)
            self.gap = min(distance(sample, each) for each in nearest)
        if not good or place == 0:
            return
        self.changes += bool(known)
        known.insert(0, sample if place is None else known.pop(place))
        del known[KEPT:]
