"""Target over module over defaults, and what is built in."""

import pytest

from exporter.config.merge import deep
from exporter.model.endpoint import Basic, Bearer
from exporter.model.failure import Reason
from exporter.model.job import Kind, Schedule, Thresholds
from exporter.model.secret import Secret
from tests.config.make import jobs

INFER = {"infer": {"body": {"x": 1}}}
ALL = {"health": {}, "ready": {}, "metadata": {}, "infer": {}, "stream": {}}


def test_built_in_numbers() -> None:
    made = jobs({"name": "t", "protocol": "openai", "model": "m", "probes": ALL})
    assert {probe: job.schedule for (_, probe), job in made.items()} == {
        "health": Schedule(15, 5, 5),
        "ready": Schedule(15, 5, 5),
        "metadata": Schedule(300, 5, 5),
        "infer": Schedule(60, 30, 5),
        "stream": Schedule(60, 30, 5),
    }
    assert {probe: (job.retry.attempts, job.thresholds.failure) for (_, probe), job in made.items()} == {
        "health": (3, 1), "ready": (3, 1), "metadata": (3, 1), "infer": (1, 2), "stream": (1, 2),
    }  # fmt: skip
    assert all(job.retry.backoff == 0.5 and job.retry.max_backoff == 5 for job in made.values())
    assert all(job.retry.on is None and job.thresholds.success == 1 for job in made.values())


def test_defaults_replace_all_but_the_interval_of_metadata() -> None:
    made = jobs(
        {"name": "t", "protocol": "openai", "model": "m", "probes": ALL}, defaults={"interval": "3s", "timeout": "2s"}
    )
    assert {probe: job.schedule for (_, probe), job in made.items()} == {
        "health": Schedule(3, 2, 3),
        "ready": Schedule(3, 2, 3),
        "metadata": Schedule(300, 2, 5),
        "infer": Schedule(3, 2, 3),
        "stream": Schedule(3, 2, 3),
    }


def test_probes_merge_deeply_and_lists_are_replaced() -> None:
    module = {
        "protocol": "open_inference",
        "probes": {
            "health": {"interval": "9s", "retry": {"attempts": 7, "backoff": "1s"}},
            "ready": {},
            "infer": {
                "interval": "40s",
                "timeout": "4s",
                "thresholds": {"failure": 5},
                "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}],
                "parameters": {"a": {"b": 1, "c": 2}},
                "expect": {"outputs": [{"name": "y"}]},
            },
        },
    }
    target = {
        "name": "t", "module": "m", "model": "iris",
        "probes": {
            "ready": None,
            "health": {"retry": {"backoff": "2s"}},
            "infer": {
                "timeout": "6s",
                "inputs": [{"name": "z", "shape": [2], "datatype": "FP32", "data": [1.0, 2.0]}],
                "parameters": {"a": {"c": 3}},
            },
            "metadata": {},
        },
    }  # fmt: skip
    made = jobs(target, modules={"m": module})
    assert [probe for _, probe in made] == ["health", "infer", "metadata"]
    infer = made["t", "infer"]
    assert infer.schedule == Schedule(40, 6, 5)
    assert infer.thresholds == Thresholds(5, 1)
    settings = infer.ask.__self__.settings  # type: ignore[attr-defined]
    assert [tensor.name for tensor in settings.inputs] == ["z"]
    assert settings.parameters == {"a": {"b": 1, "c": 3}}
    assert [tensor.name for tensor in settings.expect.outputs] == ["y"]
    assert made["t", "health"].schedule.interval == 9
    assert (made["t", "health"].retry.attempts, made["t", "health"].retry.backoff) == (7, 2)


def test_a_module_is_not_changed_by_its_targets() -> None:
    module = {"protocol": "http", "probes": {"infer": {"body": {"a": {"x": 1}}}}}
    made = jobs(
        {"name": "one", "module": "m", "probes": {"infer": {"body": {"a": {"y": 2}}}}},
        {"name": "two", "module": "m"},
        modules={"m": module},
    )
    assert made["one", "infer"].ask.__self__.settings.body == {"a": {"x": 1, "y": 2}}  # type: ignore[attr-defined]
    assert made["two", "infer"].ask.__self__.settings.body == {"a": {"x": 1}}  # type: ignore[attr-defined]


