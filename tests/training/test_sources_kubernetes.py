"""Logs of pods: every line once, whatever breaks in between, and the exit status as the outcome."""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exporter.model.training import Outcome
from exporter.training.sources import Anew, Ended, Pause, Text, backoff, kubernetes
from exporter.training.sources.kubernetes import Kubernetes
from exporter.training.sources.stamps import Stamps
from tests.training.kubernetes_api import Api, Pod, cluster
from tests.training.reading import reading

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff.Backoff.__init__, "__defaults__", (0.02, 0.05))
    monkeypatch.setattr(kubernetes, "INTERVAL", 0.02)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[tuple[Api, str]]:
    async with cluster(tmp_path) as made:
        yield made


async def test_a_pod_from_start_to_end(api: tuple[Api, str]) -> None:
    server, kubeconfig = api
    pod = server.add(Pod("train"))
    server.say(pod, ("06.1Z", "loss: 0.5"), ("07.123456789Z", "loss: 0.25"))
    async with reading(Kubernetes(pod="train", kubeconfig=kubeconfig)) as told:
        await told.until(lambda told: told.lines == ["loss: 0.5", "loss: 0.25"])
        last = told.of(Text)[-1]
        assert isinstance(last, Text)
        assert last.at == pytest.approx(1767323047.123456789)
        server.say(pod, ("08Z", "done"))
        server.terminate(pod, 0)
        await told.until(lambda told: told.of(Ended))
        assert told.lines[-1] == "done"
        assert told.of(Ended) == [Ended(Outcome.FINISHED)]
        assert not told.pauses
    assert server.asked[0] == {"container": "main", "follow": "true", "timestamps": "true"}


async def test_after_a_break_no_line_comes_twice_and_none_is_lost(api: tuple[Api, str]) -> None:
    """`sinceTime` has whole seconds: what came in the last one comes again, some of it with one and the same time."""
    server, kubeconfig = api
    pod = server.add(Pod("train"))
    said: list[str] = []
    async with reading(Kubernetes(pod="train", kubeconfig=kubeconfig)) as told:
        for batch in range(6):
            lines = [(f"{6 + batch // 2:02d}.{batch % 2}00000005Z", f"line {batch}.{number}") for number in range(3)]
            said += [text for _, text in lines]
            server.say(pod, *lines[:2])
            await told.until(lambda told, said=tuple(said): told.lines == [*said[:-1]])
            server.cut()
            server.say(pod, *lines[2:])  # of the same moment as the one before
            await told.until(lambda told, said=tuple(said): told.lines == [*said])
        assert "disconnected: the log ended, and the container goes on" in told.pauses
        assert all(pause.reconnects for pause in told.events if isinstance(pause, Pause))
    assert {asked.get("sinceTime") for asked in server.asked} == {
        None, "2026-01-02T03:04:06Z", "2026-01-02T03:04:07Z", "2026-01-02T03:04:08Z",
    }  # fmt: skip


async def test_a_container_that_is_started_again_begins_anew(api: tuple[Api, str]) -> None:
    server, kubeconfig = api
    pod = server.add(Pod("train"))
    server.say(pod, ("06Z", "loss: 0.5"))
    async with reading(Kubernetes(pod="train", kubeconfig=kubeconfig)) as told:
        await told.until(lambda told: told.lines)
        server.terminate(pod, 137)
        await told.until(lambda told: told.of(Ended))
        assert told.of(Ended) == [Ended(Outcome.KILLED)]
        pod.restarts, pod.state, pod.lines = 1, {"running": {}}, []
        server.say(pod, ("05Z", "loss: 0.9"))
        await told.until(lambda told: told.lines == ["loss: 0.5", "loss: 0.9"])
        assert told.of(Anew) == [Anew(sure=True)]


async def test_the_newest_pod_of_a_selector(api: tuple[Api, str]) -> None:
    """As a Job makes one after the other."""
    server, kubeconfig = api
    source = Kubernetes(selector="job-name=train", namespace="jobs", kubeconfig=kubeconfig)
    async with reading(source) as told:
        await told.until(lambda told: told.pauses)
        assert told.pauses[0] == "not_ready: no pod is selected"
        labels = {"job-name": "train"}
        first = server.add(Pod("train-a", labels=labels))
        server.add(Pod("other", made="2026-02-01T00:00:00Z", uid="u-9"))
        server.say(first, ("06Z", "first"))
        await told.until(lambda told: told.lines == ["first"])
        server.terminate(first, 1)
        await told.until(lambda told: told.of(Ended))
        second = server.add(Pod("train-b", labels=labels, made="2026-01-02T04:00:00Z", uid="u-2"))
        server.say(second, ("07Z", "second"))
        await told.until(lambda told: told.lines == ["first", "second"])
        assert told.of(Ended) == [Ended(Outcome.FAILED)]
        assert told.of(Anew) == [Anew(sure=True)]


