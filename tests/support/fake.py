"""A plain HTTP server in a thread: what it answers is a function of the request."""

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self


class Request(NamedTuple):
    """What was asked, and the port it came from. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    port: int = 0


#: The status and body of the answer; a third member holds headers.
Reply = tuple[int, str] | tuple[int, str, Mapping[str, str]]


class Fake:
    """Serves on a free loopback port until the block ends; `requests` keeps what was asked, oldest first."""

    def __init__(self, answer: Callable[[Request], Reply], port: int = 0) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, self.rfile.read(size), self.client_address[1])
                fake.requests.append(request)
                reply = fake.answer(request)
                body = reply[1].encode()
                try:
                    self.send_response(reply[0])
                    for name, value in (reply[2] if len(reply) == 3 else {}).items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True  # the prober gave up: its right

            do_GET = do_POST = handle_one

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
