"""Answers of the API in JSON, the ones that say no included."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import hdrs, web

JSON: dict[str, str] = {hdrs.CONTENT_TYPE: "application/json; charset=utf-8"}
#: Why a change is not made that a browser asks for in somebody else's name.
OTHER_ORIGIN = "refused: asked for by a page of another origin"


def answer(status: int, value: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    """A value as JSON."""
    return web.Response(status=status, text=json.dumps(value) + "\n", headers=JSON | dict(headers or {}))


def problem(status: int, error: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """A refusal: `{"error": "what is wrong, in words"}`."""
    return answer(status, {"error": error}, headers)
