"""A look at each subject in a few seconds; `make fuzz` looks for as long as it is told to."""

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics import text as exposed
from tests.fuzz.subjects import SUBJECTS

pytestmark = pytest.mark.slow

#: What makes a difference to one subject or another.
_WORDS = [
    b"\r\n",
    b"\n\n",
    b"\r",
    b"\0",
    b"\xff",
    b": ",
    b"data: ",
    b"&a ",
    b"*a",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b"$1",
    b"(.*)",
    b"1e999",
    b"NaN",
    b"null",
    b"-1",
    b"99999999999999999999",
    b"9" * 400,
    b"}\n{",
    b'"done":true',
    b"\xe2\x80\xa8",
    b"\xed\xa0\x80",
    b"!!python/name:os.system",
]


@st.composite
def near(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with a few pieces changed, or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 8)))
        data[at:end] = draw(st.one_of(st.sampled_from(_WORDS), st.binary(max_size=6), st.sampled_from(seeds)))
    return bytes(data[:20_000])


@pytest.mark.parametrize("name", SUBJECTS)
def test_seeds(name: str) -> None:
    subject, seeds = SUBJECTS[name]
    for seed in seeds:
        subject(seed)


@pytest.mark.parametrize("name", SUBJECTS)
def test_what_is_near_the_seeds(name: str) -> None:
    subject, seeds = SUBJECTS[name]

    @settings(max_examples=40 if name == "config" else 150)
    @given(data=near(seeds))
    def holds(data: bytes) -> None:
        subject(data)

    holds()


def test_promtool_reads_any_labels_value(tmp_path: Path, need: Callable[[str, str], str]) -> None:
    program = need("promtool", "apt-get install prometheus")
    luck = random.Random(7)
    values = [seed.decode(errors="surrogateescape") for seed in SUBJECTS["exposition"][1]]
    values += [
        "".join(chr(luck.choice((luck.randrange(128), luck.randrange(0x110000)))) for _ in range(9))
        for _ in range(3000)
    ]
    lines = [
        f"m{{{exposed.pairs([('number', str(number)), ('a', exposed.valid(value))])}}} 1\n"
        for number, value in enumerate(values)
    ]
    text = "# HELP m A metric.\n# TYPE m gauge\n" + "".join(lines)
    done = subprocess.run([program, "check", "metrics"], input=text.encode(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr[-500:]
