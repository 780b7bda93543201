"""Settings to targets and jobs."""

import asyncio
import gc
import subprocess
import sys
import weakref
from typing import Any

import pytest

from exporter import protocols
from exporter.config import build, loader, on_demand
from exporter.ledger import Bounds, Form
from exporter.model.job import Job, Kind, Scope
from exporter.model.observation import Detection
from tests.config.make import built, jobs

FOUND = Detection("openai", "vllm", ("health", "ready"), "because")


def one(**target: Any) -> Job:
    """The health job of one target."""
    return jobs({"url": "http://h:8000", "protocol": "http", "name": "t", **target})["t", "health"]


def test_the_smallest_config() -> None:
    (job,) = built({"targets": [{"url": "http://127.0.0.1:8000"}]}).jobs
    assert (job.target.name, job.probe, job.kind) == ("127.0.0.1:8000", "health", Kind.DETECT)
    assert (job.target.protocol, job.target.model, job.scope) == ("auto", "", Scope.SERVER)


@pytest.mark.parametrize("protocol", [name for name in protocols.NAMES if name != "auto"])
def test_default_probes_never_cost(protocol: str) -> None:
    made = jobs({"name": "t", "protocol": protocol, "model": "m"})
    assert [kind.value for kind in protocols.load(protocol).default_kinds] == [probe for _, probe in made]
    assert not any(job.kind.canary for job in made.values())


def test_a_host_may_forbid_a_default_probe() -> None:
    url = "https://flowers.bentoml.ai"
    assert [job.probe for job in on_demand.jobs_for_url(url, protocol="bentoml")] == ["health", "metadata"]
    asked = on_demand.jobs_for_url(url, protocol="bentoml", probes=["ready"])
    assert [job.probe for job in asked] == ["ready"]
    (question,) = jobs({"name": "t", "url": url}).values()
    made = build.jobs_for_detection(question, Detection("bentoml", "", (), ""))
    assert [job.probe for job in made] == ["health", "metadata"]


@pytest.mark.parametrize(
    ("url", "model", "name"),
    [("http://h/", "", "h:80"), ("http://h:1/a/", "m", "h:1/a/m"), ("unix:///s", "", "unix:/s")],
)
def test_default_names(url: str, model: str, name: str) -> None:
    target = {"url": url, **({"model": model} if model else {})}
    assert built({"targets": [target]}).jobs[0].target.name == name


def test_the_endpoint() -> None:
    endpoint = one(url="https://h:8443/v1/?key=1").target.endpoint
    assert (endpoint.scheme, endpoint.host, endpoint.port, endpoint.path, endpoint.query) == (
        "https", "h", 8443, "/v1", "key=1",
    )  # fmt: skip


def test_saturated_at_is_the_targets_over_the_modules_over_the_defaults() -> None:
    file = {
        "defaults": {"saturated_at": {"waiting": 7}},
        "modules": {"m": {"protocol": "http", "saturated_at": {"waiting": 8}}},
        "targets": [
            {"name": "a", "url": "http://h:8000", "protocol": "http"},
            {"name": "b", "url": "http://h:8000", "module": "m"},
            {"name": "c", "url": "http://h:8000", "module": "m", "saturated_at": {"waiting": 9}},
        ],
    }
    assert [job.target.saturated_at for job in built(file).jobs] == [7.0, 8.0, 9.0]
    assert one().target.saturated_at is None


def test_saturated_at_of_a_protocol_that_tells_no_load_is_warned_of() -> None:
    target = {"url": "http://h:8000", "protocol": "http", "saturated_at": {"waiting": 9}}
    (warning,) = loader.load_values({"targets": [target]}, name="f").warnings
    assert "saturated_at" in str(warning)
    assert "the protocol http does not tell the server's load" in str(warning)


def test_the_scope_of_ready_is_the_protocols() -> None:
    made = jobs({"name": "m", "protocol": "open_inference", "model": "m"}, {"name": "s", "protocol": "open_inference"})
    assert (made["m", "ready"].scope, made["s", "ready"].scope) == (Scope.MODEL, Scope.SERVER)


