"""A small model server that speaks as MLflow's does, in a thread."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Model:
    """Says whether a number is odd; wrongly below `wrong`, and below `broken` not at all.

    `latency` are the seconds that takes, `asked` the numbers it was asked for.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self.wrong = self.broken = 0
        self.latency = latency
        self.asked: list[int] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                (given,) = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["inputs"]
                model.asked.append(given)
                time.sleep(model.latency)
                answer = json.dumps({"predictions": [given % 2 if given >= model.wrong else 7]}).encode()
                self.send_response(500 if given < model.broken else 200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
