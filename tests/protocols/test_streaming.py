"""Every outcome of a stream, on virtual time. Stamps in scripts are seconds after the request's first byte."""

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.contracts import Headers
from exporter.model.failure import Evidence, Failure, Reason
from exporter.model.stream import Channel, Outcome, TokenEvent, Tokens
from exporter.protocols import openai_answer, reading, streaming
from exporter.protocols.streaming import Promise, Raw, Step
from exporter.transport.framing import SseParser
from tests.protocols.scripted import FakeExchange, Scripted


def sse(value):
    return f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode()


def delta(finish=None, **fields):
    return sse({"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]})


ROLE = delta(role="assistant", content="")
HI = delta(content="Hi")
STOP = delta("stop")
USAGE = sse({"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 3}})
DONE = sse("[DONE]")
GO_ON = b": keep-alive\n\n"


def follow(
    *script, timeout=30.0, promise=None, first_token=None, idle=None, framing=None, read=openai_answer.read, heard=None
):
    """Follow a script of (seconds after t0, bytes | Failure | None for the clean end)."""
    fake = FakeExchange({}, timeout=timeout)
    fake.on_token = heard
    t0 = fake.clock
    answer = Scripted(fake, 200, Headers(), [(t0 + at, what) for at, what in script])
    limits = streaming.waits(fake, first_token, idle)
    framing = framing or SseParser()
    return asyncio.run(streaming.follow(fake, answer, framing, read, promise=promise or Promise(), limits=limits))


def judged(followed):
    failure = followed.failure
    return followed.summary.outcome, failure and failure.reason


@pytest.mark.parametrize(
    ("script", "outcome", "reason"),
    [
        ([(1, ROLE), (2, HI), (3, STOP), (3, USAGE), (3, DONE)], Outcome.COMPLETE, None),
        ([(2, HI), (3, delta("length")), (3, DONE)], Outcome.LENGTH, None),
        ([(2, HI), (3, delta("content_filter")), (3, DONE)], Outcome.CONTENT_FILTER, Reason.EXPECTATION),
        ([(2, HI), (3, DONE)], Outcome.NO_FINISH_REASON, Reason.INCOMPLETE),
        ([(2, HI), (3, None)], Outcome.NO_FINISH_REASON, Reason.INCOMPLETE),
        ([(2, HI), (3, STOP), (3, None)], Outcome.NO_DONE, Reason.INCOMPLETE),
        ([(2, HI), (3, STOP)], Outcome.NO_DONE, Reason.INCOMPLETE),  # and then nothing
        ([(1, ROLE), (2, STOP), (2, DONE)], Outcome.EMPTY, Reason.EMPTY),
        ([(1, DONE)], Outcome.EMPTY, Reason.EMPTY),
        ([(1, None)], Outcome.EMPTY, Reason.EMPTY),
        ([(1, delta("content_filter")), (1, DONE)], Outcome.EMPTY, Reason.EMPTY),
        ([(1, HI), (2, sse({"error": {"message": "x"}}))], Outcome.ERROR_EVENT, Reason.ERROR_EVENT),
        ([(1, HI), (2, sse({"object": "error", "message": "x"}))], Outcome.ERROR_EVENT, Reason.ERROR_EVENT),
        ([(1, HI), (2, sse({"detail": "x"}))], Outcome.ERROR_EVENT, Reason.ERROR_EVENT),
        ([(1, HI), (2, b"event: error\ndata: {}\n\n")], Outcome.ERROR_EVENT, Reason.ERROR_EVENT),
        ([(1, HI), (2, sse("{nonsense"))], Outcome.MALFORMED, Reason.MALFORMED),
        ([(1, HI), (2, sse("[1]"))], Outcome.MALFORMED, Reason.MALFORMED),
        ([(1, HI), (2, sse({"choices": 7}))], Outcome.MALFORMED, Reason.MALFORMED),
        ([(1, HI), (2, sse('{"choices": NaN}'))], Outcome.MALFORMED, Reason.MALFORMED),
        ([(1, HI), (2, sse("[" * 100_000))], Outcome.MALFORMED, Reason.MALFORMED),
        ([(1, HI), (2, b"data: \xff\n\n")], Outcome.MALFORMED, Reason.MALFORMED),
        ([(1, HI), (2, b"data: " + b"x" * (2 << 20))], Outcome.MALFORMED, Reason.TOO_LARGE),
        ([(1, HI), (2, Failure(Reason.TOO_LARGE))], Outcome.MALFORMED, Reason.TOO_LARGE),
        ([(1, HI), (2, Failure(Reason.ENCODING))], Outcome.MALFORMED, Reason.ENCODING),
        ([(1, HI), (2, Failure(Reason.RESET))], Outcome.DISCONNECTED, Reason.RESET),
        ([(1, HI), (2, Failure(Reason.TRUNCATED))], Outcome.DISCONNECTED, Reason.TRUNCATED),
        ([(1, HI), (2, Failure(Reason.DISCONNECTED))], Outcome.DISCONNECTED, Reason.TRUNCATED),
        ([(1, HI), (2, Failure(Reason.PROTOCOL))], Outcome.DISCONNECTED, Reason.TRUNCATED),
        ([(1, HI), (2, STOP), (2.5, Failure(Reason.RESET))], Outcome.DISCONNECTED, Reason.RESET),
        ([], Outcome.TIMEOUT, Reason.TIMEOUT_FIRST_TOKEN),
        ([(1, ROLE)], Outcome.TIMEOUT, Reason.TIMEOUT_FIRST_TOKEN),
        ([(1, HI)], Outcome.STALLED, Reason.STALLED),
        ([(1, HI), (2, HI)], Outcome.STALLED, Reason.STALLED),
        ([(at, HI) for at in range(1, 40)], Outcome.TIMEOUT, Reason.TIMEOUT),
        # An error told before the end is the first thing that applies, and an end marker ends everything.
        ([(1, sse({"error": "x"})), (1, DONE)], Outcome.ERROR_EVENT, Reason.ERROR_EVENT),
        ([(1, HI + STOP + DONE + sse({"error": "x"}))], Outcome.COMPLETE, None),
        # A last event without its blank line.
        ([(1, HI), (2, STOP), (2, b"data: [DONE]\n"), (2, None)], Outcome.COMPLETE, None),
        ([(1, HI), (2, STOP), (2, b"data: [DONE]"), (2, None)], Outcome.COMPLETE, None),
        ([(1, HI), (2, STOP), (2, b"data: {nonsense"), (2, None)], Outcome.MALFORMED, Reason.MALFORMED),
    ],
)
def test_outcome(script, outcome, reason):
    assert judged(follow(*script)) == (outcome, reason)


def test_every_outcome_of_this_loop_is_tested():
    marks = test_outcome.pytestmark[0].args[1]
    assert {outcome for _, outcome, _ in marks} == set(Outcome) - {Outcome.STOPPED}


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([(2, HI), (3, STOP), (3, None)], Outcome.COMPLETE),
        ([(2, HI), (3, STOP), (3, DONE)], Outcome.COMPLETE),
        ([(2, HI), (3, delta("length")), (3, None)], Outcome.LENGTH),
        ([(2, HI), (3, STOP)], Outcome.NO_DONE),  # neither a marker nor an end
        ([(2, HI), (3, None)], Outcome.NO_FINISH_REASON),
    ],
)
def test_a_server_that_promises_no_marker(script, outcome):
    assert follow(*script, promise=Promise(done=False)).summary.outcome is outcome


def test_a_server_that_promises_nothing_but_a_clean_end():
    promise = Promise(finish=False, done=False)
    assert follow((1, HI), (2, None), promise=promise).summary.outcome is Outcome.COMPLETE
    assert follow((1, HI), (2, Failure(Reason.RESET)), promise=promise).summary.outcome is Outcome.DISCONNECTED


def test_gives_up_at_the_moment_it_says():
    assert follow((1, HI)).summary.duration == 11  # the idle timeout is at most 10 s
    assert follow((1, HI), timeout=6).summary.duration == 4  # and half of the timeout
    assert follow((1, HI), idle=2.5).summary.duration == 3.5
    assert follow((1, ROLE), first_token=4).summary.duration == 4
    assert follow(timeout=7).summary.duration == 7
    assert follow((1, HI), (2, STOP)).summary.duration == 4  # 2 s for the end marker


def test_neither_comments_nor_empty_events_buy_time():
    for noise in (GO_ON, ROLE, sse({"choices": []}), b"event: ping\ndata: {}\n\n", USAGE, delta(content=None)):
        quiet = [(1 + n / 2, noise) for n in range(100)]
        assert follow(*quiet, first_token=5).summary.duration == pytest.approx(5, abs=0.5)
        assert judged(follow((1, HI), *quiet)) == (Outcome.STALLED, Reason.STALLED)
        assert judged(follow((1, HI), (1, STOP), *quiet)) == (Outcome.NO_DONE, Reason.INCOMPLETE)


def test_a_timeout_while_tokens_flow_is_load():
    flowing = follow(*[(at, HI) for at in range(1, 40)])
    assert flowing.failure.busy
    assert flowing.failure.row.evidence is Evidence.BUSY
    assert follow((1, HI)).failure.row.evidence is Evidence.SLOW
    assert follow().failure.row.evidence is Evidence.SLOW


def test_times_of_a_stream():
    summary = follow((1, ROLE), (2, HI), (2.5, HI + HI), (4.5, HI), (5, STOP), (5, USAGE), (5, DONE)).summary
    assert summary.ttft == {Channel.CONTENT: 2.0}
    assert summary.gaps == (0.5, 2.0)  # one chunk may hold several events
    assert summary.max_gap == 2.0
    assert summary.token_events == 4
    assert summary.usage == Tokens(input=4, output=3)
    assert summary.time_per_output_token == (4.5 - 2) / 2
    assert summary.duration == 5.0


def test_the_wait_before_an_abort_counts_as_a_gap():
    assert follow((1, HI), (2, HI)).summary.max_gap == 10.0


def test_no_token_no_time():
    summary = follow((1, ROLE), (2, STOP), (2, DONE)).summary
    assert summary.ttft == {}
    assert summary.max_gap is None
    assert summary.gaps == ()


def test_zeros_for_usage_beside_tokens_are_no_usage():
    zero = sse({"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}})
    assert follow((1, HI), (2, HI), (3, STOP + zero + DONE)).summary.usage is None


def test_channels():
    thinking = follow((1, delta(reasoning="a", reasoning_content="a")), (2, delta(content="x")), (3, STOP), (3, DONE))
    assert thinking.summary.ttft == {Channel.REASONING: 1.0, Channel.CONTENT: 2.0}
    assert thinking.summary.token_events == 2
    assert thinking.text == "x"
    only = follow((1, delta(reasoning_content="hm")), (2, delta("length")), (2, DONE))
    assert judged(only) == (Outcome.LENGTH, None)
    assert Channel.CONTENT not in only.summary.ttft
    call = {"index": 0, "function": {"name": "f", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": '{"a":1}'}}
    tool = follow((1, delta(tool_calls=[call])), (2, delta(tool_calls=[more])), (3, delta("tool_calls")), (3, DONE))
    assert tool.summary.ttft == {Channel.TOOL: 1.0}
    assert tool.tools == {0: ("f", '{"a":1}')}


def test_a_listener_hears_every_token_event_at_once_and_nothing_else():
    call = delta(tool_calls=[{"index": 0, "function": {"name": "look", "arguments": '{"at"'}}])
    heard = []
    script = [
        (1, ROLE),
        (2, delta(content="Hi", reasoning="hm")),
        (3, call),
        (3, GO_ON),
        (4, STOP),
        (4, USAGE),
        (4, DONE),
    ]
    followed = follow(*script, heard=heard.append)
    assert heard == [
        TokenEvent(2.0, Channel.CONTENT, "Hi"),
        TokenEvent(2.0, Channel.REASONING, "hm"),
        TokenEvent(3.0, Channel.TOOL, '{"at"'),
    ]
    assert followed == follow(*script)


def test_white_space_is_a_token():
    assert follow((1, delta(content=" ")), (2, STOP), (2, DONE)).summary.ttft == {Channel.CONTENT: 1.0}


def test_raw_streams_count_reads():
    def read(event):
        return Step(channels=(Channel.CONTENT,), text=event.data)

    promise = Promise(finish=False, done=False)
    followed = follow((1, b"a\xc3"), (2, b"\xa4"), (3, None), framing=Raw(), read=read, promise=promise)
    assert followed.summary.token_events == 2
    assert followed.text == "aä"


def test_tools_may_come_all_at_once():
    fake = FakeExchange({}, timeout=60)
    assert streaming.waits(fake, None, None).idle == 10
    assert streaming.waits(fake, None, None, tools=True).idle == 60
    assert streaming.waits(fake, 5, 3, tools=True) == streaming.Waits(5, 3)


async def test_a_flood_lets_others_run():
    fake = FakeExchange({})
    answer = Scripted(fake, 200, Headers(), [(100.5, HI * 5000), (100.6, STOP + DONE)])
    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    work = streaming.follow(
        fake, answer, SseParser(), openai_answer.read, promise=Promise(), limits=streaming.waits(fake, None, None)
    )
    followed = await work
    task.cancel()
    assert followed.summary.token_events == 5000
    assert turns >= 5000 // 16


def test_a_flood_ends_at_the_deadline():
    class Slow(Scripted):
        """Bytes are there at once; reading them is what takes long."""

        async def next(self, until):
            chunks = await super().next(until)
            self.exchange.clock += 20
            return chunks

    fake = FakeExchange({}, timeout=30)
    answer = Slow(fake, 200, Headers(), [(101, HI), (101, HI), (101, HI), (101, STOP), (101, DONE)])
    work = streaming.follow(
        fake, answer, SseParser(), openai_answer.read, promise=Promise(), limits=streaming.waits(fake, None, None)
    )
    followed = asyncio.run(work)
    assert followed.summary.outcome is Outcome.TIMEOUT  # tokens were there: we did not read them in time
    assert followed.failure.busy
    assert fake.clock <= 100 + 30 + 20


@pytest.mark.parametrize("ended", [b"\n\n", b""])
async def test_a_large_event_waits_for_its_thread_until_the_deadline(ended, monkeypatch):
    async def queue(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr(streaming, "handle", queue)
    fake = FakeExchange({}, timeout=1.01)
    large = b'data: {"choices":[],"x":"' + b"x" * reading.LARGE + b'"}'
    answer = Scripted(fake, 200, Headers(), [(101, HI + large + ended), (101, None)])
    work = streaming.follow(
        fake, answer, SseParser(), openai_answer.read, promise=Promise(), limits=streaming.waits(fake, None, None)
    )
    followed = await asyncio.wait_for(work, 20)
    assert (followed.summary.outcome, followed.failure.reason) == (Outcome.TIMEOUT, Reason.TIMEOUT)


@pytest.mark.parametrize(
    ("flood", "outcome", "busy"), [(HI, Outcome.TIMEOUT, True), (b'data: {"choices":[]}\n\n', Outcome.TIMEOUT, False)]
)
def test_whoever_reads_slowly_calls_nobody_stalled(flood, outcome, busy):
    fake = FakeExchange({}, timeout=30)
    answer = Scripted(fake, 200, Headers(), [(101, flood * 5000), (101, flood)])

    def read(event):
        fake.clock += 0.01
        return openai_answer.read(event)

    work = streaming.follow(
        fake, answer, SseParser(), read, promise=Promise(), limits=streaming.waits(fake, None, None)
    )
    followed = asyncio.run(work)
    assert (followed.summary.outcome, followed.failure.busy) == (outcome, busy)
    assert followed.failure.reason is (Reason.TIMEOUT if busy else Reason.TIMEOUT_FIRST_TOKEN)
    assert fake.clock <= 100 + 30 + 0.01 * 16


BODY = b"".join(
    [
        b"\xef\xbb\xbf: hello\r\n\r\n", ROLE, GO_ON, delta(content="Grüße \U0001f600"), b"event: x\rdata: {}\r\r",
        delta(content="a\nb").replace(b"\n\n", b"\r\n\r\n"), b'data: {"choices":\ndata: null}\n\n',
        delta(reasoning="r"), STOP, USAGE, DONE,
    ]
)  # fmt: skip
ENDINGS = [BODY, BODY[: -len(DONE)], BODY[: -len(DONE + USAGE + STOP)], BODY + b"junk", BODY.replace(b"null}", b"7}")]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ENDINGS), st.lists(st.integers(0, len(BODY)), max_size=40))
def test_the_cut_of_bytes_changes_nothing(body, cuts):
    whole = follow((1, body), (1, None))
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [(1, body[a:b]) for a, b in pairwise(edges)]
    cut = follow(*pieces, (1, None))
    assert cut.summary == whole.summary
    assert (cut.text, cut.finish, cut.done) == (whole.text, whole.finish, whole.done)
    assert str(cut.failure) == str(whole.failure)