def test_equal_values_are_shared() -> None:
    made = list(jobs(*({"protocol": "http", "headers": {"X": "1"}} for _ in range(3))).values())
    first = made[0]
    for job in made[1:]:
        assert job.schedule is first.schedule
        assert job.retry is first.retry
        assert job.thresholds is first.thresholds
        assert job.target.endpoint.headers is first.target.endpoint.headers
        assert job.target.endpoint.tls is first.target.endpoint.tls
        assert job.ask is first.ask, "what asks differs in nothing but the host, which it does not know"


def test_who_asks_something_else_is_another() -> None:
    alike = {"url": "http://h:8000/a", "protocol": "openai", "model": "m"}
    others: list[dict[str, Any]] = [
        {"model": "n"}, {"url": "http://h:8000/b"}, {"url": "http://h:8001/a"}, {"url": "https://h:8000/a"},
        {"url": "http://h:8000/a?b"}, {"wake": True}, {"server": "vllm"}, {"protocol": "tgi"},
        {"probes": {"health": {"expect": {"status": 204}}}, "protocol": "http"},
    ]  # fmt: skip
    made = jobs(*({**alike, "probes": {"health": {}}, **other, "name": str(n)} for n, other in enumerate(others)),
                {**alike, "name": "x", "probes": {"health": {}, "ready": {}}},
                {**alike, "name": "y", "probes": {"health": {}}, "url": "http://i:8000/a", "labels": {"a": "b"}},
                )  # fmt: skip
    assert made["x", "health"].ask is made["y", "health"].ask
    assert len({job.ask for job in made.values()}) == len(others) + 2


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://h:8001"}, {"url": "http://h:8000/a"}, {"url": "http://h:8000?a"}, {"url": "https://h:8000"},
        {"model": "m"}, {"protocol": "mlflow"}, {"auth": {"bearer": "a"}}, {"auth": {"bearer": {"env": "HOME"}}},
        {"headers": {"X": "a"}}, {"tls": {"server_name": "x"}}, {"connection": "keep_alive"}, {"max_body": "1MB"},
        {"timestamps": "kernel"},
        {"follow_redirects": True}, {"startup": "1m"}, {"saturated_at": {"waiting": 9}},
        {"probes": {"health": {"interval": "16s"}}},
        {"probes": {"health": {"timeout": "6s"}}}, {"probes": {"health": {"retry": {"attempts": 2}}}},
        {"probes": {"health": {"retry": {"on": [503]}}}}, {"probes": {"health": {"thresholds": {"failure": 2}}}},
        {"probes": {"health": {"expect": {"text": "x"}}}}, {"probes": {"health": {"headers": {"X": "a"}}}},
        {"probes": {"health": {"recheck": "1s"}}},
    ],
)  # fmt: skip
def test_a_change_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert one(**change).fingerprint != one().fingerprint


@pytest.mark.parametrize(
    "same",
    [
        {"labels": {"a": "b"}}, {"url": "http://h:8000/"}, {"url": "HTTP://H:8000"}, {"startup": "0s"},
        {"probes": {"health": {}}}, {"probes": {"health": {"interval": "15000ms"}}},
        {"probes": {"health": {"expect": {"status": ["200-299"]}}}}, {"max_body": 10_000_000},
    ],
)  # fmt: skip
def test_what_means_the_same_keeps_the_fingerprint(same: dict[str, Any]) -> None:
    assert one(**same).fingerprint == one().fingerprint


def test_inline_secrets_are_noticed_and_not_in_a_fingerprint() -> None:
    one_, two = one(auth={"bearer": "s3cr3t-a"}), one(auth={"bearer": "s3cr3t-b"})
    assert one_.fingerprint != two.fingerprint
    assert one(auth={"bearer": "s3cr3t-a"}).fingerprint == one_.fingerprint
    assert "s3cr3t" not in repr(one_)


