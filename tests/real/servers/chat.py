"""A LitServe server with the OpenAI API that streams a few words, token by token: chat.py PORT DELAY_SECONDS."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import litserve as ls

WORDS = ("OK", ",", " all", " is", " well", ".")


class Words(ls.LitAPI):
    """A "model" that says the same words to everyone, with `delay` seconds before each."""

    delay = 0.05

    def setup(self, device: str) -> None:
        pass

    def predict(self, prompt: Any) -> Iterator[str]:
        for word in WORDS:
            time.sleep(self.delay)
            yield word


if __name__ == "__main__":
    Words.delay = float(sys.argv[2])
    server = ls.LitServer(Words(spec=ls.OpenAISpec()), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, num_api_servers=1)