async def test_which_container(api: tuple[Api, str]) -> None:
    server, kubeconfig = api
    for name, default, wanted, asked in (
        ("a", "", None, "sidecar"), ("b", "main", None, "main"), ("c", "main", "sidecar", "sidecar"),
    ):  # fmt: skip
        pod = server.add(Pod(name, containers=("sidecar", "main"), default=default))
        server.say(pod, ("06Z", "x"))
        async with reading(Kubernetes(pod=name, container=wanted, kubeconfig=kubeconfig)) as told:
            await told.until(lambda told: told.lines)
        assert server.asked[-1]["container"] == asked
    async with reading(Kubernetes(pod="a", container="nope", kubeconfig=kubeconfig)) as told:
        await told.until(lambda told: told.pauses)
        assert told.pauses[0] == "not_ready: the pod has no such container"


async def test_troubles(api: tuple[Api, str], tmp_path: Path) -> None:
    server, kubeconfig = api
    source = Kubernetes(pod="train", kubeconfig=kubeconfig)
    async with reading(source) as told:
        await told.until(lambda told: told.pauses)
        assert told.pauses[0] == 'http_status: the server answers 404: pods "train" not found'
        pod = server.add(Pod("train", scheduled=False))
        await told.until(
            lambda told: "not_ready: the container is waiting: the pod is not scheduled yet" in told.pauses
        )
        pod.scheduled, pod.state = True, {"waiting": {"reason": "ImagePullBackOff"}}
        await told.until(lambda told: "not_ready: the container is waiting: ImagePullBackOff" in told.pauses)
        pod.state = {"running": {}}
        server.refusing = 2
        await told.until(lambda told: "http_status: the server answers 401: Unauthorized" in told.pauses)
        server.say(pod, ("06Z", "at last"))
        await told.until(lambda told: told.lines == ["at last"])
        assert "t0ken" not in repr(told.events)
    async with reading(Kubernetes(pod="train", kubeconfig=str(tmp_path / "nope"))) as told:
        await told.until(lambda told: told.pauses)
        assert told.pauses[0] == f"auth: kubeconfig {tmp_path / 'nope'}: No such file or directory"


ODD: list[dict[str, Any]] = [
    {"containers": ()}, {"state": {"terminated": {"exitCode": "x"}}},
    {"state": {"terminated": {}}}, {"state": {"terminated": {"exitCode": math.inf}}}, {"state": ["x"]},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=str)
async def test_answers_that_are_none(api: tuple[Api, str], odd: dict[str, Any]) -> None:
    """Whatever is in them, it is told, and asked again."""
    server, kubeconfig = api
    pod = server.add(Pod("train", **odd))
    async with reading(Kubernetes(pod="train", kubeconfig=kubeconfig)) as told:
        await told.until(lambda told: told.pauses)
        pod.containers, pod.state, pod.restarts = ("main",), {"running": {}}, 0
        server.say(pod, ("06Z", "at last"))
        await told.until(lambda told: told.lines == ["at last"])


LOG = b"".join(
    b"2026-01-02T03:04:%02d.%09dZ line %d\n" % (second, nano, number)
    for number, (second, nano) in enumerate([(5, 1), (5, 2), (5, 2), (5, 2), (6, 0), (6, 999999999), (7, 5)])
)
TEXT = b"".join(b"line %d\n" % number for number in range(7))


@pytest.mark.parametrize("size", [1, 2, 7, 35, 64, 1000])
def test_stamps_in_any_cut(size: int) -> None:
    stamps = Stamps()
    assert b"".join(stamps.feed(LOG[at : at + size]) for at in range(0, len(LOG), size)) == TEXT


@pytest.mark.parametrize("size", [1, 33, 1000])
def test_stamps_after_a_break_anywhere(size: int) -> None:
    for at in range(len(LOG)):
        stamps = Stamps()
        told = b"".join(stamps.feed(LOG[start : min(start + size, at)]) for start in range(0, at, size))
        since = stamps.since.removesuffix("Z").encode()
        again = b"".join(line for line in LOG.splitlines(keepends=True) if line[:19] >= since)
        stamps.resume()
        told += b"".join(stamps.feed(again[start : start + size]) for start in range(0, len(again), size))
        assert told == TEXT, at


def test_stamps_with_an_offset_and_without_one() -> None:
    stamps = Stamps()
    assert stamps.feed(b"2026-01-02T05:04:05.5+02:00 a\nno time\n\n2026-01-02T03:04:06Z \n") == b"a\nno time\n\n\n"
    assert stamps.since == "2026-01-02T03:04:06Z"


def test_a_line_that_does_not_end() -> None:
    """Little of it is held, and what follows is read as ever."""
    stamps = Stamps()
    told = stamps.feed(b"2026-01-02T03:04:05Z start ")
    for _ in range(50):
        told += stamps.feed(b"x" * 10_000)
        assert len(stamps._rest) < 100_000
    told += stamps.feed(b" end\n2026-01-02T03:04:06Z next\n")
    assert told == b"start " + b"x" * 500_000 + b" end\nnext\n"
