"""Planted secrets come out nowhere: not in a dump, a message, a representation or a fingerprint."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config import build, loader
from exporter.config.dump import HIDDEN, dump
from exporter.config.loader import ConfigError

pytestmark = pytest.mark.slow

PLANTED: dict[str, Any] = {
    "defaults": {"headers": {"X-Default": "s3cr3t-default-header"}},
    "modules": {
        "m": {
            "protocol": "openai",
            "auth": {"basic": {"username": "user", "password": "s3cr3t-password"}},
            "probes": {"stream": {"prompt": "s3cr3t-prompt"}},
        },
        "open": {"probes": {"infer": {"body": "s3cr3t-unread"}}},
    },
    "targets": [
        {"name": "a", "url": "http://h/?key=s3cr3t-query", "module": "m", "model": "m",
         "probes": {"infer": {"messages": [{"role": "user", "content": "s3cr3t-message"}]}}},
        {"name": "b", "url": "http://h", "protocol": "http", "auth": {"header": {"name": "X", "value": "s3cr3t-value"}},
         "headers": {"X-B": "s3cr3t-header"},
         "probes": {"health": {"headers": {"X-C": "s3cr3t-probe"}}, "infer": {"body": {"deep": ["s3cr3t-body"]}}}},
        {"name": "c", "url": "http://h", "protocol": "mlflow", "auth": {"bearer": "s3cr3t-bearer"}},
        {"name": "d", "url": "http://h", "protocol": "http", "module": "open"},
        {"name": "e", "url": "http://h", "protocol": "http", "auth": {"oauth2": {
            "token_url": "https://idp.example/token?key=s3cr3t-token-query", "client_id": "s3cr3t-id",
            "client_secret": "s3cr3t-client", "scopes": ["read"], "params": {"extra": "s3cr3t-param"},
            "tls": {"server_name": "idp"},
            "proxy": {"url": "http://proxy:3128", "auth": {"bearer": "s3cr3t-far-proxy"}}}}},
        {"name": "f", "url": "http://h", "protocol": "http", "auth": {"sigv4": {
            "region": "r", "access_key_id": "s3cr3t-access", "secret_access_key": "s3cr3t-key",
            "session_token": "s3cr3t-session"}}},
        {"name": "g", "url": "http://h", "protocol": "http", "proxy": {
            "url": "http://proxy:3128", "auth": {"basic": {"username": "u", "password": "s3cr3t-proxy"}}}},
    ],
}  # fmt: skip

WRONG: dict[str, Any] = {
    "true": True, "number": 5, "list": ["WRONG"], "mapping": {"any": "WRONG"}, "newline": "WRONG\n", "nul": "WRONG\0",
    "empty": "",
}  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every scalar."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))
    else:
        yield path


def test_in_no_dump() -> None:
    file = loader.load_values(PLANTED, "x").file
    text = dump(file)
    assert "s3cr3t" not in text
    shown = yaml.safe_load(text)
    assert shown["targets"][1]["headers"] == {"X-B": HIDDEN}
    assert shown["targets"][2]["auth"] == {"bearer": HIDDEN}
    assert shown["modules"]["m"]["probes"]["stream"]["prompt"] == HIDDEN
    assert shown["targets"][0]["url"] == "http://h:80?<hidden>"
    assert shown["targets"][4]["auth"]["oauth2"]["client_secret"] == HIDDEN
    assert shown["targets"][6]["proxy"]["url"] == "http://proxy:3128"


def test_in_no_representation() -> None:
    file = loader.load_values(PLANTED, "x").file
    made = build.build(file)
    endpoints = [job.target.endpoint for job in made.jobs]
    shown = [(endpoint.auth, endpoint.headers, endpoint.proxy, endpoint.url) for endpoint in endpoints]
    assert "s3cr3t" not in repr(shown).replace("?key=s3cr3t-token-query", "")
    assert "s3cr3t" not in "".join(job.fingerprint for job in made.jobs)
    assert "s3cr3t" not in repr(file.defaults)


@pytest.mark.parametrize("path", list(places(PLANTED)), ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("wrong", list(WRONG.values()), ids=list(WRONG))
def test_in_no_message(path: tuple[Any, ...], wrong: object, tmp_path: Path) -> None:
    """Whatever is wrong with one place: values of the others stay unsaid, and so does its own where it is secret."""
    values = copy.deepcopy(PLANTED)
    here = values
    for part in path[:-1]:
        here = here[part]
    secret = "s3cr3t" in str(here[path[-1]])
    here[path[-1]] = json.loads(json.dumps(wrong).replace("WRONG", "s3cr3t" if secret else "harmless"))
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(values))
    try:
        told = [str(warning) for warning in loader.load([file]).warnings]
    except ConfigError as error:
        told = [str(error), repr(error)]
    assert "s3cr3t" not in "".join(told)


@pytest.mark.parametrize(
    "path",
    [
        ("modules", "m", "auth"), ("modules", "m", "auth", "basic"), ("defaults", "headers"), ("targets", 1, "headers"),
        ("targets", 1, "auth", "header"), ("targets", 0, "probes", "infer", "messages"),
        ("targets", 0, "probes", "infer", "messages", 0), ("targets", 1, "probes", "health", "headers"),
    ],
    ids=str,
)  # fmt: skip
def test_text_in_place_of_a_secret_block_is_not_quoted(path: tuple[Any, ...]) -> None:
    values = copy.deepcopy(PLANTED)
    here = values
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = "s3cr3t"
    with pytest.raises(ConfigError) as caught:
        loader.load_values(values, "x")
    assert "s3cr3t" not in str(caught.value)
