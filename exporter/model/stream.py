"""What a token stream was: stamps of token events in, one frozen summary out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.model.frozen import frozen


class Channel(StrEnum):
    """Where a token event appeared."""

    CONTENT = "content"
    REASONING = "reasoning"
    TOOL = "tool"


class Outcome(StrEnum):
    """How a stream that answered 2xx ended: the first that applies, in this order."""

    ERROR_EVENT = "error_event"
    MALFORMED = "malformed"
    DISCONNECTED = "disconnected"
    STALLED = "stalled"
    TIMEOUT = "timeout"
    STOPPED = "stopped"
    EMPTY = "empty"
    NO_FINISH_REASON = "no_finish_reason"
    NO_DONE = "no_done"
    CONTENT_FILTER = "content_filter"
    LENGTH = "length"
    COMPLETE = "complete"


@frozen
class TokenEvent:
    """What one event of a stream brought in one channel. `at` is in seconds from t0; tool calls come as pieces of
    their arguments, the first of a call often as no more than its name.
    """

    at: float
    channel: Channel
    text: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one answer by disjoint type; `output` excludes reasoning, `input` excludes cached."""

    input: int = 0
    output: int = 0
    reasoning: int = 0
    cached: int = 0


@frozen
class StreamSummary:
    """One stream. Times in seconds; `ttft` counts from t0, the moment before the first byte of the request.

    `gaps` are the waits between successive chunks that held a token event. `max_gap` includes the wait after the
    last token until the end or the abort; it is None when no token came. `usage` is the server's own count, None when
    it told none. `token_events` is never a count of tokens.
    """

    outcome: Outcome
    ttft: Mapping[Channel, float]
    gaps: tuple[float, ...]
    max_gap: float | None
    duration: float
    token_events: int
    usage: Tokens | None
    time_per_output_token: float | None

    @property
    def output_tokens_per_second(self) -> float | None:
        """Inverse of `time_per_output_token`; None where that is unknown or zero."""
        return 1 / self.time_per_output_token if self.time_per_output_token else None


@dataclass(slots=True)
class StreamMeter:
    """Collects stamps while a stream runs. All stamps are of one monotonic clock, in seconds."""

    t0: float
    first: dict[Channel, float] = field(default_factory=dict)
    gaps: list[float] = field(default_factory=list)
    token_events: int = 0
    chunks: int = 0
    first_at: float | None = None
    last_at: float | None = None
    usage: Tokens | None = None

    def token(self, at: float, channels: Iterable[Channel]) -> None:
        """One token event. Events with the same stamp are one chunk: the same read completed them."""
        channels = tuple(channels)
        if not channels:
            return
        self.token_events += 1
        for channel in channels:
            self.first.setdefault(channel, at)
        if self.last_at is None:
            self.first_at, self.chunks = at, 1
        elif at != self.last_at:
            self.gaps.append(at - self.last_at)
            self.chunks += 1
        self.last_at = at

    def finish(self, outcome: Outcome, ended: float) -> StreamSummary:
        """Close the account. `ended` is the stamp of the end, or of the moment we gave up."""
        max_gap = None
        if self.last_at is not None:
            max_gap = max([*self.gaps, max(0.0, ended - self.last_at)])
        usage = self.usage
        if usage is not None and self.token_events and usage.output + usage.reasoning == 0:
            usage = None  # some servers report zeros: tokens were seen, so the count is unknown
        per_token = None
        if usage is not None and self.first_at is not None and self.last_at is not None and self.chunks >= 2:
            tokens = usage.output + usage.reasoning
            if tokens >= 2:
                per_token = (self.last_at - self.first_at) / (tokens - 1)
        return StreamSummary(
            outcome=outcome,
            ttft={channel: at - self.t0 for channel, at in self.first.items()},
            gaps=tuple(self.gaps),
            max_gap=max_gap,
            duration=max(0.0, ended - self.t0),
            token_events=self.token_events,
            usage=usage,
            time_per_output_token=per_token,
        )
