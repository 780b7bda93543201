"""Streams that are cut at `stop_after`, and what is made of those that broke off."""

import asyncio
import json
from collections.abc import Iterable
from itertools import pairwise

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from exporter.contracts import Headers
from exporter.model.failure import Failure, Reason
from exporter.model.stream import Channel, Outcome, Tokens
from exporter.protocols import openai_answer, streaming
from exporter.protocols.streaming import Promise, Step
from exporter.transport.framing import Event, NdjsonParser, SseParser
from tests.fakes.server import FakeServer
from tests.protocols.scripted import FakeExchange, Scripted

CHAT = "POST /v1/chat/completions"
KNOWN = {"server": "vllm"}


def sse(value):
    return f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode()


def delta(text=None, finish=None, usage=None):
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish}
    return sse({"choices": [choice], "usage": usage})


DONE = sse("[DONE]")
TRUNCATED = Failure(Reason.TRUNCATED)
COUNTING = [
    delta("O", usage={"prompt_tokens": 4, "completion_tokens": 1}),
    delta("K", usage={"prompt_tokens": 4, "completion_tokens": 2}),
]
COUNTED = Tokens(input=4, output=2)
END = [delta(finish="stop", usage={"prompt_tokens": 4, "completion_tokens": 2})]


def follow(*script, read=openai_answer.read, promise=None, stop_after=None, framing=None):
    fake = FakeExchange({})
    answer = Scripted(fake, 200, Headers(), [(101.0 + at, what) for at, what in enumerate(script)])
    limits = streaming.waits(fake, None, None, stop_after=stop_after)
    framing = framing or SseParser()
    return asyncio.run(streaming.follow(fake, answer, framing, read, promise=promise or Promise(), limits=limits))


class Endless(FakeServer):
    """Says the same word until nobody listens any more."""

    def __init__(self) -> None:
        super().__init__()
        self.said = 0
        self.left = asyncio.Event()

    def routes(self) -> Iterable[web.RouteDef]:
        return (web.post("/v1/chat/completions", self.chat),)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while True:
                await response.write(delta("OK "))
                self.said += 1
                await asyncio.sleep(0.005)
        except ConnectionError:
            self.left.set()
        return response


async def test_the_server_is_left_at_once(reach):
    own = {"stop_after": 3, "expect": {"text": "OK"}}
    async with Endless() as server:
        found = await reach(server, "openai", "stream", own, model="m", options={"server": "generic"}, timeout=20)
        assert found.failure is None
        assert (found.stream.outcome, found.answer) == (Outcome.STOPPED, "OK OK OK")
        await asyncio.wait_for(server.left.wait(), 10)
        assert found.stream.duration < 10  # neither the deadline nor a time of our own ended it
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("expect", "holds"),
    [({"text": "OK"}, True), ({"regex": "^OK"}, True), ({"text": "Fine"}, False), ({"regex": r"\.$"}, False)],
)
async def test_what_came_by_then_is_judged(ask, expect, holds):
    script = [(101, delta("OK")), (102, delta(", ")), (103, delta("Fine."))]
    answers = {CHAT: (200, "text/event-stream", script)}
    found = await ask("openai", "stream", answers, {"stop_after": 2, "expect": expect}, options=KNOWN)
    assert found.stream.outcome is Outcome.STOPPED
    assert (found.failure is None) is holds
    assert holds or found.failure.reason is Reason.EXPECTATION


async def test_a_stream_that_ends_before_is_a_whole_one(ask):
    script = [(101, delta("OK")), (102, *END), (103, DONE)]
    answers = {CHAT: (200, "text/event-stream", script)}
    found = await ask("openai", "stream", answers, {"stop_after": 2}, options=KNOWN)
    assert found.stream.outcome is Outcome.COMPLETE


def test_events_are_counted_and_not_reads():
    """One read may bring many; what comes with it and after the last that is wanted is not looked at."""
    followed = follow(delta("a") + delta("b") + sse("{nonsense"), stop_after=2)
    assert (followed.summary.outcome, followed.text) == (Outcome.STOPPED, "ab")
    assert followed.summary.token_events == 2


def test_what_is_no_token_is_not_counted():
    role, ping = sse({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}), b": ping\n\n"
    assert follow(role, ping, delta("a"), delta("b"), stop_after=2).summary.duration == 4.0


#: What one event may hold beside the token that makes it enough, and what the stream is then.
BESIDE = [
    (Step(channels=(Channel.CONTENT,), text="x", error="boom"), Outcome.ERROR_EVENT),
    (Step(channels=(Channel.CONTENT,), text="x"), Outcome.STOPPED),
    (Step(channels=(Channel.CONTENT,), text="x", finish="length"), Outcome.STOPPED),
    (Step(channels=(Channel.CONTENT,), text="x", finish="length", done=True), Outcome.LENGTH),
    (Step(channels=(Channel.CONTENT,), text="x", finish="content_filter", done=True), Outcome.CONTENT_FILTER),
    (Step(channels=(Channel.CONTENT,), text="x", done=True), Outcome.NO_FINISH_REASON),
]


