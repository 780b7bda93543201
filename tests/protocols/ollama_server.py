"""An Ollama as it answers, with the models it has loaded."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.protocols.scripted import FakeExchange

GENERATE, CHAT, EMBED = "POST /api/generate", "POST /api/chat", "POST /api/embed"
NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
DATE = [("Date", format_datetime(NOW, usegmt=True))]
SHOWN = {
    "details": {"format": "gguf", "family": "llama", "quantization_level": "Q4_0"},
    "model_info": {
        "general.architecture": "llama",
        "general.parameter_count": 8030261248,
        "llama.context_length": 8192,
    },
    "capabilities": ["completion", "tools"],
}
TAGS = (200, json.dumps({"models": [{"name": "tiny:latest", "digest": "3a2afcffd188a6027f965ab8"}, {"name": "b:7b"}]}))


def after(seconds, zone="Z"):
    """A moment as the server writes it, with nanoseconds."""
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%f") + f"789{zone}"


def ps(*entries):
    return (200, json.dumps({"models": list(entries)}), DATE)


def loaded(left=300.0, model="tiny:latest", **more):
    return {"model": model, "name": model, "digest": "3a2a", "expires_at": after(left), "context_length": 4096} | more


def server(*entries, **answers):
    """A server that has loaded these models."""
    return FakeExchange(
        {
            "GET /api/version": (200, '{"version":"0.17.4"}'),
            "GET /api/tags": TAGS,
            "GET /api/ps": ps(*entries),
            "POST /api/show": (200, json.dumps(SHOWN)),
            GENERATE: said(),
            **answers,
        }
    )


def said(text="OK.", **more):
    return (200, json.dumps({"model": "tiny", "response": text, "done": True, "done_reason": "stop", **more}))


def sent(fake):
    return json.loads(fake.bodies[-1])
