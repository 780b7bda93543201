"""Frames are found however the bytes of a connection are cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exporter.transport.frames import Frame, Frames

FRAMES = st.lists(
    st.builds(
        lambda kind, flags, stream, payload: (kind, flags, stream, payload),
        st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**31 - 1), st.binary(max_size=40),
    ),
    max_size=6,
)  # fmt: skip


def written(kind, flags, stream, payload, reserved=0):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + (stream | reserved).to_bytes(4, "big") + payload


@given(FRAMES, st.binary(max_size=30), st.lists(st.integers(0, 400), max_size=8))
def test_every_frame_is_told_twice_and_in_order(frames, preface, cuts):
    data = preface + b"".join(written(*frame, reserved=2**31) for frame in frames)
    found = []
    reader = Frames(len(preface))
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        found += reader.feed(memoryview(data)[start:end])
    expected = []
    for kind, flags, stream, payload in frames:
        expected += [
            Frame(kind, flags, stream, len(payload), False),
            Frame(kind, flags, stream, len(payload), True, payload[:5]),
        ]
    assert found == expected


def test_a_frame_is_whole_with_its_last_byte():
    data = written(1, 5, 3, b"abc")
    reader = Frames()
    assert [frame.whole for frame in reader.feed(data[:-1])] == [False]
    assert list(reader.feed(data[-1:])) == [Frame(1, 5, 3, 3, True, b"abc")]