@pytest.mark.parametrize(("step", "outcome"), BESIDE)
def test_the_first_outcome_that_applies(step, outcome):
    assert follow(sse("x"), read=lambda event: step, stop_after=1).summary.outcome is outcome


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([delta("a"), sse({"error": "x"})], Outcome.ERROR_EVENT),
        ([delta("a"), sse("{")], Outcome.MALFORMED),
        ([delta("a"), TRUNCATED], Outcome.DISCONNECTED),
        ([delta("a")], Outcome.STALLED),
        ([], Outcome.TIMEOUT),
        ([DONE], Outcome.EMPTY),
        ([delta("a"), DONE], Outcome.NO_FINISH_REASON),
        ([delta("a"), *END, None], Outcome.NO_DONE),
    ],
)
def test_not_enough(script, outcome):
    assert follow(*script, stop_after=2).summary.outcome is outcome


# What it cost


@pytest.mark.parametrize(
    ("script", "stop_after", "outcome", "usage"),
    [
        ([*COUNTING, *END, DONE], None, Outcome.COMPLETE, COUNTED),
        ([*COUNTING, *END, DONE], 2, Outcome.STOPPED, None),
        (COUNTING, None, Outcome.STALLED, None),
        ([*COUNTING, TRUNCATED], None, Outcome.DISCONNECTED, None),
        ([*COUNTING * 20], None, Outcome.TIMEOUT, None),
        ([*COUNTING, *END], None, Outcome.NO_DONE, COUNTED),
        ([*COUNTING, *END, TRUNCATED], None, Outcome.DISCONNECTED, COUNTED),
    ],
)
def test_a_count_is_believed_once_the_answer_is_whole(script, stop_after, outcome, usage):
    """vLLM may count as it goes; the server goes on writing after we have left."""
    summary = follow(*script, stop_after=stop_after).summary
    assert (summary.outcome, summary.usage) == (outcome, usage)
    assert (summary.time_per_output_token is None) is (usage is None)


WORDS = st.lists(st.lists(st.text("ab ", min_size=1, max_size=40), min_size=1, max_size=4), min_size=2, max_size=12)


@given(WORDS)
def test_chunks_of_several_tokens_are_never_called_tokens(reads):
    """However much text a chunk holds, and however many events: without the server's count there is no time per token,
    and gaps are those between chunks.
    """
    script = [b"".join(delta(text) for text in texts) for texts in reads]
    summary = follow(*script, delta(finish="stop"), DONE).summary
    assert summary.outcome is Outcome.COMPLETE
    assert (summary.usage, summary.time_per_output_token, summary.output_tokens_per_second) == (None, None, None)
    assert summary.token_events == sum(map(len, reads))
    assert summary.gaps == (1.0,) * (len(reads) - 1)


@given(WORDS, st.integers(2, 500))
def test_time_per_token_is_by_the_servers_count(reads, tokens):
    script = [b"".join(delta(text) for text in texts) for texts in reads]
    usage = {"prompt_tokens": 1, "completion_tokens": tokens}
    summary = follow(*script, delta(finish="stop", usage=usage), DONE).summary
    assert summary.time_per_output_token == pytest.approx((len(reads) - 1) / (tokens - 1))


# The same however it is cut


def anything(event: Event) -> Step:
    return Step(channels=(Channel.CONTENT,), text=event.data) if event.data.strip() else Step()


@pytest.mark.parametrize(("framing", "end"), [(SseParser, b"\n\n"), (NdjsonParser, b"\n")])
@given(
    texts=st.lists(st.text("aä\U0001f600 ", min_size=1, max_size=9), min_size=1, max_size=9),
    cuts=st.lists(st.integers(0, 300), max_size=20),
    stop_after=st.integers(1, 10),
)
def test_it_is_cut_at_the_same_event_however_the_bytes_are(framing, end, texts, cuts, stop_after):
    lead = b"data: " if framing is SseParser else b""
    wire = b"".join(lead + json.dumps(text).encode() + end for text in texts)
    edges = sorted({0, len(wire), *(min(cut, len(wire)) for cut in cuts)})
    pieces = [wire[a:b] for a, b in pairwise(edges)]
    promise = Promise(finish=False, done=False)
    whole = follow(wire, None, read=anything, promise=promise, stop_after=stop_after, framing=framing())
    cut = follow(*pieces, None, read=anything, promise=promise, stop_after=stop_after, framing=framing())
    assert (cut.text, cut.summary.outcome, cut.summary.token_events) == (
        whole.text, whole.summary.outcome, whole.summary.token_events,
    )  # fmt: skip
    assert whole.text == "".join(map(json.dumps, texts[:stop_after]))
