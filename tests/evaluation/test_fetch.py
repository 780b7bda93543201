"""Data sets from files and over HTTP: bounded, and read again when they changed."""

import os
from dataclasses import replace

import pytest
from aiohttp import web

from exporter.evaluation.dataset import BadDataset
from exporter.evaluation.fetch import Fetcher
from exporter.model.evaluation import Source
from exporter.model.secret import Secret
from exporter.transport import Transport
from tests.evaluation.make import Server, job, rows
from tests.support.ports import free_port


class Host:
    """A web server with one data set."""

    def __init__(self) -> None:
        self.text = rows(3)
        self.status = 200
        self.requests: list[web.BaseRequest] = []
        self.tag = True

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.requests.append(request)
        etag = f'"{hash(self.text)}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        headers = {"ETag": etag} if self.tag else {}
        return web.Response(text=self.text, status=self.status, headers=headers)


@pytest.fixture
async def host():
    host = Host()
    runner = web.ServerRunner(web.Server(host))
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    host.url = f"http://127.0.0.1:{port}/golden.jsonl"
    yield host
    await runner.cleanup()


@pytest.fixture
async def fetcher():
    transport = Transport(user_agent="test")
    yield Fetcher(lambda: transport.calls)
    await transport.close()


def at(url, **more):
    source = Source("golden.jsonl", "jsonl", 10_000, url=url, **more)
    return job(Server(), None, source=source).evaluation


async def test_what_did_not_change_is_not_sent_again(fetcher, host):
    first = await fetcher.fetch("a", at(host.url, headers=(("Authorization", Secret("inline", "Bearer s3cr3t")),)))
    assert [one.id for one in first.examples] == ["0", "1", "2"]
    assert host.requests[0].headers["Authorization"] == "Bearer s3cr3t"
    evaluation = at(host.url)
    first = await fetcher.fetch("a", evaluation)
    assert await fetcher.fetch("a", evaluation) is first
    assert "If-None-Match" in host.requests[-1].headers
    host.text = rows(5)
    assert len((await fetcher.fetch("a", evaluation)).examples) == 5


async def test_the_same_text_sent_again_is_not_read_again(fetcher, host):
    host.tag = False
    first = await fetcher.fetch("a", at(host.url))
    assert await fetcher.fetch("a", replace(at(host.url), question=None)) is first


async def test_other_jobs_are_forgotten(fetcher, host):
    first = await fetcher.fetch("a", at(host.url))
    fetcher.keep({"a", "b"})
    assert await fetcher.fetch("a", at(host.url)) is first
    fetcher.keep({"b"})
    await fetcher.fetch("a", at(host.url))
    assert "If-None-Match" not in host.requests[-1].headers


@pytest.mark.parametrize(
    ("status", "text", "problem"),
    [
        (404, "", "golden.jsonl: HTTP 404"),
        (302, "", "golden.jsonl: HTTP 302"),
        (200, "x" * 10_001, "golden.jsonl: too_large: the answer is longer than 10000 bytes"),
        (200, "", "golden.jsonl:1: no example; a line for each is expected"),
    ],
)
async def test_what_cannot_be_used_is_told(fetcher, host, status, text, problem):
    host.status, host.text = status, text
    with pytest.raises(BadDataset) as caught:
        await fetcher.fetch("a", at(host.url))
    assert caught.value.problems == [problem]


async def test_a_bad_set_does_not_hide_behind_the_last_good_one(fetcher, host):
    await fetcher.fetch("a", at(host.url))
    host.text = "nonsense"
    with pytest.raises(BadDataset):
        await fetcher.fetch("a", at(host.url))
    host.text = rows(2)
    assert len((await fetcher.fetch("a", at(host.url))).examples) == 2


async def test_nobody_there_and_no_secret(fetcher):
    with pytest.raises(BadDataset, match=r"golden.jsonl: connect_refused"):
        await fetcher.fetch("a", at(f"http://127.0.0.1:{free_port()}/"))
    with pytest.raises(BadDataset, match=r"golden.jsonl: auth: cannot read secret"):
        await fetcher.fetch("a", at("http://127.0.0.1:1/", headers=(("X", Secret("env", "NOT_THERE_AT_ALL")),)))


async def test_a_file_is_read_as_it_is_now(fetcher, tmp_path):
    path = tmp_path / "golden.jsonl"
    path.write_text(rows(2))
    made = job(Server(), path).evaluation
    first = await fetcher.fetch("a", made)
    assert await fetcher.fetch("a", made) is first
    path.write_text(rows(4))
    assert len((await fetcher.fetch("a", made)).examples) == 4
    path.unlink()
    with pytest.raises(BadDataset, match=r"golden.jsonl: cannot be read: No such file"):
        await fetcher.fetch("a", made)


async def test_only_a_file_of_bounded_size_is_one(fetcher, tmp_path):
    path = tmp_path / "golden.jsonl"
    path.write_text(rows(9))
    made = job(Server(), path, source=Source("golden.jsonl", "jsonl", 100, path=str(path))).evaluation
    with pytest.raises(BadDataset, match="longer than max_size, 100 bytes"):
        await fetcher.fetch("a", made)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BadDataset, match="not a regular file"):
        await fetcher.fetch("a", made)
    with pytest.raises(BadDataset, match="cannot be read: Is a directory"):
        await fetcher.fetch("a", job(Server(), tmp_path).evaluation)
