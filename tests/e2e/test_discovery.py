"""Targets that come and go by themselves: a server's list of models, and the addresses of one target."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.fake import Fake, Reply, Request
from tests.support.ports import free_port
from tests.support.scrape import Scrape
from tests.support.web import until

pytestmark = pytest.mark.slow

JSON = {"Content-Type": "application/json"}
QUICK = {"interval": "200ms", "timeout": "2s"}


class Gateway:
    """A server that speaks the OpenAI API, as far as a listing goes."""

    def __init__(self, *models: str) -> None:
        self.models: tuple[str, ...] = models
        self.status = 200
        self.token = ""

    def __call__(self, request: Request) -> Reply:
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return 401, '{"error": {"message": "no key"}}', JSON
        if request.path == "/v1/models":
            data = [{"id": name, "object": "model", "created": 1, "owned_by": "vllm"} for name in self.models]
            return self.status, json.dumps({"object": "list", "data": data}), JSON
        if request.path == "/version":
            return 200, '{"version": "0.11.0"}', JSON
        return 404, '{"detail": "Not Found"}', JSON


@pytest.fixture
def gateway() -> Gateway:
    return Gateway("llama", "gpt")


@pytest.fixture
def fake(gateway: Gateway) -> Iterator[Fake]:
    with Fake(gateway) as server:
        yield server


def entry(url: str, *, protocol: str = "openai", **more: Any) -> dict[str, Any]:
    """A config with one catalogue, read all the time."""
    catalogue = {"url": url, "protocol": protocol, "interval": "200ms", "timeout": "2s", **more}
    return {
        "defaults": QUICK,
        "discovery": [{"catalogue": catalogue, "name": "gw", "labels": {"team": "chat"}}],
    }


def targets(scrape: Scrape, **labels: str) -> set[str]:
    return {sample.labels["target"] for sample in scrape.all("model_probe_state", **labels)}


def until_targets(daemon: Daemon, *names: str, within: float = 20) -> Scrape:
    def reached() -> Scrape | None:
        scrape = daemon.scrape()
        return scrape if targets(scrape) == set(names) else None

    scrape: Scrape = until(f"the targets {names}", reached, within=within, log=daemon.process.tail)
    return scrape


@pytest.mark.parametrize("protocol", ["openai", "auto"])
def test_targets_follow_the_list_of_a_server(tmp_path: Path, fake: Fake, gateway: Gateway, protocol: str) -> None:
    with Daemon(tmp_path, entry(fake.url, protocol=protocol)) as daemon:
        until_targets(daemon, "gw/llama", "gw/gpt")
        daemon.until_state("gw/llama", "healthy", within=20)
        runs_of = {"target": "gw/llama", "probe": "health"}
        before = until(
            "a run of its health",
            lambda: (s := daemon.scrape()).value("model_probe_runs_total", **runs_of) and s,
            within=20,
        )
        labels = dict(before.labels("model_probe_up", target="gw/llama"))
        assert labels == {"target": "gw/llama", "model": "llama", "team": "chat"}
        assert before.value("model_exporter_targets", source="gw") == 2
        assert before.value("model_exporter_discovery_failures_total", source="gw") == 0
        gateway.models = ("llama", "qwen")
        after = until_targets(daemon, "gw/llama", "gw/qwen")
        assert 'model="gpt"' not in after.text, "what is gone leaves no series"
        runs = [one.value("model_probe_runs_total", **runs_of) or 0 for one in (before, after)]
        assert 0 < runs[0] <= runs[1], "the unchanged target's counters began again"
        daemon.until_state("gw/qwen", "healthy", within=20)
        assert daemon.terminate() == 0
        assert "Traceback" not in daemon.process.stderr


def test_what_was_expected_and_is_missing_is_counted_and_watched(tmp_path: Path, fake: Fake, gateway: Gateway) -> None:
    with Daemon(tmp_path, entry(fake.url, expected=["llama", "mistral"])) as daemon:
        scrape = daemon.until_state("gw/mistral", "unhealthy", within=20)
        assert scrape.value("model_probe_models_missing", source="gw") == 1
        assert scrape.value(
            "model_probe_failures_total",
            target="gw/mistral",
            probe="ready",
            status="unhealthy",
            reason="model_not_found",
        )
        gateway.models = ("mistral", "llama")
        scrape = daemon.until_state("gw/mistral", "healthy", within=20)
        until(
            "nothing to be missing",
            lambda: daemon.scrape().value("model_probe_models_missing", source="gw") == 0,
            within=10,
        )


def test_the_last_known_targets_stay_while_the_list_cannot_be_read(
    tmp_path: Path, fake: Fake, gateway: Gateway
) -> None:
    with Daemon(tmp_path, entry(fake.url)) as daemon:
        daemon.until_state("gw/llama", "healthy", within=20)
        gateway.status = 500
        failures = "model_exporter_discovery_failures_total"
        scrape = until(
            "a failure to be counted", lambda: (s := daemon.scrape()).value(failures, source="gw") and s, within=20
        )
        assert targets(scrape) == {"gw/llama", "gw/gpt"}
        daemon.until_state("gw/llama", "unhealthy", within=20)
        gateway.status, gateway.models = 200, ("llama",)
        until_targets(daemon, "gw/llama")


def test_a_server_that_is_not_there_yet(tmp_path: Path) -> None:
    port = free_port()
    with Daemon(tmp_path, entry(f"http://127.0.0.1:{port}", protocol="auto", expected=["llama"])) as daemon:
        scrape = daemon.until_state("gw/llama", "error", within=30)
        assert scrape.value("model_probe_models_missing", source="gw") is None, "never read"
        assert scrape.value("model_exporter_discovery_last_success_timestamp_seconds", source="gw") is None
        assert daemon.get("/-/ready").status == 200


def test_a_reload_takes_the_entry_away_and_narrows_it(tmp_path: Path, fake: Fake) -> None:
    with Daemon(tmp_path, entry(fake.url), args=["--reload-interval", "0"]) as daemon:
        until_targets(daemon, "gw/llama", "gw/gpt")
        daemon.write(entry(fake.url, exclude="gpt"))
        assert daemon.get("/-/reload", method="POST").status == 200
        until_targets(daemon, "gw/llama")
        daemon.write({"targets": []})
        assert daemon.get("/-/reload", method="POST").status == 200
        scrape = until_targets(daemon)
        assert 'source="gw"' not in scrape.text
        asked = len(fake.requests)
        until("time to pass", lambda: daemon.scrape(), within=1)
        assert len(fake.requests) <= asked + 1, "nobody reads the list any more"


def test_credentials_open_the_list_and_the_models(tmp_path: Path, fake: Fake, gateway: Gateway) -> None:
    gateway.token = "s3cr3t-token"
    config = entry(fake.url, protocol="auto", auth={"bearer": gateway.token})
    with Daemon(tmp_path, config) as daemon:
        scrape = daemon.until_state("gw/gpt", "healthy", within=20)
        assert "s3cr3t" not in scrape.text + daemon.get("/config").body + daemon.get("/").body + daemon.process.stderr


# Replicas


class Replica:
    """An Open Inference server at one loopback address, all at the same port."""

    def __init__(self, host: str, port: int, version: str) -> None:
        told = {
            "/v2": {"name": "mlserver", "version": "1.7.1", "extensions": []},
            "/v2/models/m": {"name": "m", "versions": [version], "platform": "", "inputs": [], "outputs": []},
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(told.get(self.path, {})).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer((host, port), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # the prober's resets are its right
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def kill(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[[str, int, str], Replica]]:
    with ExitStack() as stack:

        def start(host: str, port: int, version: str = "3") -> Replica:
            replica = Replica(host, port, version)
            stack.callback(replica.kill)
            return replica

        yield start


def group(port: int, replicas: Any, host: str = "models.test") -> dict[str, Any]:
    probes = {"health": {}, "metadata": {"interval": "300ms"}}
    return {
        "defaults": QUICK,
        "targets": [
            {"name": "g", "url": f"http://{host}:{port}", "protocol": "open_inference", "model": "m",
             "replicas": replicas, "probes": probes},
        ],
    }  # fmt: skip


def counts(scrape: Scrape) -> dict[str, float]:
    found = {each.labels["state"]: each.value for each in scrape.all("model_probe_replicas", target="g", model="m")}
    return {state: number for state, number in found.items() if number}


def until_counts(daemon: Daemon, **expected: float) -> Scrape:
    def reached() -> Scrape | None:
        scrape = daemon.scrape()
        return scrape if counts(scrape) == expected else None

    scrape: Scrape = until(f"replicas to be {expected}", reached, within=30, log=daemon.process.tail)
    return scrape


def test_each_address_is_watched_and_the_odd_one_is_named(tmp_path: Path, serve: Callable[..., Replica]) -> None:
    port, other = free_port(), free_port()
    serve("127.0.0.1", port)
    dies = serve("127.0.0.2", port)
    serve("127.0.0.3", other, "4")
    with Daemon(tmp_path, group(port, ["127.0.0.1", "127.0.0.2", f"127.0.0.3:{other}"])) as daemon:
        scrape = until_counts(daemon, healthy=3)
        assert {sample.labels["address"] for sample in scrape.all("model_probe_up", target="g")} == {
            f"127.0.0.1:{port}", f"127.0.0.2:{port}", f"127.0.0.3:{other}",
        }  # fmt: skip
        expected = {
            f"127.0.0.1:{port}": None, f"127.0.0.2:{port}": None,
            f"127.0.0.3:{other}": "serves version 4 while 2 of 3 serve 3",
        }  # fmt: skip

        def odd() -> dict[str, str | None]:
            return {row["address"]: row["odd"] for row in daemon.get("/api/v1/targets").json()["targets"]}

        until("the one with another version to be named", lambda: odd() == expected, within=30, log=lambda: str(odd()))
        assert daemon.scrape().value("model_probe_versions", target="g") == 2
        assert daemon.get("/ready/g").status == 200
        dies.kill()
        scrape = until_counts(daemon, healthy=2, error=1)
        assert scrape.value("model_probe_up", target="g", address=f"127.0.0.2:{port}") == 0
        assert scrape.value("model_probe_up", target="g", address=f"127.0.0.1:{port}") == 1
        assert daemon.get("/ready/g").status == 200, "two take requests"
        assert daemon.get(f"/ready/g@127.0.0.2:{port}").status == 503
        assert "error while 2 of 3 are healthy" in daemon.get("/").body
        assert daemon.terminate() == 0


def test_addresses_that_come_and_go_with_a_reload(tmp_path: Path, serve: Callable[..., Replica]) -> None:
    port = free_port()
    for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        serve(host, port)
    with Daemon(tmp_path, group(port, ["127.0.0.1", "127.0.0.2"]), args=["--reload-interval", "0"]) as daemon:
        before = until_counts(daemon, healthy=2)
        daemon.write(group(port, ["127.0.0.1", "127.0.0.3"]))
        assert daemon.get("/-/reload", method="POST").status == 200
        until("the new address", lambda: 'address="127.0.0.3:' in daemon.scrape().text, within=20)
        after = until_counts(daemon, healthy=2)
        assert "127.0.0.2" not in after.text
        where = {"target": "g", "address": f"127.0.0.1:{port}", "probe": "health"}
        runs = [scrape.value("model_probe_runs_total", **where) or 0 for scrape in (before, after)]
        assert 0 < runs[0] <= runs[1], "the unchanged replica's counters began again"


def test_a_name_is_every_address_it_has(tmp_path: Path, serve: Callable[..., Replica]) -> None:
    """`localhost` is the one name that resolves everywhere."""
    port = free_port()
    serve("127.0.0.1", port)
    with Daemon(tmp_path, group(port, "dns", "localhost")) as daemon:
        scrape = until(
            "the address of localhost",
            lambda: (s := daemon.scrape()).value("model_probe_up", target="g", address=f"127.0.0.1:{port}") and s,
            within=20, log=daemon.process.tail,
        )  # fmt: skip
        assert scrape.value("model_exporter_discovery_failures_total", source="dns:localhost") == 0
        assert scrape.value("model_probe_replicas", target="g", state="healthy") == 1


def lists(folder: Path, fake: Fake) -> dict[str, Any]:
    return {
        "defaults": QUICK,
        "modules": {"chat": {"protocol": "openai", "probes": {"health": {}}}},
        "discovery": [
            {
                "file": {"paths": [str(folder / "*.yml")], "interval": "200ms"}, "name": "list", "module": "chat",
                "relabel_configs": [
                    {"source_labels": ["served"], "target_label": "__model__"},
                    {"source_labels": ["served"], "target_label": "__target__"},
                    {"action": "labeldrop", "regex": "served"},
                ],
            }
        ],
    }  # fmt: skip


def test_targets_of_files_follow_a_config_map_as_kubelet_swaps_it(tmp_path: Path, fake: Fake) -> None:
    """A ConfigMap is a folder of links through a link `..data` that is swapped at once."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()

    def publish(version: int, *models: str) -> None:
        folder = mounted / f"..{version}"
        folder.mkdir()
        groups = [{"targets": [fake.url], "labels": {"served": model, "team": "chat"}} for model in models]
        (folder / "chat.yml").write_text(json.dumps(groups))
        (mounted / "..new").symlink_to(folder.name)
        (mounted / "..new").rename(mounted / "..data")

    publish(1, "llama")
    (mounted / "chat.yml").symlink_to("..data/chat.yml")
    with Daemon(tmp_path, lists(mounted, fake)) as daemon:
        before = daemon.until_state("llama", "healthy", within=20)
        assert dict(before.labels("model_probe_up")) == {"target": "llama", "model": "llama", "team": "chat"}
        publish(2, "llama", "gpt")
        until_targets(daemon, "llama", "gpt")
        publish(3, "llama")
        after = until_targets(daemon, "llama")
        assert after.value("model_exporter_targets", source="list") == 1
        assert after.value("model_exporter_discovery_failures_total", source="list") == 0
        runs = [one.value("model_probe_runs_total", target="llama", probe="health") or 0 for one in (before, after)]
        assert 0 < runs[0] <= runs[1], "the unchanged target's counters began again"


