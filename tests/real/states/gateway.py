"""A gateway in front of a server: nginx, with a limit on requests that are no question about its health."""

import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.programs import need
from tests.support.web import answers, until

_CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  limit_req_zone $binary_remote_addr zone=all:1m rate=1r/m;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass {upstream}; {limit} }}
    location = /health {{ proxy_pass {upstream}; }}
  }}
}}
"""


class Gateway:
    """One nginx. `limited`: one request a minute passes, the others get 429."""

    def __init__(self, folder: Path, upstream: str, *, limited: bool) -> None:
        program = need("nginx", "apt-get install nginx-light")
        self._folder, self._upstream, self._port = folder, upstream, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: Process | None = None
        self.configure(limited=limited)
        self._process = Process("nginx", [program, "-p", folder, "-e", "stderr", "-c", self._config], folder)

    @property
    def _config(self) -> Path:
        return self._folder / "nginx.conf"

    def configure(self, *, limited: bool) -> None:
        """Change the limit, also while it runs."""
        limit = "limit_req zone=all; limit_req_status 429;" if limited else ""
        self._config.write_text(
            _CONFIG.format(folder=self._folder, port=self._port, upstream=self._upstream, limit=limit)
        )
        if self._process is not None:
            self._process.signal(signal.SIGHUP)

    def __enter__(self) -> Self:
        assert self._process is not None
        until("nginx", lambda: answers(f"{self.url}/health"), within=10, log=self._process.tail)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
