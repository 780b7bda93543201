"""What was said on the wire in an attempt that failed, fit to be shown: bounded, without credentials and prompts.

It is written once an attempt has failed, from what is still held of it: one that goes well pays nothing for it. Every
header's value counts as a secret unless its name is listed here, and known secrets are taken out of all that is left.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from exporter.contracts import Reply
from exporter.transport import auth, gist
from exporter.transport.account import Account
from exporter.transport.connection import Connection
from exporter.transport.faults import Stage
from exporter.transport.message import Answer

if TYPE_CHECKING:
    from exporter.transport.relay import Relay

#: Characters of an account, of one line, and lines of headers.
MOST, LINE, HEADERS = 4096, 400, 32
#: Bytes of a body that are shown, and of one whose shape is.
BODY, READ = 1500, 16_384
#: Earlier requests of the attempt that are named.
EARLIER = 6

#: Headers whose values are no secrets.
PUBLIC = frozenset({
    "accept", "accept-encoding", "age", "allow", "cache-control", "connection", "content-encoding", "content-length",
    "content-type", "date", "host", "keep-alive", "retry-after", "server", "traceparent", "transfer-encoding",
    "user-agent", "vary", "x-request-id",
})  # fmt: skip

_STUCK = {
    Stage.LOOKUP: "no address was found",
    Stage.CONNECT: "not connected",
    Stage.TUNNEL: "the proxy opened no tunnel",
    Stage.HANDSHAKE: "the TLS handshake did not come to a good end",
}
_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


class Earlier(NamedTuple):
    """A request before the last, as it is kept. `status` is 0 where no answer came."""

    at: float
    line: bytes
    status: int
    size: int


class Spoken(NamedTuple):
    """The last request of a conversation and what came of it; `at` is infinite where it was not sent."""

    at: float
    sent: bytes
    answer: Answer | None
    via: Connection | None
    earlier: Iterable[Earlier]

    @property
    def head(self) -> bytes:
        """All that was sent before the body."""
        return self.sent[: self.sent.find(b"\r\n\r\n")]

    @property
    def body(self) -> memoryview:
        """And that; it may be large."""
        return memoryview(self.sent)[self.sent.find(b"\r\n\r\n") + 4 :] if self.sent else memoryview(b"")

    def kept(self) -> Earlier:
        """What is kept of it once there is another."""
        line, answer = self.sent[: self.sent.find(b"\r\n")][:LINE], self.answer
        return Earlier(self.at, line, answer.status if answer else 0, answer.body_bytes if answer else 0)


class Call(NamedTuple):
    """A gRPC call: its metadata's names, and what came of it. `relay` is None where there was no connection, `reply`
    where the server did not end it.
    """

    method: str
    names: Sequence[str]
    message: bytes
    relay: "Relay | None"
    reply: Reply | None


class Script:
    """Lines under a clock of milliseconds since `began`, without `secrets`."""

    def __init__(self, began: float, secrets: Iterable[str]) -> None:
        self.began = began
        self._known = auth.forms(secrets)
        self._lines: list[str] = []

    def add(self, text: str, at: float | None = None) -> None:
        """One line; `at` is the stamp of what it tells."""
        self._write(self._hidden(text), at)

    def block(self, text: str, at: float | None = None) -> None:
        """A text that may have several lines, and a secret in the middle of a break."""
        for line in self._hidden(text).splitlines():
            self._write(f"| {line}", at)
            at = None

    def hide(self, secrets: Iterable[str]) -> None:
        """More that must not be repeated from here on."""
        self._known = [*self._known, *auth.forms(secrets)]

    def text(self) -> str:
        """All of it."""
        whole = "\n".join(self._lines)
        return whole if len(whole) <= MOST else f"{whole[:MOST]}…"

    def _hidden(self, text: str) -> str:
        return auth.hide(text, self._known)

    def _write(self, text: str, at: float | None) -> None:
        stamp = "" if at is None else f"{(at - self.began) * 1000:.1f}"
        cut = text if len(text) <= LINE else f"{text[:LINE]}…"
        clean = cut if cut.isprintable() else "".join(char if char.isprintable() else "�" for char in cut)
        self._lines.append(f"{stamp:>8}  {clean}")


def account(
    began: float, ended: float, measured: Account, spoken: Sequence[Spoken], call: Call | None, secrets: Iterable[str]
) -> str:
    """All of an attempt between two stamps. `secrets` are those that the exchange knows of."""
    last = max(spoken, key=lambda each: each.at if each.sent else -1.0)
    line = last.head.partition(b"\r\n")[0].decode("latin-1")
    script = Script(began, {*secrets, *auth.secrets_of(line.partition("?")[2].rpartition(" ")[0])})
    earlier = [each for one in spoken for each in one.earlier]
    earlier += [one.kept() for one in spoken if one is not last and one.sent]
    earlier = sorted(earlier)[-EARLIER:]
    connected = last.via.made if last.via is not None else 0.0
    _before(script, [each for each in earlier if each.at < connected])
    _way(script, measured, last)
    _before(script, [each for each in earlier if each.at >= connected])
    if call is not None:
        _called(script, call)
    elif last.sent:
        _asked(script, last)
        if last.answer is not None:
            _answered(script, last.answer, last.body)
    if call is not None or last.answer is None or not last.answer.done:
        script.add("* over", ended)
    return script.text()


def _before(script: Script, requests: Iterable[Earlier]) -> None:
    for each in requests:
        answered = f"{each.status}, {_bytes(each.size)} of body" if each.status else "no answer"
        script.add(f"> {_line(each.line.decode('latin-1'))}: {answered}", each.at if each.status else None)


def _way(script: Script, measured: Account, spoken: Spoken) -> None:
    """How the connection came about."""
    phases, where, via = measured.phases, measured.address, spoken.via
    if measured.proxy:
        where = f"proxy {measured.proxy} at {where}" if where else f"proxy {measured.proxy}"
    if (seconds := phases.get("dns")) is not None:
        script.add(f"* looked the name up, which took {seconds * 1000:.1f}")
    if via is not None and via.made < script.began:
        script.add(f"* on a connection that was kept, to {where}")
    elif via is not None:
        script.add(f"* connected to {where}", via.made)
        if via.shaken:
            script.add("* TLS handshake done", via.shaken)
    else:
        if (seconds := phases.get("connect")) is not None:
            script.add(f"* connected to {where}, which took {seconds * 1000:.1f}")
        if measured.stage in _STUCK and (where or spoken.sent):  # else nobody came to look
            script.add(f"* {_STUCK[measured.stage]}" + (f": {where}" if where else ""))


def _asked(script: Script, spoken: Spoken) -> None:
    line, *fields = spoken.head.decode("latin-1").split("\r\n")
    at = spoken.at if spoken.answer is not None else None
    script.add(f"> {_line(line)}" if at is not None else f"* not sent: {_line(line)}", at)
    if at is not None:
        _fields(script, ">", (field.partition(": ")[::2] for field in fields))
        if body := spoken.body:
            script.add(f"> ({_bytes(len(body))} of body, not shown)")


def _answered(script: Script, answer: Answer, asked: memoryview) -> None:
    if not answer.first_at:
        script.add("* nothing came back")
        return
    if answer.head:
        script.add(f"< {answer.status}", answer.first_at)
    elif answer.opening:
        # A head that is none holds headers like any other: only what is no HTTP at all is shown beyond its first line.
        odd = answer.opening[0].data
        odd = odd.partition(b"\r\n")[0] if odd.startswith(b"HTTP/") else odd
        script.add(f"< no HTTP: {odd.decode('ascii', 'backslashreplace')!r}", answer.first_at)
        return
    else:
        script.add(f"< a head that did not end ({_bytes(answer.raw_bytes)})", answer.first_at)
    _fields(script, "<", ((name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.fields()))
    if answer.body_bytes:
        _body(script, answer, asked)
    if answer.done:
        script.add(f"* the answer is whole, {_bytes(answer.body_bytes)} of body", answer.ended)
    else:
        script.add(f"* the last that came: {_bytes(answer.body_bytes)} of body, not at its end", answer.ended)


def _body(script: Script, answer: Answer, asked: memoryview) -> None:
    """What of the body may be shown. What answers a prompt is left out, and so is a prompt that an error repeats."""
    kind = answer.headers.get("content-type").partition(";")[0].strip().lower()
    texts = gist.prompts(asked) if asked else ()
    good = 200 <= answer.status < 300
    if answer.coding or texts is None:
        script.add(f"| ({'compressed' if answer.coding else 'more was asked than can be told apart'}, not shown)")
        return
    script.hide(texts)
    chunks = answer.beginning(READ)
    if good and asked and kind != "text/html":
        if answer.streaming or kind in ("text/event-stream", "application/x-ndjson"):
            script.add("| (the first events without what they say: …(5) is a text of 5 characters)")
            for at, event in gist.events(chunks):
                script.block(event, at)
        else:
            script.add("| (without what it says: …(5) is a text of 5 characters)")
            script.block(gist.shape(b"".join(chunk.data for chunk in chunks).decode(errors="replace")))
        return
    data = b"".join(chunk.data for chunk in chunks)
    if b"\0" in data[:BODY]:
        script.add("| (not text, not shown)")
        return
    script.block(data.decode(errors="replace")[:BODY])


def _called(script: Script, call: Call) -> None:
    relay, reply = call.relay, call.reply
    script.hide(gist.prompts(call.message) or ())
    sent = relay.asked_at if relay is not None else 0.0
    script.add(f"> call {call.method}" if sent else f"* not sent: call {call.method}", sent or None)
    script.add(f"> metadata: {', '.join(call.names)} (values not shown)")
    script.add(f"> ({_bytes(len(call.message))} of message, not shown)")
    if relay is None:
        return
    if relay.first_at:
        script.add("< the answer begins", relay.first_at)
    if reply is not None:
        name = _CODES[reply.code] if 0 <= reply.code < len(_CODES) else "?"
        script.add(f"< status {reply.code} {name}" + (f": {reply.message}" if reply.message else ""), reply.ended)
    elif not relay.raw_bytes:
        script.add("* nothing came back")
    if relay.body_bytes:
        script.add(f"< ({_bytes(relay.body_bytes)} of message, not shown)")


def _fields(script: Script, mark: str, fields: Iterable[tuple[str, str]]) -> None:
    for count, (name, value) in enumerate(fields):
        if count == HEADERS:
            script.add(f"{mark} …")
            return
        script.add(f"{mark} {name[:60]}: {value if name.lower() in PUBLIC else auth.HIDDEN}")


def _line(line: str) -> str:
    """A request line without its query."""
    before, mark, after = line.partition("?")
    return f"{before}?{auth.HIDDEN} {after.rpartition(' ')[2]}" if mark else line


def _bytes(count: int) -> str:
    return f"{count} byte{'' if count == 1 else 's'}"
