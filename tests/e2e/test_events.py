"""What happens, heard from the exporter as a process; a target asked at once; an end while somebody listens."""

import http.client
import json
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.fake import Fake

pytestmark = pytest.mark.slow


def config(url: str) -> dict[str, Any]:
    probes = {"health": {"interval": "1h", "timeout": "1s", "retry": {"attempts": 1}}}
    return {"targets": [{"name": "a/b", "url": f"{url}/health", "protocol": "http", "probes": probes}]}


def listen(exporter: Daemon, query: str = "", known: str = "") -> Generator[dict[str, Any], None, None]:
    """The events, one after the other; the first is there once the stream is open and has no type."""
    connection = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=30)
    connection.request("GET", f"/api/v1/events{query}", headers={"Last-Event-ID": known} if known else {})
    answer = connection.getresponse()
    assert answer.status == 200
    fields: dict[str, str] = {}
    with closing(connection), closing(answer):
        for line in answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields or "retry" in fields:
                yield {**fields, "data": json.loads(fields.pop("data", "null"))}
                fields = {}


def test_an_outage_is_heard_as_it_happens(tmp_path: Path) -> None:
    with Fake(lambda _: (200, "ok")) as server, Daemon(tmp_path, config(server.url)) as exporter:
        exporter.until_state("a/b", "healthy", within=30)
        with closing(listen(exporter)) as changes, closing(listen(exporter, "?kind=run&target=a/b")) as runs:
            next(changes), next(runs)
            server.answer = lambda _: (500, "CUDA error")
            asked = exporter.get("/api/v1/targets/a%2Fb/probe", method="POST")
            assert (asked.status, asked.json()) == (202, {"target": "a/b", "probes": ["health"]})
            run, change = next(runs)["data"], next(changes)
            assert (run["probe"], run["status"], run["reason"]) == ("health", "unhealthy", "http_status")
            assert (change["event"], change["data"]["from"], change["data"]["to"]) == ("state", "healthy", "unhealthy")
            assert "CUDA error" in change["data"]["detail"]
            assert "HTTP status: 500" in exporter.get("/target?name=a%2Fb").body
            with closing(listen(exporter, known=change["id"].rpartition("-")[0] + "-1")) as again:
                next(again)
                assert next(again)["data"] == change["data"]
            assert exporter.terminate() == 0
            assert list(changes) == []
