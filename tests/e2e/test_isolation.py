"""A cold and a warm canary of one server, from the config to what the server gets to see and the scrape shows."""

import json
import re
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.fake import Fake, Reply, Request
from tests.support.web import until

pytestmark = pytest.mark.slow

NONCE = re.compile(r"\[probe [0-9a-f]{6}\] Hi")


class LlamaCpp:
    """Reads a prompt it has not seen in half a second, and any other in no time; so it says."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.users: set[str] = set()
        self.agents: set[str] = set()

    def __call__(self, request: Request) -> Reply:
        if request.path != "/v1/chat/completions":
            entry = {"id": "m", "object": "model", "owned_by": "llamacpp"}
            return 200, json.dumps({"object": "list", "data": [entry]}), {"Content-Type": "application/json"}
        asked = json.loads(request.body)
        prompt = asked["messages"][0]["content"]
        timings = {"prompt_ms": 0.5 if prompt in self.prompts else 500.0, "predicted_ms": 80.0}
        self.prompts.append(prompt)
        self.users.add(asked["user"])
        self.agents.add(request.headers["user-agent"])
        choice = {"index": 0, "message": {"role": "assistant", "content": "OK."}, "finish_reason": "stop"}
        return 200, json.dumps({"choices": [choice], "timings": timings}), {"Content-Type": "application/json"}


def test_cold_and_warm(tmp_path: Path) -> None:
    server = LlamaCpp()
    with Fake(server) as fake:
        probes = {"chat": {"kind": "infer", "interval": "300ms", "prompt": "Hi", "cache": "pair", "tag": "checks"}}
        target = {"name": "t", "url": fake.url, "protocol": "openai", "server": "generic", "model": "m"}
        with Daemon(tmp_path, {"targets": [{**target, "probes": probes}]}) as daemon:

            def taken(probe: str, part: str = "prefill") -> float | None:
                return daemon.scrape().value("model_probe_server_seconds", target="t", probe=probe, part=part)

            until(
                "a warm prompt and a cold one", lambda: (taken("chat-warm"), taken("chat")) == (0.0005, 0.5), within=20
            )
            until("two cold prompts", lambda: len([each for each in server.prompts if each != "Hi"]) > 1, within=20)
            assert taken("chat", "decode") == taken("chat-warm", "decode") == 0.08
            scrape = daemon.scrape()
            for probe in ("chat", "chat-warm"):
                assert scrape.value("model_probe_success", target="t", probe=probe) == 1
    cold = [prompt for prompt in server.prompts if prompt != "Hi"]
    assert all(NONCE.fullmatch(prompt) for prompt in cold)
    assert len(set(cold)) == len(cold) > 1
    assert server.users == {"checks"}
    assert len(server.agents) == 1
    assert server.agents.pop().startswith("model-exporter/")