def test_a_list_that_breaks_keeps_its_targets_and_says_so(tmp_path: Path, fake: Fake) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "a.yml").write_text(json.dumps([{"targets": [fake.url], "labels": {"served": "llama"}}]))
    with Daemon(tmp_path, lists(folder, fake)) as daemon:
        until_targets(daemon, "llama")
        (folder / "a.yml").write_text("- targets: [")
        (folder / "b.yml").write_text(json.dumps([{"targets": [fake.url], "labels": {"served": "gpt"}}]))
        scrape = until_targets(daemon, "llama", "gpt")
        assert (scrape.value("model_exporter_discovery_failures_total", source="list") or 0) >= 1
        (folder / "a.yml").write_text("[]")
        until_targets(daemon, "gpt")
        told = [event for event in daemon.events() if event["msg"].startswith("discovery failed")]
        assert len(told) == 1, "once, however often it is read"
        assert "a.yml: line " in told[0]["detail"]


def test_targets_of_a_server_of_lists(tmp_path: Path, fake: Fake) -> None:
    """Lists come with a credential; while there is none to be had, what is known stays."""
    served = [
        json.dumps([{"targets": [fake.url], "labels": {"__model__": "llama", "__target__": "llama", "zone": "eu"}}])
    ]

    def answer(request: Request) -> Reply:
        return (200, served[0], JSON) if request.headers.get("authorization") == "Bearer t0ken" else (401, "", JSON)

    with Fake(answer) as lists_server:
        http = {"url": f"{lists_server.url}/sd", "interval": "200ms", "auth": {"bearer": "t0ken"}}
        config = {
            "defaults": QUICK,
            "modules": {"chat": {"protocol": "openai", "probes": {"health": {}}}},
            "discovery": [{"http": http, "name": "list", "module": "chat", "labels": {"team": "chat"}}],
        }
        with Daemon(tmp_path, config) as daemon:
            scrape = daemon.until_state("llama", "healthy", within=20)
            assert dict(scrape.labels("model_probe_up")) == {
                "target": "llama", "model": "llama", "team": "chat", "zone": "eu",
            }  # fmt: skip
            served[0] = "<html>"
            failures = "model_exporter_discovery_failures_total"
            until("a failure", lambda: (daemon.scrape().value(failures, source="list") or 0) > 0, within=20)
            assert targets(daemon.scrape()) == {"llama"}
            served[0] = "[]"
            until_targets(daemon)
