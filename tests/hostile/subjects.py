"""What the rows are put to: the exporter as a process, and Debian's blackbox_exporter. Both answer /probe."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from tests.hostile.process import Hostile
from tests.hostile.rows import HEALTHY, MAX_BODY, Row, control
from tests.hostile.ways import SECRET
from tests.support import programs
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.web import answers, until

_REASON = re.compile(r'^model_probe_failures_total\{.*reason="(\w+)"\} 1', re.MULTILINE)
#: Controls on the schedule, and their interval in seconds.
CONTROLS, EVERY = 50, 1.0


class Exporter:
    """`model-exporter run`: the controls are its targets, and every row is a module of its own."""

    def __init__(self, folder: Path, hostile: Hostile, rows: Sequence[Row], prefix: Sequence[str]) -> None:
        self._hostile = hostile
        self._rows = rows
        self.daemon = Daemon(folder, self._config(()), args=["--reload-interval", "0"], prefix=prefix)
        self.pid = self.daemon.process.pid

    def watch(self, rows: Sequence[Row]) -> None:
        """Put these rows on the schedule too, and no others."""
        self.daemon.write(self._config(rows))
        answer = self.daemon.get("/-/reload", method="POST", timeout=60)
        assert answer.status == 200, answer.body

    def calm(self, row: Row) -> Row:
        """The same module at a server that is well, though it may speak something else."""
        scheme = row.url.partition("://")[0]
        return replace(row, url=f"{scheme}://127.0.0.1:{self._hostile.healthy}")

    def url(self, row: Row) -> str:
        """Where to ask for one run of it."""
        return f"{self.daemon.url}/probe?target={quote(row.url, safe='')}&module={row.key}&model={row.model}"

    def verdict(self, status: int, text: str) -> str:
        """What an answer says."""
        if status != 200:
            return f"http_{status}"
        found = _REASON.search(text)
        return found[1] if found else HEALTHY

    def stop(self) -> None:
        self.daemon.process.kill()

    def _config(self, watched: Sequence[Row]) -> dict[str, Any]:
        healthy = control(self._hostile)
        names = [f"{number:02}" for number in range(CONTROLS)]
        return {
            "limits": {"concurrency": 2000, "per_host": 2000},
            "on_demand": {"allow": ["127.0.0.0/8", "*.invalid"], "concurrency": 2000},
            "modules": {row.key: row.module for row in (*self._rows, healthy)},
            "targets": [
                *({"name": name, "url": control(self._hostile, name).url, "module": healthy.key} for name in names),
                *(
                    {"name": row.key, "url": row.url, "module": row.key, **({"model": "m"} if row.model else {})}
                    for row in watched
                ),
            ],
        }


class Blackbox:
    """Debian's prometheus-blackbox-exporter, for the rows that its http prober can meet."""

    def __init__(self, folder: Path, rows: Sequence[Row], prefix: Sequence[str]) -> None:
        program = programs.need("prometheus-blackbox-exporter", "apt-get install prometheus-blackbox-exporter")
        config = folder / "blackbox.yml"
        config.write_text(json.dumps({"modules": {row.key: _module(row) for row in rows}}))
        self._url = f"http://127.0.0.1:{(port := free_port())}"
        command = [
            *prefix,
            program,
            f"--config.file={config}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--timeout-offset=0",
        ]
        self._process = Process("blackbox", command, folder)
        self.pid = self._process.pid
        until("blackbox_exporter", lambda: answers(f"{self._url}/-/healthy"), within=20, log=self._process.tail)

    def url(self, row: Row) -> str:
        return f"{self._url}/probe?target={quote(row.url, safe='')}&module={row.key}"

    def verdict(self, status: int, text: str) -> str:
        if status != 200:
            return f"http_{status}"
        return HEALTHY if "\nprobe_success 1" in text else "failed"

    def stop(self) -> None:
        self._process.kill()


def _module(row: Row) -> dict[str, Any]:
    assert row.behaviour is not None or row.name == "control"
    http: dict[str, Any] = {
        "preferred_ip_protocol": "ip4",
        "follow_redirects": bool(row.behaviour and row.behaviour.follow),
        "body_size_limit": f"{MAX_BODY}B",
    }
    if row.behaviour is not None:
        http |= {"tls_config": {"ca_file": row.module["tls"]["ca_file"]}, "method": row.behaviour.method}
        if row.behaviour.group == "encoding":
            http["compression"] = "deflate" if "deflate" in row.name else "gzip"
    return {"prober": "http", "timeout": f"{row.timeout * 1000:.0f}ms", "http": http}


def for_blackbox(rows: Sequence[Row]) -> list[Row]:
    """The rows that its http prober meets: it reads no JSON, keeps no connection and knows few encodings."""
    known = {"gzip", "gzip_members", "deflate", "deflate_raw", "gzip_bomb", "deflate_bomb", "gzip_cut", "gzip_lie"}
    return [
        row
        for row in rows
        if row.protocol == "http" and row.behaviour is not None
        and row.behaviour.group not in ("json", "reuse")
        and (row.behaviour.group != "encoding" or row.name in known)
    ]  # fmt: skip


async def ask(session: aiohttp.ClientSession, subject: Exporter | Blackbox, row: Row, limit: float) -> tuple[str, str]:
    """One run: its verdict, and the whole answer. `unanswered` after `limit` seconds."""
    try:
        async with session.get(subject.url(row), timeout=aiohttp.ClientTimeout(limit)) as answer:
            text = await answer.text()
            return subject.verdict(answer.status, text), text
    except (TimeoutError, aiohttp.ClientError) as error:
        return "unanswered" if isinstance(error, TimeoutError) else "broken", ""


def planted(text: str) -> bool:
    """Whether the secret of the modules is in it."""
    return SECRET in text
