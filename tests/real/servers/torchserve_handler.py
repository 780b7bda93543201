"""What TorchServe's models do: `classify` knows irises, `say` streams the same words to everyone.

torchserve_model.py puts it into archives. TorchServe calls a handler with None once, when its worker starts.
"""

import json
import time
from typing import Any

import switch
from ts.handler_utils.utils import send_intermediate_predict_response


def classify(requests: list[dict[str, Any]] | None, context: Any) -> list[Any]:
    """The kind of each flower, for each request of a batch."""
    if requests is None:
        switch.wait_while("loading")
        return []
    switch.wait_while("hang")
    return [_classes(request.get("body") or request.get("data")) for request in requests]


def _classes(body: Any) -> dict[str, list[int]]:
    asked = json.loads(body) if isinstance(body, bytes | bytearray) else body
    return {"classes": [switch.classify(row) for row in asked["rows"]]}


def say(requests: list[dict[str, Any]] | None, context: Any) -> list[str]:
    """The words but the last go ahead, one by one."""
    if requests is None:
        return []
    for word in switch.WORDS[:-1]:
        switch.wait_while("hang")
        send_intermediate_predict_response([word], context.request_ids, "ok", 200, context)
        time.sleep(0.02)
    return [switch.WORDS[-1]]
