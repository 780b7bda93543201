"""A server's own account of one request: where the time went, as far as it tells. Pure; seconds by part.

What is told in other units, as text, or not as a number that can be a time, is put right or left out here.
"""

import re
from collections.abc import Mapping
from typing import Any

from exporter.contracts import Headers
from exporter.model.observation import Account, Part
from exporter.protocols.numbers import finite

#: The longest time that is believed, in seconds.
_MOST = 86_400.0

NOTHING: Account = {}


def of_ollama(value: Mapping[str, Any]) -> Account:
    """Of a whole answer or the last line of a stream: nanoseconds. Loading a model is in neither part."""
    return _told(1e-9, prefill=value.get("prompt_eval_duration"), decode=value.get("eval_duration"))


def of_openai(value: Mapping[str, Any]) -> Account:
    """Of an answer or an event of the OpenAI API: llama.cpp's `timings`, or vLLM's `metrics` of a request (where it
    runs with --enable-per-request-metrics), both in milliseconds.
    """
    timings = value.get("timings")
    if isinstance(timings, dict):
        return _told(1e-3, prefill=timings.get("prompt_ms"), decode=timings.get("predicted_ms"))
    metrics = value.get("metrics")
    if isinstance(metrics, dict):
        # Its first token counts from when the request was scheduled: waiting is not in it.
        return _told(
            1e-3,
            queue=metrics.get("queue_time_ms"),
            prefill=metrics.get("time_to_first_token_ms"),
            decode=metrics.get("generation_time_ms"),
        )
    return NOTHING


def of_sglang(told: Mapping[str, Any]) -> Account:
    """Of the `meta_info` that ends an answer of SGLang's own API: seconds from its arrival on, waiting included."""
    return _told(1.0, compute=told.get("e2e_latency"))


def of_headers(headers: Headers) -> Account:
    """Of a whole answer's headers, in milliseconds: TGI's and TEI's, or what OpenAI and others say it took."""
    queue, inference = headers.get("x-queue-time"), headers.get("x-inference-time")
    if queue and inference:  # they come together; a gateway's own X-Queue-Time comes alone
        return _told(1e-3, queue=_number(queue), compute=_number(inference))
    return _told(1e-3, compute=_number(headers.get("openai-processing-ms")))


def _told(unit: float, **parts: Any) -> Account:
    """The parts that are numbers a time can be."""
    found: dict[Part, float] = {}
    for name, value in parts.items():
        if finite(value):
            seconds = value * unit
            if 0 <= seconds <= _MOST:
                found[Part(name)] = seconds
    return found


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII) else None
