"""LLM streams: what whoever reads the tokens as they come waits for."""

from dashboards.board import Board, Q, Variable
from dashboards.states import MODEL, buckets, quantiles

_TARGET = Variable(
    "target", "Target", 'label_values(model_probe_stream_outcomes_total{job=~"$job", model=~"$model"}, target)'
)
_PROBE = Variable(
    "probe", "Probe", 'label_values(model_probe_stream_outcomes_total{job=~"$job", target=~"$target"}, probe)'
)
_GOOD = "complete|length|stopped"


def build() -> Board:
    board = Board(
        "streams",
        "Token streams as their reader sees them: how soon the first token comes, how evenly the others follow, how "
        "streams end, and what probing costs in tokens.",
        selected=(MODEL, _TARGET, _PROBE),
        since="now-3h",
    )
    _first_token(board)
    _flow(board)
    _ends(board)
    _cost(board)
    return board


def _first_token(board: Board) -> None:
    board.row("First token")
    board.graph(
        "Time to first token",
        "Median and 95th percentile, estimated from a histogram, by target and channel. From the moment before the "
        "request is sent; name look-up, connect and TLS are not in it.",
        *quantiles("model_probe_ttft_seconds", "target, channel", "{{target}} {{channel}}"),
        unit="s",
        link=True,
    )
    board.heat("First tokens", "Streams by how long their first token took.", buckets("model_probe_ttft_seconds"))


def _flow(board: Board) -> None:
    board.row("Flow")
    board.graph(
        "Gaps between chunks",
        "Median and 95th percentile, estimated from a histogram. A chunk may hold several tokens: this is not the time "
        "per token.",
        *quantiles("model_probe_inter_chunk_seconds", "target", "{{target}}"),
        unit="s",
        link=True,
    )
    board.heat("Gaps", "Gaps between chunks by their length.", buckets("model_probe_inter_chunk_seconds"))
    board.graph(
        "Time per output token",
        "Of the last stream, by the server's own count of tokens; absent where it counts none.",
        Q("max by (target, probe) (model_probe_time_per_output_token_seconds{*})", "{{target}} {{probe}}"),
        unit="s",
        width=8,
        link=True,
    )
    board.graph(
        "Output tokens a second",
        "Of the last stream: the inverse of the time per output token.",
        Q("min by (target, probe) (model_probe_output_tokens_per_second{*})", "{{target}} {{probe}}"),
        unit="cps",
        width=8,
        link=True,
    )
    board.graph(
        "Longest gap",
        "Of the last stream: the longest wait after a token, the one until the end included. Near the probe's idle "
        "timeout: about to be called stalled.",
        Q("max by (target, probe) (model_probe_stream_max_gap_seconds{*})", "{{target}} {{probe}}"),
        unit="s",
        width=8,
        link=True,
    )


def _ends(board: Board) -> None:
    board.row("How streams end")
    board.graph(
        "Ends",
        "Streams that answered 2xx, by how they ended. complete, length and stopped are good ends.",
        Q("60 * sum by (outcome) (rate(model_probe_stream_outcomes_total{*}[$__rate_interval]))", "{{outcome}}"),
        unit="cpm",
        stacked=True,
        colors={"complete": "green", "length": "dark-green", "stopped": "light-green"},
    )
    ends = "model_probe_stream_outcomes_total"
    board.graph(
        "Bad ends",
        "Share of the streams of each target that did not come to a good end.",
        Q(
            f'sum by (target) (rate({ends}{{*, outcome!~"{_GOOD}"}}[$__rate_interval])) / '
            f"sum by (target) (rate({ends}{{*}}[$__rate_interval]))",
            "{{target}}",
        ),
        unit="percentunit",
        top=1,
        link=True,
    )


def _cost(board: Board) -> None:
    board.row("Cost and server")
    board.graph(
        "Tokens spent on probing",
        "By type, disjoint: output excludes reasoning, input excludes cached.",
        Q("60 * sum by (token_type) (rate(model_probe_tokens_total{*}[$__rate_interval]))", "{{token_type}}"),
        unit="cpm",
        stacked=True,
        width=8,
    )
    board.graph(
        "By target",
        "Tokens that probing of each target uses, of all types.",
        Q("60 * sum by (target) (rate(model_probe_tokens_total{*}[$__rate_interval]))", "{{target}}"),
        unit="cpm",
        stacked=True,
        width=8,
        link=True,
    )
    board.graph(
        "Time by the server's account",
        "Of the last run: queue, prefill and decode, where the server tells them; the mean over targets.",
        Q("avg by (part) (model_probe_server_seconds{*})", "{{part}}"),
        unit="s",
        stacked=True,
        width=8,
    )
