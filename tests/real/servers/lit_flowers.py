"""A LitServe server with two APIs of its own, and ways to misbehave: lit_flowers.py PORT."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import litserve as ls
import switch


class Flowers(ls.LitAPI):
    """Knows irises."""

    def setup(self, device: str) -> None:
        switch.load()

    def predict(self, x: Any) -> Any:
        switch.wait_while("hang")
        return {"classes": [switch.classify(row) for row in x["rows"]]}

    def health(self) -> bool:
        return not switch.on("unready")


class Words(ls.LitAPI):
    """Says the same words to everyone, as lines of JSON."""

    def setup(self, device: str) -> None:
        pass

    def predict(self, x: Any) -> Iterator[str]:
        for place, word in enumerate(switch.WORDS):
            switch.wait_while("hang")
            if place == 2:
                switch.seen("half")
                switch.wait_while("stall")
            time.sleep(0.5 if switch.on("slow") else 0.02)
            if place == 2 and switch.on("break"):
                raise RuntimeError("broken on purpose")
            yield word

    def encode_response(self, output: Any):  # what it returns is not said: LitServe would take it for the answer's type
        for word in output:
            yield {"word": word}


if __name__ == "__main__":
    apis = [Flowers(api_path="/predict"), Words(api_path="/words", stream=True)]
    about = {"name": "flowers", "version": "7"}
    server = ls.LitServer(apis, accelerator="cpu", workers_per_device=1, timeout=30, model_metadata=about)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, num_api_servers=1)
