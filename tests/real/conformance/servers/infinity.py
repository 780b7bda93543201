"""Infinity with tiny models of random weights: one for embeddings, one for rankings."""

from functools import partial
from typing import Any

from exporter.model.failure import Reason
from tests.real.conformance.running import run
from tests.real.conformance.spec import Place, Spec
from tests.real.fleet import SERVERS

TEXTS = ["tea", "rust"]


def prepare(place: Place, kind: str) -> None:
    run(place, place.python, SERVERS / "make_embedder.py", kind, place.folder / kind)


def spec(name: str, kind: str, **more: Any) -> Spec:
    """Infinity with one model, `tiny`, that is made for one thing."""
    return Spec(
        name=name,
        venv="infinity",
        prepare=partial(prepare, kind=kind),
        command=lambda place: (
            *(place.bin / "infinity_emb", "v2", "--host", "127.0.0.1", "--port", str(place.port)),
            *("--model-id", place.folder / kind, "--served-model-name", "tiny"),
            *("--engine", "torch", "--device", "cpu", "--no-bettertransformer", "--no-model-warmup"),
        ),
        env=lambda place: {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"},
        found="infinity",
        protocol="infinity",
        server="infinity",
        default=("health", "ready", "metadata"),
        model="tiny",
        unknown=("ready", Reason.MODEL_NOT_FOUND),
        info=("server", "model_id", "platform"),
        **more,
    )


SPECS = (
    spec(
        "infinity",
        "embed",
        canaries=(("infer", {"input": TEXTS, "expect": {"dimension": 32, "norm": 1, "count": 2}}),),
        bad={"body": {"model": "tiny", "input": 7}},
    ),
    spec(
        "infinity-rerank",
        "rerank",
        canaries=(
            ("infer", {"api": "rerank", "query": "a drink", "texts": TEXTS, "expect": {"top": 1, "order": [0]}}),
        ),
        bad={"api": "embeddings"},  # its model is not made for that
    ),
)
