"""What a request to a language model may cost, judged by the request alone."""

import json
from collections.abc import Iterator
from typing import Any

from exporter.model.cost import Cost

#: Bytes of UTF-8 that count as one token. English has four or five to a token; other languages, code and numbers have
#: fewer, and what the server's chat template adds is paid for by the braces and keys of the JSON, which count too.
BYTES_PER_TOKEN = 3
#: Tokens an answer may have where a request says no bound: the operator's own body is sent as it is.
UNBOUNDED = 4096

_BOUNDS = frozenset(
    {"max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "num_predict", "n_predict"}
)
#: How many answers one request is to have.
_CHOICES = frozenset({"n", "best_of"})
#: Where servers have their parameters, beside the top.
_BLOCKS = ("options", "parameters", "sampling_params")


def worst_case(request: Any, *, writes: bool = True) -> Cost:
    """The most that a request costs: a token for every BYTES_PER_TOKEN of its JSON, the model's name left out, and all
    that it lets the model write. `writes`: False for one that is answered with numbers.
    """
    asked = {key: value for key, value in request.items() if key != "model"} if isinstance(request, dict) else request
    size = len(json.dumps(asked, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    read = -(-size // BYTES_PER_TOKEN)
    return Cost(read + (_written(request) if writes else 0))


def _written(request: Any) -> int:
    if not isinstance(request, dict):
        return UNBOUNDED
    choices = max(_numbers(request, _CHOICES), default=1)
    return choices * max(_numbers(request, _BOUNDS), default=UNBOUNDED)


def _numbers(request: dict[str, Any], keys: frozenset[str]) -> Iterator[int]:
    for block in (request, *(request.get(name) for name in _BLOCKS)):
        if isinstance(block, dict):
            yield from (number for key in keys & block.keys() if (number := _number(block[key])))


def _number(value: Any) -> int:
    """A positive integer, else 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
