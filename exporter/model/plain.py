"""Results as plain JSON values: the parts that records, events and `probe --json` write alike. Times are in seconds."""

from typing import Any

from exporter.model.state import StateChange
from exporter.model.stream import StreamSummary, Tokens


def stream(summary: StreamSummary | None) -> dict[str, Any] | None:
    """`{outcome, ttft_seconds, max_gap_seconds, token_events, ...}`; None where nothing was streamed."""
    if summary is None:
        return None
    return {
        "outcome": summary.outcome,
        "ttft_seconds": dict(summary.ttft),
        "max_gap_seconds": summary.max_gap,
        "token_events": summary.token_events,
        "time_per_output_token_seconds": summary.time_per_output_token,
        "output_tokens_per_second": summary.output_tokens_per_second,
    }


def tokens(counted: Tokens | None) -> dict[str, Any] | None:
    """`{input, output, reasoning, cached}`; None where nobody counted them."""
    if counted is None:
        return None
    return {
        "input": counted.input,
        "output": counted.output,
        "reasoning": counted.reasoning,
        "cached": counted.cached,
    }


def change(made: StateChange) -> dict[str, Any]:
    """`{from, to, reason, detail, probe, verified}`; whose change it is and when stands around it."""
    verdict = made.verdict
    return {
        "from": made.before,
        "to": verdict.state,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "probe": verdict.probe,
        "verified": verdict.verified,
    }
