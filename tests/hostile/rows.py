"""The rows of the table: every behaviour, put to every protocol that can meet it, and the verdict it must get."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.hostile.behaviours import BEHAVIOURS, DEFAULT_MAX_BODY, PEERS, Behaviour, Group, Peer
from tests.hostile.meaning import ALSO, MEANING, STREAMED
from tests.hostile.process import Hostile
from tests.hostile.ways import SECRET

#: Seconds. Rows whose fault shows at once get a long timeout that they must not use; the others use theirs up.
FAST, SLOW = 10.0, 1.0
MAX_BODY = 1_000_000
HEALTHY = "healthy"

_ALL: frozenset[Group] = frozenset(
    {"tcp", "dns", "headers", "status", "body", "encoding", "redirects", "reuse", "tls", "json"}
)
#: What a stream meets: it is asked for and read by a way of its own.
_STREAMED: frozenset[Group] = _ALL - {"json"}
_TENSOR = {"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}


@dataclass(frozen=True)
class Asking:
    """How a protocol asks: the probe's kind and own settings, its other settings, what it reads, its name."""

    kind: str
    groups: frozenset[Group]
    probe: Mapping[str, Any]
    settings: Mapping[str, Any]
    protocol: str | None = None


PROTOCOLS: Mapping[str, Asking] = {
    "http": Asking("health", _ALL, {}, {}),
    "open_inference": Asking("infer", _ALL, {"inputs": [_TENSOR]}, {}),
    # What a server says of itself, part of which becomes labels.
    "metadata": Asking("metadata", frozenset({"json"}), {}, {}, "open_inference"),
    "openai": Asking("stream", _STREAMED | {"sse"}, {}, {"server": "generic", "wake": True}),
    "ollama": Asking("stream", _STREAMED | {"ndjson"}, {}, {"wake": True}),
}


@dataclass(frozen=True)
class Row:
    """One line of the table. `module` is its name in the config, `expected` the verdicts that hold."""

    name: str
    protocol: str
    url: str
    expected: frozenset[str]
    fast: bool
    module: Mapping[str, Any]
    behaviour: Behaviour | None = None

    @property
    def key(self) -> str:
        """Its module, and its target."""
        return f"{self.protocol}-{self.name}"

    @property
    def waits(self) -> bool:
        """Whether its time is all spent waiting: no fault to be seen, and no flood."""
        return not self.fast and "too_large" not in self.expected

    @property
    def timeout(self) -> float:
        """Of its probe, in seconds."""
        return FAST if self.fast else SLOW

    @property
    def max_body(self) -> float:
        """MB that its body may have."""
        return (DEFAULT_MAX_BODY if self.behaviour is not None and self.behaviour.large else MAX_BODY) / 1e6

    @property
    def model(self) -> str:
        """What is asked for, where the protocol has models."""
        return "" if self.protocol in ("http", "grpc_health") else "m"


def rows(hostile: Hostile) -> list[Row]:
    """All of them, by protocol."""
    return [*_spoken(hostile), *(_called(peer, hostile) for peer in PEERS)]


def control(hostile: Hostile, name: str = "on-demand") -> Row:
    """A healthy server's, at the path of this name."""
    url = f"http://127.0.0.1:{hostile.healthy}/control/{name}"
    module = {"protocol": "http", "probes": {"health": {**timing(True), "interval": "1s"}}}
    return Row("control", "http", url, frozenset({HEALTHY}), True, module)


def late(control: Row) -> Row:
    """The same, of which the answer comes when the deadline of other rows is."""
    return replace(control, url=f"{control.url.partition('/control/')[0]}/late/{SLOW}")


def timing(fast: bool) -> dict[str, Any]:
    """Of a row's probe: on the schedule each runs once in the time of the last round, or twice."""
    return {"timeout": f"{(FAST if fast else SLOW) * 1000:.0f}ms", "interval": "12s"}


def _spoken(hostile: Hostile) -> Iterator[Row]:
    for protocol, asking in PROTOCOLS.items():
        for row in BEHAVIOURS:
            if row.group not in asking.groups or (row.method == "HEAD" and protocol != "http"):
                continue
            if row.name == "impossible_name" or (row.stream and row.group in _ALL):
                continue  # the config refuses it; a protocol reads all of a group as a stream, or none
            probe: dict[str, Any] = {**timing(row.fast), **asking.probe}
            if row.method != "GET":
                probe["method"] = row.method
            yield Row(
                row.name,
                protocol,
                row.url(hostile.ports),
                _expected(row, protocol),
                row.fast,
                {
                    "protocol": asking.protocol or protocol,
                    "tls": {"ca_file": hostile.ca_file},
                    "follow_redirects": row.follow,
                    "connection": "keep_alive" if row.repeat else "fresh",
                    **({} if row.large else {"max_body": f"{MAX_BODY}B"}),
                    "auth": {"bearer": SECRET, "hosts": ["*"]},
                    "probes": {asking.kind: probe},
                    **asking.settings,
                },
                row,
            )


def _expected(row: Behaviour, protocol: str) -> frozenset[str]:
    streams = PROTOCOLS[protocol].kind == "stream"
    if streams and row.name in STREAMED:
        return frozenset(STREAMED[row.name].split())
    told = {str(reason) for reason in row.reasons if reason is not None}
    for reason in list(told):
        if streams or reason == "connect_timeout":
            told |= set(ALSO.get(reason, "").split())
    if None in row.reasons:  # the transport hands an answer over, and the protocol says what it means
        told |= set(MEANING[protocol].get(row.name, HEALTHY).split())
    return frozenset(told)


def _called(peer: Peer, hostile: Hostile) -> Row:
    return Row(
        f"{peer}",
        "grpc_health",
        f"{peer.scheme}://{peer.host}:{hostile.ports[peer.port]}",
        frozenset(peer.means if reason is None else str(reason) for reason in peer.reasons)
        | ({"timeout"} if peer.port == "blackhole" else set()),
        peer.fast,
        {
            "protocol": "grpc_health",
            "tls": {"ca_file": hostile.ca_file},
            "max_body": f"{MAX_BODY}B",
            "connection": "keep_alive" if peer.repeat else "fresh",
            "auth": {"bearer": SECRET, "hosts": ["*"]},
            "probes": {"health": timing(peer.fast)},
        },
    )
