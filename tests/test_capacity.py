"""What the limits of the process leave for probes."""

from pathlib import Path

import pytest

from exporter import capacity


@pytest.mark.parametrize(
    ("files", "memory", "wanted", "probes", "kept"),
    [
        (1_048_576, None, 1_000_000, 524_272, 262_136),
        (1024, None, 500, 496, 248),
        (64, None, 500, 16, 8),
        (16, None, 500, 2, 1),  # hardly enough to start: still one
        (65_536, 128 << 20, 500, 256, 48_360),  # a sidecar's
        (65_536, 1 << 20, 500, 2, 49_122),
        (65_536, 1000, 500, 1, 49_125),
        (20_000, None, 500, 500, 13_476),  # what probes have no use for is kept
    ],
)
def test_descriptors_and_memory_are_shared_out(
    files: int, memory: int | None, wanted: int, probes: int, kept: int
) -> None:
    assert capacity.shared_out(files, memory, wanted) == (probes, kept)
    assert capacity.RESERVED + probes + kept + files // 4 <= files or files < 64


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/pod/one\n", {"pod/memory.max": "5000\n", "pod/one/memory.max": "max\n"}, 5000),
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/../gone\n", {"memory.max": "7000\n"}, 7000),  # seen from inside of a container
        ("4:memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": "6000\n"}, 6000),
        ("4:cpu,memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ("", {}, None),
    ],
)
def test_the_smallest_limit_of_our_groups_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, files: dict[str, str], limit: int | None
) -> None:
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "of_this").write_text(groups)
    monkeypatch.setattr(capacity, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(capacity, "_OF_THIS", tmp_path / "of_this")
    assert capacity.memory_limit() == limit
