"""Reloads without end: by signal, by swapped files, half-written ones, wrong ones, under scrape."""

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support import lateness, wrong_configs
from tests.support.daemon import Daemon
from tests.support.fake import Fake
from tests.support.machine import Machine
from tests.support.proc import Proc
from tests.support.scrape import Scrape
from tests.support.scrapers import Scrapers
from tests.support.web import until

pytestmark = pytest.mark.slow

Size = Callable[[int, int], int]
Figure = Callable[[str], None]
_NAMES = re.compile(r'^model_probe_interval_seconds\{target="(v\d+)-(\w+)"', re.MULTILINE)


def version(number: int, url: str, *names: str) -> dict[str, Any]:
    """Targets that tell which version of the config they are of, and one that is in all."""
    probes = {"health": {"interval": "200ms", "timeout": "2s"}}
    return {
        "targets": [
            {"name": name, "url": url, "protocol": "http", "probes": probes}
            for name in ("kept", *(f"v{number}-{name}" for name in names or ("a", "b", "c")))
        ]
    }


def seen(text: str) -> set[str]:
    """The versions whose targets a scrape shows; each must be there as a whole."""
    found: dict[str, set[str]] = {}
    for number, name in _NAMES.findall(text):
        found.setdefault(number, set()).add(name)
    assert all(names == {"a", "b", "c"} for names in found.values()), found
    assert len(found) == 1, found
    assert 'target="kept"' in text
    return set(found)


def runs_of(scrape: Scrape, target: str) -> float:
    return scrape.value("model_probe_runs_total", target=target, probe="health") or 0


def reloads(scrape: Scrape, result: str) -> float:
    return scrape.value("model_exporter_config_reloads_total", result=result) or 0


def test_hangups_under_scrape(tmp_path: Path, fake: Fake, size: Size, figure: Figure) -> None:
    """200 SIGHUPs in two seconds, 20 clients: every scrape is of one config, and the last one wins."""
    count = size(100, 200)
    with Daemon(tmp_path, version(0, fake.url), args=["--reload-interval", "0"]) as daemon:
        before = daemon.until_state("kept", "healthy", within=20)
        with Scrapers(daemon.url, size(8, 20), seen) as scrapers:
            for number in range(1, count + 1):
                daemon.write(version(number, fake.url))
                daemon.process.signal(signal.SIGHUP)
                time.sleep(0.01)
            until("the last config", lambda: seen(daemon.scrape().text) == {f"v{count}"}, within=60)
        after = daemon.scrape()
        figure(
            f"{count} SIGHUPs: {reloads(after, 'success') - 1:g} reloads, {scrapers.scrapes} scrapes, "
            f"the slowest took {scrapers.slowest:.2f} s"
        )
        assert 1 <= reloads(after, "success") - 1 <= count
        assert reloads(after, "failure") == 0
        assert after.value("model_exporter_config_last_reload_successful") == 1
        assert runs_of(after, "kept") >= runs_of(before, "kept") > 0
        assert scrapers.scrapes > 0


def test_every_wrong_file_leaves_the_old_config(tmp_path: Path, fake: Fake, size: Size) -> None:
    """Each file of the tests of the config, and a good one in the end."""
    names = sorted(path.name for path in wrong_configs.BAD.glob("*.yaml"))[:: size(8, 1)]
    wrong_configs.write_files(tmp_path / "files")
    wrong_configs.write_all(tmp_path)
    with Daemon(tmp_path, version(1, fake.url), args=["--reload-interval", "0"]) as daemon:
        daemon.until_state("kept", "healthy", within=20)
        for number, name in enumerate(names, 1):
            (tmp_path / name).replace(daemon.config_path)
            answer = daemon.get("/-/reload", method="POST", timeout=60)
            assert answer.status >= 400, name
            assert "s3cr3t" not in answer.body
            scrape = daemon.scrape()
            assert scrape.value("model_exporter_config_last_reload_successful") == 0
            assert reloads(scrape, "failure") == number
            assert seen(scrape.text) == {"v1"}
            told = [line for line in answer.body.splitlines() if line.startswith(f"{daemon.config_path}:")]
            logged = {event.get("problem") for event in daemon.events()}
            assert told, name
            assert logged.issuperset(told), name
            # The next good one makes up for it, though it is the one in force.
            daemon.write(version(1, fake.url))
            assert daemon.get("/-/reload", method="POST").status == 200, name
            scrape = daemon.scrape()
            assert scrape.value("model_exporter_config_last_reload_successful") == 1
            assert reloads(scrape, "success") == number + 1
        daemon.write(version(2, fake.url))
        assert daemon.get("/-/reload", method="POST").status == 200
        scrape = daemon.scrape()
        assert scrape.value("model_exporter_config_last_reload_successful") == 1
        assert seen(scrape.text) == {"v2"}
        assert "s3cr3t" not in daemon.process.stderr
        assert "Traceback" not in daemon.process.stderr


