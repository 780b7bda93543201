"""What is played: each fake server, how it changes over time, what to look for, and how it is watched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.demo.chat_server import ChatServer, Voice
from exporter.demo.mood import Act, Mood, Timeline
from exporter.demo.tensor_server import TensorServer

Server = ChatServer | TensorServer


@dataclass(frozen=True, slots=True)
class Scene:
    """One fake server. `target` is its part of the exporter's config, without name and url."""

    name: str
    look_for: str
    build: Callable[[Callable[[], float]], Server]
    target: Mapping[str, Any]


def _chat(acts: tuple[Act, ...], voice: Voice | None = None, *, once: bool = False) -> Callable[..., Server]:
    return lambda clock: ChatServer("tiny-llama", Timeline(acts, clock, once=once), voice)


_FOREVER = 3600.0
_LLM = {"module": "chat", "model": "tiny-llama"}

SCENES = (
    Scene("assistant", "always healthy", _chat((Act(Mood.WELL, _FOREVER),)), _LLM),
    Scene(
        "slow",
        "healthy, with a late first token and few tokens a second",
        _chat((Act(Mood.SLOW, _FOREVER),), Voice(thinks=True)),
        _LLM,
    ),
    Scene(
        "flaky",
        "500 for 5 of every 15 seconds: unhealthy and back",
        _chat((Act(Mood.WELL, 10), Act(Mood.BROKEN, 5))),
        _LLM,
    ),
    Scene(
        "late",
        "loading for 8 seconds, then healthy",
        _chat((Act(Mood.LOADING, 8), Act(Mood.WELL, _FOREVER)), once=True),
        _LLM,
    ),
    Scene(
        "zombie",
        "/health stays 200 but no token comes: zombie after 6 seconds, for 2 minutes",
        _chat((Act(Mood.WELL, 6), Act(Mood.HANGING, 120))),
        _LLM,
    ),
    Scene(
        "staller",
        "streams stop in the middle after 12 seconds, for 20: reason stalled",
        _chat((Act(Mood.WELL, 12), Act(Mood.STALLING, 20))),
        _LLM,
    ),
    Scene(
        "busy",
        "429 after 5 seconds, for 15: saturated, which is not broken",
        _chat((Act(Mood.WELL, 5), Act(Mood.BUSY, 15))),
        _LLM,
    ),
    Scene(
        "fraud",
        "Open Inference, answers checked; a new version every 20 seconds",
        lambda clock: TensorServer("fraud", Timeline((Act(Mood.WELL, 20),), clock)),
        {"module": "tensors", "model": "fraud"},
    ),
)


def config(urls: Mapping[str, str]) -> dict[str, Any]:
    """The exporter's config for the scenes that run at `urls` (scene name -> base url): short intervals throughout."""
    return {
        "defaults": {"interval": "2s", "timeout": "1s"},
        "modules": {
            "chat": {
                "protocol": "openai",
                "probes": {
                    "health": {},
                    "ready": {},
                    "metadata": {"interval": "10s"},
                    "stream": {
                        "interval": "3s",
                        "timeout": "3s",
                        "recheck": "1s",
                        "first_token_timeout": "1500ms",
                        "idle_timeout": "1s",
                        "expect": {"regex": "OK"},
                    },
                },
            },
            "tensors": {
                "protocol": "open_inference",
                "probes": {
                    "health": {},
                    "ready": {},
                    "metadata": {"interval": "5s"},
                    "infer": {
                        "interval": "2s",
                        "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [[5.1, 3.5, 1.4, 4.2]]}],
                        "expect": {"outputs": [{"name": "predict", "data": [1]}]},
                    },
                },
            },
        },
        "targets": [
            {"name": scene.name, "url": urls[scene.name], **scene.target} for scene in SCENES if scene.name in urls
        ],
    }