def test_how_a_server_is_reached() -> None:
    made = jobs(
        {"name": "own", "module": "m", "auth": {"bearer": {"env": "HOME"}}, "headers": {"x-a": "3"}, "max_body": "1kB",
         "tls": {"server_name": "n"}, "labels": {"l": "3"}, "follow_redirects": False, "startup": "0s"},
        {"name": "none", "module": "m", "auth": None},
        {"name": "plain", "protocol": "http"},
        defaults={"headers": {"X-A": "1", "X-B": "1"}, "connection": "keep_alive", "labels": {"k": "1", "l": "1"},
                  "tls": {"min_version": "TLS13"}, "startup": "5m"},
        modules={"m": {"protocol": "http", "auth": {"basic": {"username": "u", "password": "p"}}, "labels": {"l": "2"},
                       "headers": {"X-C": "2"}, "follow_redirects": True, "tls": {"insecure_skip_verify": True}}},
    )  # fmt: skip
    own, none, plain = (made[name, "health"].target for name in ("own", "none", "plain"))
    assert own.endpoint.auth == Bearer(Secret("env", "HOME"))
    assert none.endpoint.auth is None
    assert jobs({"name": "x", "module": "m"}, modules={"m": {"protocol": "http", "auth": {"basic": {"username": "u",
        "password": "p"}}}})["x", "health"].target.endpoint.auth == Basic("u", Secret("inline", "p"))  # fmt: skip
    assert [(name, value.where) for name, value in own.endpoint.headers] == [("x-a", "3"), ("X-B", "1"), ("X-C", "2")]
    assert (own.endpoint.tls.server_name, own.endpoint.tls.min_version) == ("n", "TLS13")
    assert own.endpoint.tls.insecure_skip_verify is True
    assert (own.endpoint.follow_redirects, none.endpoint.follow_redirects, plain.endpoint.follow_redirects) == (
        False, True, False,
    )  # fmt: skip
    assert (own.endpoint.max_body, plain.endpoint.max_body) == (1000, 10_000_000)
    assert own.endpoint.keep_alive
    assert (own.startup, plain.startup) == (0, 300)
    assert dict(own.labels) == {"k": "1", "l": "3"}
    assert dict(none.labels) == {"k": "1", "l": "2"}


def test_retry_on() -> None:
    made = jobs({"name": "t", "protocol": "http", "probes": {"health": {"retry": {"on": ["timeout", 503]}}}})
    assert made["t", "health"].retry.on == {Reason.TIMEOUT, 503}


def test_a_backoff_above_the_usual_maximum_raises_it() -> None:
    made = jobs({"name": "t", "protocol": "http", "probes": {"health": {"retry": {"backoff": "8s"}}}})
    assert made["t", "health"].retry.max_backoff == 8


def test_a_named_probe_has_the_numbers_of_its_kind() -> None:
    made = jobs({"name": "t", "protocol": "http", "probes": {"deep": {"kind": "infer", "body": {}}}})
    assert (made["t", "deep"].kind, made["t", "deep"].schedule.interval) == (Kind.INFER, 60)


def test_the_kind_of_a_named_probe_comes_from_the_module() -> None:
    made = jobs(
        {"name": "t", "module": "m", "probes": {"deep": {"interval": "2m"}}},
        modules={"m": {"protocol": "http", "probes": {"deep": {"kind": "infer", "body": {}}}}},
    )
    assert (made["t", "deep"].kind, made["t", "deep"].schedule.interval) == (Kind.INFER, 120)


@pytest.mark.parametrize(
    ("probes", "module", "expected"),
    [
        (None, None, {"health", "ready", "metadata"}),
        (None, {"health": {}}, {"health"}),
        ({"ready": {}}, None, {"ready"}),
        ({}, {"health": {}}, {"health"}),
        ({"health": None}, {"health": {}}, set()),
    ],
)
def test_which_probes_run(probes: object, module: object, expected: set[str]) -> None:
    target = {"name": "t", "module": "m", **({} if probes is None else {"probes": probes})}
    made = jobs(target, modules={"m": {"protocol": "openai", **({} if module is None else {"probes": module})}})
    assert {probe for _, probe in made} == expected


def test_deep_changes_neither_side() -> None:
    lower, upper = {"a": {"x": 1}, "b": [1]}, {"a": {"y": 2}, "b": [2]}
    assert deep(lower, upper) == {"a": {"x": 1, "y": 2}, "b": [2]}
    assert (lower, upper) == ({"a": {"x": 1}, "b": [1]}, {"a": {"y": 2}, "b": [2]})
