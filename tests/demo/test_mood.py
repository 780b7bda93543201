"""How a fake server feels over time."""

import pytest

from exporter.demo.mood import Act, Mood, Timeline


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


ACTS = (Act(Mood.WELL, 10), Act(Mood.HANGING, 5))


@pytest.mark.parametrize(
    ("elapsed", "mood", "turns"),
    [
        (0, Mood.WELL, 0),
        (9.9, Mood.WELL, 0),
        (10, Mood.HANGING, 1),
        (14.9, Mood.HANGING, 1),
        (15, Mood.WELL, 2),
        (25, Mood.HANGING, 3),
        (1500, Mood.WELL, 200),
    ],
)
def test_acts_come_round(elapsed: float, mood: Mood, turns: int) -> None:
    clock = Clock()
    timeline = Timeline(ACTS, clock)
    clock.now += elapsed
    assert (timeline.mood, timeline.turns) == (mood, turns)


@pytest.mark.parametrize(
    ("elapsed", "mood"), [(0, Mood.WELL), (10, Mood.HANGING), (15, Mood.HANGING), (1e6, Mood.HANGING)]
)
def test_once_stays_in_the_last_act(elapsed: float, mood: Mood) -> None:
    clock = Clock()
    timeline = Timeline(ACTS, clock, once=True)
    clock.now += elapsed
    assert timeline.mood is mood


def test_start_begins_again() -> None:
    clock = Clock()
    timeline = Timeline(ACTS, clock)
    clock.now += 12
    timeline.start()
    assert timeline.mood is Mood.WELL


@pytest.mark.parametrize("acts", [(), (Act(Mood.WELL, 0),)])
def test_no_time_at_all_is_refused(acts: tuple[Act, ...]) -> None:
    with pytest.raises(ValueError, match="last"):
        Timeline(acts, Clock())
