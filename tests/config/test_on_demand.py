"""Jobs of targets that no file names: those of a url, of a question, and of `/probe` with a module."""

import pytest

from exporter.config import on_demand
from exporter.config.loader import ConfigError
from exporter.config.models import File
from exporter.model.job import Kind
from tests.config.make import built

# jobs_for_url


def test_a_url_alone() -> None:
    (job,) = on_demand.jobs_for_url("http://127.0.0.1:8000")
    assert job.kind is Kind.DETECT


def test_a_url_with_everything() -> None:
    made = on_demand.jobs_for_url(
        "http://h", protocol="openai", model="m", probes=["health", "stream"],
        settings={"probes": {"stream": {"prompt": "hi"}}, "auth": {"bearer": "x"}},
    )  # fmt: skip
    assert [(job.probe, job.target.model) for job in made] == [("health", "m"), ("stream", "m")]
    assert made[1].ask.__self__.settings.prompt == "hi"  # type: ignore[attr-defined]
    assert made[1].target.endpoint.auth is not None


def test_a_wrong_url_is_told_without_its_password() -> None:
    with pytest.raises(ConfigError) as caught:
        on_demand.jobs_for_url("http://u:s3cr3t@h")
    assert str(caught.value) == ("--target: targets[0].url: the url holds credentials (not shown); they belong in auth")


# job_for_question


def test_a_question_that_no_config_can_name() -> None:
    job = on_demand.job_for_question("http://h/x", "openai", Kind.CATALOGUE, "m")
    assert job is not None
    assert (job.kind, job.target.model, job.target.endpoint.path) == (Kind.CATALOGUE, "m", "/x")
    assert on_demand.job_for_question("http://h", "mlflow", Kind.CATALOGUE) is None
    assert on_demand.job_for_question("http://h", "tf_serving", Kind.PROPOSE) is None
    assert on_demand.job_for_question("http://h", "tf_serving", Kind.PROPOSE, "m") is not None


# jobs_for_module

MODULES = {
    "chat": {"protocol": "openai", "probes": {"health": {}, "stream": {}}},
    "keyed": {"protocol": "http", "auth": {"bearer": "s3cr3t", "hosts": ["10.0.0.0/8", "ok.example:80"]}},
    "headed": {"protocol": "http", "headers": {"X-Key": "s3cr3t"}, "auth": {"hosts": ["ok.example"]}},
    "shut": {"protocol": "http", "headers": {"X-Key": "s3cr3t"}},
}


@pytest.fixture
def file() -> File:
    targets = [{"url": "http://known:81", "module": "keyed"}, {"url": "http://own:82", "module": "keyed", "auth": None}]
    return built({"targets": targets, "modules": MODULES, "on_demand": {"allow": ["*"]}}).file


def test_all_probes_of_a_module(file: File) -> None:
    made = on_demand.jobs_for_module(file, "chat", "http://h:1", "m", "")
    assert [(job.probe, job.target.model, job.target.endpoint.host) for job in made] == [
        ("health", "m", "h"), ("stream", "m", "h"),
    ]  # fmt: skip
    assert [job.probe for job in on_demand.jobs_for_module(file, "chat", "http://h:1", "m", "stream")] == ["stream"]
    assert [job.kind for job in on_demand.jobs_for_module(file, "", "http://h:1")] == [Kind.DETECT]


def test_what_does_not_exist(file: File) -> None:
    with pytest.raises(LookupError, match="unknown module 'nope'; known: chat, headed, keyed, shut"):
        on_demand.jobs_for_module(file, "nope", "http://h")
    with pytest.raises(LookupError, match="unknown probe 'infer'; known: health, stream"):
        on_demand.jobs_for_module(file, "chat", "http://h", "m", "infer")
    with pytest.raises(ValueError, match="scheme") as caught:
        on_demand.jobs_for_module(file, "chat", "ftp://u:s3cr3t@h", "m")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "url", "allowed"),
    [
        ("keyed", "http://10.1.1.1", True), ("keyed", "http://ok.example", True),
        ("keyed", "http://ok.example:81", False),
        ("keyed", "http://known:81", True), ("keyed", "http://known:80", False), ("keyed", "http://own:82", False),
        ("headed", "http://ok.example:9", True), ("headed", "http://h", False), ("shut", "http://h", False),
        ("chat", "http://anywhere", True),
    ],
)  # fmt: skip
def test_credentials_go_only_where_they_may(module: str, url: str, allowed: bool, file: File) -> None:
    if allowed:
        assert on_demand.jobs_for_module(file, module, url, "m")
        return
    with pytest.raises(on_demand.CredentialsDenied, match=rf"modules\.{module}\.auth\.hosts") as caught:
        on_demand.jobs_for_module(file, module, url, "m")
    assert "s3cr3t" not in str(caught.value)
