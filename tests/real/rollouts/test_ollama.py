"""Ollama creates a model under a name that stood for another one, and gives the name back to that."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.conformance.running import Running
from tests.real.conformance.servers.ollama import SPECS
from tests.real.conformance.spec import served_by
from tests.real.rollouts.by_config import Site
from tests.support.web import fetch

pytestmark = [pytest.mark.real, served_by("ollama")]

TARGET = {"protocol": "ollama", "wake": True, "probes": {"ready": {"interval": "1s"}, "stream": {"interval": "1s"}}}


@pytest.fixture
def ollama(server: str, tmp_path: Path) -> Iterator[Running]:
    running = Running(SPECS[0], tmp_path / "ollama")
    running.start()
    yield running
    running.end()


def digests(running: Running) -> dict[str, str]:
    return {each["name"]: each["digest"] for each in fetch(f"{running.url}/api/tags").json()["models"]}


def test_created_over_another_one_and_back(ollama: Running, tmp_path: Path) -> None:
    create = {"from": "tiny", "template": "{{ .Prompt }}:", "parameters": {"top_k": 1}}
    site = Site(ollama, tmp_path, {**TARGET, "model": "bot:3"}, {"ollama": {"create": create}})
    at_first = digests(ollama)
    first = site.deploy("--model", "bot", "--version", "3", "--to", "one")
    assert first.code == 0, first.stderr + str(first.told)
    made = digests(ollama)
    assert set(made) == {*at_first, "bot:3"}

    create["parameters"] = {"top_k": 2}
    site = Site(ollama, tmp_path, {**TARGET, "model": "bot:3"}, {"ollama": {"create": create}})
    second = site.deploy("--model", "bot", "--version", "3", "--to", "one")
    assert second.code == 0, second.stderr + str(second.told)
    assert digests(ollama)["bot:3"] != made["bot:3"]

    back = site.deploy("--rollback", second.told["id"])
    assert back.code == 0, back.stderr + str(back.told)
    assert digests(ollama) == made
    assert site.deploy("--rollback", first.told["id"]).code == 0
    assert digests(ollama) == at_first


def test_another_tag_than_its_target_asks_for(ollama: Running, tmp_path: Path) -> None:
    site = Site(ollama, tmp_path, {**TARGET, "model": "tiny"}, {})
    done = site.deploy("--model", "tiny", "--version", "8b", "--to", "one")
    assert done.code == 2
    assert "asks for tiny, not for tiny:8b" in done.stderr


def test_a_pull_of_what_no_library_has(ollama: Running, tmp_path: Path) -> None:
    """The library is out of reach here: the server says so, and nothing is changed."""
    site = Site(ollama, tmp_path, {**TARGET, "model": "127.0.0.1:9/library/none:1"}, {})
    before = digests(ollama)
    done = site.deploy("--model", "127.0.0.1:9/library/none", "--version", "1", "--to", "one", "--timeout", "20s")
    assert done.code == 1
    assert "/api/pull: HTTP 500" in done.told["environments"][0]["detail"]
    assert digests(ollama) == before
