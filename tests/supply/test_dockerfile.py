"""What can be said of the image without building it; tests/real/image builds it."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
#: Instructions, each on one line.
LINES = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text())).splitlines()


def all_of(instruction: str, lines: list[str] = LINES) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in lines if line.startswith(f"{instruction} ")]


def last_stage() -> list[str]:
    start = max(number for number, line in enumerate(LINES) if line.startswith("FROM "))
    return LINES[start:]


def test_both_bases_are_arguments() -> None:
    assert all_of("FROM") == ["${BUILD_IMAGE} AS build", "${BASE_IMAGE}"]
    before = LINES[: LINES.index("FROM ${BUILD_IMAGE} AS build")]
    assert [each.partition("=")[0] for each in all_of("ARG", before)] == ["BASE_IMAGE", "BUILD_IMAGE"]


def test_it_is_not_root_and_the_chart_knows() -> None:
    (user,) = all_of("USER", last_stage())
    chart = yaml.safe_load((ROOT / "deploy/helm/model-exporter/values.yaml").read_text())["podSecurityContext"]
    assert user == f"{chart['runAsUser']}:{chart['runAsGroup']}"
    assert chart["runAsUser"] > 10000


def test_nothing_is_done_in_the_image_itself() -> None:
    """What is run there, or copied from anywhere but the first stage, is one thing more to look at."""
    assert all_of("RUN", last_stage()) == []
    assert all_of("COPY", last_stage()) == ["--from=build /opt/model-exporter /opt/model-exporter"]


def test_what_is_downloaded_is_a_wheel_with_a_known_hash() -> None:
    (download,) = (each for each in all_of("RUN") if "pip download" in each)
    for option in ("--require-hashes", "--no-deps", "--only-binary :all:", "-r constraints.txt"):
        assert option in download
    offline = LINES.index("ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels")
    installs = [number for number, line in enumerate(LINES) if "pip install" in line or "pip wheel" in line]
    assert min(installs) > offline


@pytest.mark.parametrize(
    "copied", [name for each in all_of("COPY") if "--from" not in each for name in each.split()[:-1]]
)
def test_what_is_copied_gets_through(copied: str) -> None:
    assert (ROOT / copied).exists()
    assert f"!{copied}" in (ROOT / ".dockerignore").read_text().splitlines()