def test_a_swapped_folder_under_scrape(tmp_path: Path, fake: Fake, size: Size, figure: Figure) -> None:
    """Two config files of one ConfigMap: the link `..data` is swapped every 100 ms, as kubelet does it."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    swaps = size(40, 300)

    def swap(number: int) -> None:
        fresh = mounted / f"..2026_{number}"
        fresh.mkdir()
        (fresh / "one.yml").write_text(json.dumps(version(number, fake.url, "a")))
        two = version(number, fake.url, "b", "c")
        two["targets"] = two["targets"][1:]
        (fresh / "two.yml").write_text(json.dumps(two))
        (mounted / "..new").symlink_to(fresh.name)
        (mounted / "..new").rename(mounted / "..data")
        old = mounted / f"..2026_{number - 1}"
        if old.exists():  # kubelet removes it at once
            for file in old.iterdir():
                file.unlink()
            old.rmdir()

    swap(0)
    for name in ("one.yml", "two.yml"):
        (mounted / name).symlink_to(f"..data/{name}")
    arguments = [
        "--config",
        str(mounted / "one.yml"),
        "--config",
        str(mounted / "two.yml"),
        "--reload-interval",
        "50ms",
    ]
    with Daemon(tmp_path, args=arguments) as daemon:
        daemon.until_state("kept", "healthy", within=20)
        with Scrapers(daemon.url, 4, seen) as scrapers:
            for number in range(1, swaps + 1):
                swap(number)
                if number % 4 == 0:  # asked for besides, so that it reads while files are swapped
                    daemon.process.signal(signal.SIGHUP)
                time.sleep(0.1)
            until("the last config", lambda: seen(daemon.scrape().text) == {f"v{swaps}"}, within=60)
        after = daemon.scrape()
        figure(
            f"{swaps} swaps of ..data: {reloads(after, 'success') - 1:g} reloads, {reloads(after, 'failure'):g} failed,"
            f" {scrapers.scrapes} scrapes, the slowest took {scrapers.slowest:.2f} s"
        )
        assert reloads(after, "success") > 2
        assert after.value("model_exporter_config_last_reload_successful") == 1


def test_a_file_written_in_parts(tmp_path: Path, fake: Fake) -> None:
    """Truncated, then written in three parts: what is half there never counts, and nothing is no config."""
    with Daemon(tmp_path, version(1, fake.url), args=["--reload-interval", "50ms"]) as daemon:
        daemon.until_state("kept", "healthy", within=20)
        for number in range(2, 12):
            text = json.dumps(version(number, fake.url))
            failures, longest = reloads(daemon.scrape(), "failure"), 0.0
            with Scrapers(daemon.url, 1, seen):
                with daemon.config_path.open("w") as file:
                    for part in range(3):
                        began = time.perf_counter()
                        time.sleep(0.05)
                        file.write(text[part * len(text) // 3 : (part + 1) * len(text) // 3])
                        file.flush()
                        longest = max(longest, time.perf_counter() - began)
                until("the new config", lambda: seen(daemon.scrape().text) == {f"v{number}"}, within=20)  # noqa: B023
            if longest < 0.1:  # else a part lay there for longer than the exporter waits for the next
                break
        assert longest >= 0.1 or reloads(daemon.scrape(), "failure") == failures, "half a file was read"
        daemon.config_path.write_text("")
        failed = "model_exporter_config_last_reload_successful"
        until("an empty file to be refused", lambda: daemon.scrape().value(failed) == 0, within=20)
        assert seen(daemon.scrape().text) == {f"v{number}"}
        assert "empty" in daemon.process.stderr


def test_reloads_leak_nothing(tmp_path: Path, fake: Fake, size: Size, figure: Figure) -> None:
    """1,000 reloads, every other one of another config: memory, descriptors, threads and tasks stay what they are."""
    count = size(100, 1000)
    with Daemon(tmp_path, version(0, fake.url), args=["--reload-interval", "0"]) as daemon:
        daemon.until_state("kept", "healthy", within=20)
        proc = Proc(daemon.process.pid)

        def reload(number: int) -> None:
            daemon.write(version(number % 2, fake.url, *(f"n{n}" for n in range(20))))
            assert daemon.get("/-/reload", method="POST").status == 200

        for number in range(count // 4):
            reload(number)
        before = (proc.rss(), proc.descriptors(), proc.threads())
        began = time.perf_counter()
        for number in range(count):
            reload(number)
        took = time.perf_counter() - began
        left = proc.settled(before[1])
        grown = proc.rss() - before[0]
        figure(
            f"{count} reloads in {took:.0f} s: RSS {grown:+.1f} MB, descriptors {left:+}, "
            f"threads {proc.threads() - before[2]:+}"
        )
        assert grown <= size(3, 5)
        assert left <= 1  # the connection of a probe in flight
        assert proc.threads() <= before[2] + 1
        assert runs_of(daemon.scrape(), "kept") > 0


class Peer:
    """A server that says the same to every request, or nothing at all, and never closes. Moments are those of
    `time.perf_counter`, as the server sees them: when it was asked last, and when all its clients had gone.
    """

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open = 0
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.asked_at = self.left_at = 0.0
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def left(self) -> bool:
        return self.left_at > self.asked_at and not self._open

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                self._open += 1
                threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            while client.recv(65536):
                self.asked_at = time.perf_counter()
                client.sendall(self._answer)
        self._open, self.left_at = self._open - 1, time.perf_counter()

    def close(self) -> None:
        self._listening.close()


@contextmanager
def peer(answer: bytes) -> Iterator[Peer]:
    made = Peer(answer)
    try:
        yield made
    finally:
        made.close()


def test_who_is_removed_is_left_at_once(tmp_path: Path, fake: Fake, figure: Figure) -> None:
    """The connection of a probe in flight, and one that is kept between probes: closed within a second of the reload,
    as their servers see it.
    """
    long = {"interval": "40s", "timeout": "30s"}
    config = version(0, fake.url)
    with (
        peer(b"") as silent,
        peer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as kept,
        Daemon(tmp_path, config, args=["--reload-interval", "0"]) as daemon,
        Machine(daemon.process.pid) as machine,
    ):
        gone = [
            {"name": "in-flight", "url": silent.url, "protocol": "http", "probes": {"health": long}},
            {
                "name": "idle",
                "url": kept.url,
                "protocol": "http",
                "connection": "keep_alive",
                "probes": {"health": long},
            },
        ]
        for number in range(1, 4):
            daemon.write({"targets": [*config["targets"], *gone]})
            assert daemon.get("/-/reload", method="POST").status == 200
            daemon.until_state("idle", "healthy", within=60)
            until("a probe in flight", lambda: silent.asked_at > silent.left_at, within=60)
            assert not kept.left
            daemon.write(version(number, fake.url))
            assert daemon.get("/-/reload", method="POST").status == 200
            answered = time.perf_counter()
            assert 'target="in-flight"' not in (text := daemon.scrape().text)
            assert 'target="idle"' not in text
            until("both connections to be closed", lambda: silent.left and kept.left, within=20)
            for server in (silent, kept):
                late = server.left_at - answered
                assert late <= 1.0 + machine.at_once(answered, server.left_at)
            figure(
                f"removed: in flight, closed {silent.left_at - answered:+.3f} s after the answer; "
                f"idle, {kept.left_at - answered:+.3f} s"
            )


def test_what_goes_and_what_stays(tmp_path: Path) -> None:
    """A target that is removed takes its series and its connection along; one that stays is not even asked more."""
    stuck = threading.Event()

    def answer(request: Any) -> Any:
        if request.path == "/stuck":
            stuck.set()
            time.sleep(30)
        return 200, "ok"

    def target(name: str, url: str, **more: Any) -> dict[str, Any]:
        return {
            "name": name, "url": url, "protocol": "http",
            "probes": {"health": {"interval": "1s", "timeout": "900ms"} | more.pop("health", {})}, **more,
        }  # fmt: skip

    with Fake(answer) as fake:
        url = fake.url
        long = {"interval": "40s", "timeout": "30s"}
        first = [target("same", f"{url}/same"), target("moved", f"{url}/old"), target("labelled", f"{url}/labelled"),
                 target("gone", f"{url}/stuck", health=long)]  # fmt: skip
        with Daemon(tmp_path, {"targets": first}, args=["--reload-interval", "0"]) as daemon:
            for name in ("same", "moved", "labelled"):
                daemon.until_state(name, "healthy", within=20)
            until("a probe in flight", stuck.is_set, within=60)
            until("some runs", lambda: runs_of(daemon.scrape(), "labelled") >= 3, within=20)
            before = daemon.scrape()
            proc = Proc(daemon.process.pid)
            sockets = proc.sockets()
            second = [
                first[0],
                target("moved", f"{url}/new"),
                target("labelled", f"{url}/labelled", labels={"team": "x"}),
            ]
            daemon.write({"targets": second})
            assert daemon.get("/-/reload", method="POST").status == 200
            after = daemon.scrape()
            assert 'target="gone"' not in after.text
            until("its connection to be closed", lambda: proc.sockets() < sockets, within=5)
            assert runs_of(after, "same") >= runs_of(before, "same")
            assert runs_of(after, "labelled") >= runs_of(before, "labelled")
            assert {sample.labels.get("team") for sample in after.all("model_probe_runs_total", target="labelled")} == {
                "x"
            }
            assert runs_of(after, "moved") <= 1
            daemon.until_state("moved", "healthy", within=20)
            asked = [request.path for request in fake.requests]
            gap = asked[len(asked) - asked[::-1].index("/old") : asked.index("/new")]
            assert gap.count("/same") <= 2, "longer than an interval"
            count, began = asked.count("/same"), time.monotonic()
            for _ in range(10):
                daemon.write({"targets": [*second, target("extra", url)]})
                daemon.get("/-/reload", method="POST")
                daemon.write({"targets": second})
                daemon.get("/-/reload", method="POST")
            scrape = daemon.scrape()
            more = [request.path for request in fake.requests].count("/same") - count
            assert more <= 2 + (time.monotonic() - began), "reloads asked it more than its schedule says"
            assert runs_of(scrape, "same") >= runs_of(after, "same")


class Round(NamedTuple):
    """One reload: by the clock, how much of that the machine took from it, seconds of CPU, and who was late."""

    took: float
    waited: float
    used: float
    late: lateness.Lateness


def test_one_of_many_changes(tmp_path: Path, fake: Fake, size: Size, figure: Figure) -> None:
    """10,000 targets, one of which gets another address: it costs no more than a start, and the others go on: by the
    exporter's own account, for a server of so many in Python is late itself.
    """
    count, interval = size(600, 10_000), size(20, 60)
    probes = f"probes: {{health: {{interval: {interval}s}}}}"
    lines = ["limits: {per_host: 500}", "targets:"]  # one server has them all
    lines += [
        f"  - {{name: t{number}, url: '{fake.url}/{number}', protocol: http, {probes}}}" for number in range(count)
    ]
    with Daemon(tmp_path, "\n".join(lines), args=["--reload-interval", "0"], ready=False) as daemon:
        daemon.wait_ready(within=120)
        proc = Proc(daemon.process.pid)
        start = proc.cpu()
        # First runs come closer together than those on schedule; these are counted below.
        until("every first run", lambda: len(fake.requests) >= count, within=120)

        def reload(path: str) -> tuple[float, float]:
            """Another address for one of them; what it took by the clock, and of the CPU."""
            lines[2] = f"  - {{name: t0, url: '{fake.url}{path}', protocol: http, {probes}}}"
            daemon.write("\n".join(lines))
            began, used = time.perf_counter(), proc.cpu(children=True)
            assert daemon.get("/-/reload", method="POST", timeout=120).status == 200
            return time.perf_counter() - began, proc.cpu(children=True) - used

        def scrape() -> Scrape:
            return Scrape(daemon.get("/metrics", timeout=120).body)

        def own() -> Scrape:
            lines = daemon.get("/metrics", timeout=120).body.splitlines(keepends=True)
            return Scrape("".join(line for line in lines if "model_exporter_" in line))

        until("the schedule", lambda: len(fake.requests) >= 1.2 * count, within=120)
        settled, idle = time.perf_counter(), proc.cpu()
        time.sleep(size(2, 10))
        probing = (proc.cpu() - idle) / (time.perf_counter() - settled)  # seconds of CPU a second
        asked, began, first = len(fake.requests), time.perf_counter(), own()
        rounds: list[Round] = []
        pid = daemon.process.pid
        with Machine(pid) as machine, Machine(pid, children=True) as with_child:
            while len(rounds) < 3:  # best of three
                seen, from_ = own(), time.perf_counter()
                took, used = reload(f"/changed-{len(rounds)}")
                ended = time.perf_counter()
                late = lateness.between(seen, own(), machine.at_once(from_, time.perf_counter()))
                rounds.append(Round(took, with_child.took(from_, ended), used, late))
            after, since = scrape(), len(fake.requests) - asked
            stood = machine.at_once(began, time.perf_counter())
        best = min(rounds, key=lambda each: (len(each.late.wrong), each.took - each.waited))
        figure(
            f"{count} targets, one changed: reloaded in {best.took:.2f} s ({best.waited:.2f} s taken by the machine), "
            f"{best.used:.2f} s of CPU, {probing * best.took:.2f} for the probes (the start: {start:.2f}); "
            f"{best.late.told}"
        )
        best.late.hold()
        assert best.took - best.waited <= max(3.0, start)
        assert best.used - probing * best.took < 2 * start
        assert since <= len(rounds) + 3 * count * (time.perf_counter() - began + 1) / interval, (
            "the others were asked more than they should"
        )
        assert len(list(after.all("model_probe_up"))) <= count
        assert after.value("model_exporter_targets", source="config") == count
        missed = [scrape.value("model_exporter_missed_slots_total") or 0 for scrape in (first, after)]
        assert missed[0] == missed[1] or stood > 0.5
        until("the new address", lambda: any("changed" in request.path for request in list(fake.requests)), within=90)
