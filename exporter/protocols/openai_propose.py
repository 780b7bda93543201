"""The canary to propose for a listed model: a short chat, or a text to embed. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from exporter.model.observation import Proposal
from exporter.protocols.language import DEFAULT_PROMPT
from exporter.protocols.reading import string

#: Keys by which listings tell what a model is for: Together, Mistral, LiteLLM, infinity and others.
_KEYS = ("type", "task", "mode", "capabilities")
_SPEAKS = re.compile("chat|completion|generat|llm|language")
#: Names of families that embed.
_EMBEDS = re.compile(r"embed|(?<![a-z])(?:bge|e5|gte|minilm|all-mpnet)(?![a-z])")
#: What is neither asked to chat nor to embed: it ranks, hears, speaks, draws or judges.
_OTHER = re.compile(r"rerank|whisper|transcri|(?<![a-z])tts(?![a-z])|dall-e|image|moderation|realtime|sora")


def propose(entry: Mapping[str, Any] | None, model: str) -> Proposal | None:
    """A canary for a model; None where it is for something else. `entry` is what the listing says of it."""
    told, name = _told(entry or {}), model.lower()
    if told is not None:
        embeds, speaks = "embed" in told, bool(_SPEAKS.search(told))
    else:
        speaks = not _OTHER.search(name)
        embeds = speaks and bool(_EMBEDS.search(name))
    if embeds:
        settings = {"interval": "1m", "timeout": "30s", "api": "embeddings", "input": DEFAULT_PROMPT}
        return Proposal("infer", settings, "does it embed? Expect its dimension and norm, once they are known")
    if speaks:
        chat = {"interval": "1m", "timeout": "30s", "prompt": DEFAULT_PROMPT, "max_tokens": 16}
        return Proposal("stream", chat, "does it speak, and how fast? About two dozen tokens each time")
    return None


def _told(entry: Mapping[str, Any]) -> str | None:
    """What a listing says a model is for, None where it says nothing of that."""
    for key in _KEYS:
        value = entry.get(key)
        if isinstance(value, str) and value and value != "model":
            return value.lower()
        if isinstance(value, list) and (texts := [string(item) for item in value]):
            return " ".join(texts).lower()
        if isinstance(value, dict) and value:
            return " ".join(str(name) for name, holds in value.items() if holds).lower()
    return None
