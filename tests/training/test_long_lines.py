"""Lines made to lead a preset astray: what a log says may take no more time than its length is worth."""

import time

import pytest

from exporter.training.parsers import PRESETS, parser

pytestmark = pytest.mark.slow

#: What patterns could be led astray by, again and again in one line.
PITFALLS = [
    "1",
    "a",
    "a ",
    "loss ",
    "epoch ",
    "[1] ",
    "'",
    "{'a': '1', ",
    "Epoch 1/2 ",
    "1%|",
    "8/8 ━",
    " a's ",
    " ",
    "1.1",
]
BEGINNINGS = ["", "loss: ", "Epoch 1: ", "Epoch 1/2 ", "{'a': ", "8/8 - a: ", "[1]\ta:"]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_long_line_takes_as_long_as_many_short_ones(preset: str) -> None:
    """Four times the length takes four times as long, and not sixteen."""
    parse = parser(preset)

    def spent(length: int) -> float:
        lines = [(begin + pitfall * length)[:length] + "x" for begin in BEGINNINGS for pitfall in PITFALLS]
        began = time.process_time()
        for line in lines:
            parse(line)
        return time.process_time() - began

    assert min(spent(8_000) for _ in range(3)) < 8 * min(spent(2_000) for _ in range(3))
