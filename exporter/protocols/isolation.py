"""What keeps canaries of language models apart from everything else: from the cache of earlier prompts, and from the
traffic that is paid for. docs/isolation.md says why.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

#: What canaries are marked with where a request has a place for it.
TAG = "model-exporter"


def opening() -> str:
    """What stands before a prompt so that no cache holds any of it."""
    return f"[probe {secrets.token_hex(3)}] "


def opened(messages: Sequence[Mapping[str, Any]], words: str) -> list[dict[str, Any]]:
    """A conversation with `words` before the first ones of it, be they the system's or the user's."""
    made = [dict(message) for message in messages]
    for message in made if words else ():
        content = message.get("content")
        if isinstance(content, str):
            message["content"] = words + content
            break
        if isinstance(content, list):
            message["content"] = [{"type": _kind(content), "text": words}, *content]
            break
    return made


def _kind(parts: Sequence[Any]) -> str:
    """What a text is called among these parts: the Responses API has names of its own."""
    own = any(isinstance(part, dict) and str(part.get("type")).startswith("input_") for part in parts)
    return "input_text" if own else "text"