@pytest.mark.slow
def test_fingerprints_are_the_same_in_every_process() -> None:
    # Hash randomisation and salts of one process must not get in: shards and restarts compare them.
    target = {"url": "http://h", "protocol": "http", "probes": {"health": {"retry": {"on": ["timeout", 503, "dns"]}}}}
    code = (
        "from exporter.config import build, loader;"
        f"file = loader.load_values({{'targets': [{target!r}]}}, 'x').file;"
        "print(build.build(file).jobs[0].fingerprint)"
    )
    seen = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={
            "PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(seen) == 1


def test_limits_bounds_and_on_demand() -> None:
    metrics = {"histograms": "both", "buckets": {"duration": [1, 2.5]}}
    made = built({"targets": [], "limits": {"concurrency": 7}, "metrics": metrics, "on_demand": {"debug": True}})
    assert (made.limits.concurrency, made.limits.per_host) == (7, 8)
    assert made.bounds.duration == (1, 2.5)
    assert made.bounds.ttft == Bounds().ttft
    assert (made.bounds.form, Bounds().form) == (Form.BOTH, Form.CLASSIC)
    assert (made.on_demand.allow, made.on_demand.debug, made.on_demand.concurrency) == ([], True, 50)


def test_the_tree_is_dropped() -> None:
    file = loader.load_values(
        {"targets": [{"url": f"http://h{n}", "labels": {"n": str(n)}} for n in range(50)]}, "x"
    ).file
    watched = [weakref.ref(target) for target in file.targets or []]
    made = build.build(file)
    del file
    gc.collect()
    assert [ref for ref in watched if ref() is not None] == []
    assert len(made.jobs) == 50


async def test_in_slices_the_same_jobs_and_a_living_loop() -> None:
    file = loader.load_values({"targets": [{"url": f"http://h{n}", "protocol": "http"} for n in range(2000)]}, "x").file
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    sliced = await build.build_in_slices(file)
    counting.cancel()
    assert [job.fingerprint for job in sliced.jobs] == [job.fingerprint for job in build.build(file).jobs]
    assert turns > 3


def test_dump_of_what_is_in_force() -> None:
    text = build.dump(built({"targets": [{"url": "http://h", "name": "t"}], "limits": {"per_host": 3}}))
    assert "name: t" in text
    assert "per_host: 3" in text
    assert "concurrency: 500" in text


# jobs_for_detection


def test_a_finding_becomes_its_probes() -> None:
    (question,) = jobs({"name": "t", "url": "http://h/v1", "labels": {"a": "b"}, "model": "m"}).values()
    made = build.jobs_for_detection(question, FOUND)
    assert [(job.probe, job.kind) for job in made] == [("health", Kind.HEALTH), ("ready", Kind.READY)]
    for job in made:
        assert (job.target.name, job.target.protocol, job.target.model) == ("t", "openai", "m")
        assert dict(job.target.labels) == {"a": "b"}
        assert job.fingerprint != question.fingerprint
    again = build.jobs_for_detection(question, FOUND)
    assert [job.fingerprint for job in again] == [job.fingerprint for job in made]


def test_a_finding_without_probes_becomes_the_default_ones() -> None:
    (question,) = jobs({"name": "t"}).values()
    made = build.jobs_for_detection(question, Detection("mlflow", "", (), ""))
    assert [job.probe for job in made] == ["health", "metadata"]


def test_a_finding_keeps_to_the_probes_the_config_names() -> None:
    (question,) = jobs({"name": "t", "probes": {"ready": {"interval": "7s"}, "up": {"kind": "health"}}}).values()
    assert (question.probe, question.schedule.interval) == ("health", 15)
    made = build.jobs_for_detection(question, FOUND)
    assert [(job.probe, job.schedule.interval) for job in made] == [("ready", 7), ("up", 15)]
    made = build.jobs_for_detection(question, Detection("http", "", (), ""))
    assert [job.probe for job in made] == ["up"]


def test_a_question_has_the_numbers_of_its_health_probe() -> None:
    (question,) = jobs({"name": "t", "probes": {"health": {"interval": "3s", "timeout": "1s"}}}).values()
    assert (question.schedule.interval, question.schedule.timeout) == (3, 1)


def test_other_probes_change_the_question() -> None:
    (one_,) = jobs({"name": "t", "url": "http://h", "probes": {"ready": {}}}).values()
    (two,) = jobs({"name": "t", "url": "http://h", "probes": {"ready": {"interval": "1m"}}}).values()
    assert one_.fingerprint != two.fingerprint


def test_only_a_question_has_an_answer() -> None:
    with pytest.raises(TypeError):
        build.jobs_for_detection(one(), FOUND)
