"""Protocol `auto`: finds out what a server is, with a few GETs and no guessing.

Asked in sequence, two seconds each, at most ten: no HEAD, no POST, no redirect followed, and never `/health`, which on
some servers runs a model, or every model, while the server is unknown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from exporter import protocols
from exporter.contracts import Exchange, Response
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Detection, Observation
from exporter.protocols import address, answer, evidence
from exporter.protocols.evidence import Clue
from exporter.protocols.family import Family, Plain
from exporter.protocols.text import quote
from exporter.settings import Settings

#: Seconds one question may take.
PATIENCE = 2.0

#: Nothing more can be learned from a server that cannot be reached.
_UNREACHABLE = frozenset(
    {
        Reason.DNS, Reason.CONNECT, Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.TLS, Reason.TLS_EXPIRED,
        Reason.TLS_HOSTNAME, Reason.TLS_UNTRUSTED, Reason.INTERNAL, Reason.AUTH,
    }
)  # fmt: skip

#: What is asked, and who reads the answer. A hint in the URL only changes the order. With the two questions that depend
#: on an answer or on the model's name these are ten.
_QUESTIONS: tuple[tuple[str, Callable[[Response], Clue | None]], ...] = (
    ("/", evidence.of_root),
    ("/v1/models", evidence.of_models),
    ("/v2", evidence.of_v2),
    ("/info", evidence.of_info),
    ("/models", evidence.of_listing),
    ("/version", evidence.of_version),
    ("/-/routes", evidence.of_routes),
    ("/health/ping", evidence.of_seldon),
)

#: How servers are called by people.
_NAMES = {
    "bentoml": "BentoML", "infinity": "infinity", "kserve": "KServe", "litellm": "LiteLLM", "litserve": "LitServe",
    "mlflow": "MLflow's scoring server", "mlserver": "MLServer", "ollama": "Ollama", "ray_serve": "Ray Serve",
    "seldon": "Seldon Core", "sglang": "SGLang", "tei": "Text Embeddings Inference",
    "tf_serving": "TensorFlow Serving", "tgi": "Text Generation Inference", "torchserve": "TorchServe",
    "triton": "Triton", "vllm": "vLLM",
}  # fmt: skip


class Detect(Family):
    """Finds the protocol of a server."""

    name: ClassVar[str] = "auto"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {Kind.DETECT: Plain}
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.DETECT,)

    async def detect(self, exchange: Exchange) -> Observation:
        """What the server is. Raises `Failure` when that cannot be decided now: then it is asked again."""
        search = _Search(self, exchange)
        clue = await search.run()
        return Observation(detected=_detection(clue, search))

    def root(self) -> str:
        """The URL's path above the first segment of an API."""
        for first in ("/v1", "/v2"):
            if self.base == first or self.base.endswith(first):
                return self.base.removesuffix(first)
        return self.base


@dataclass(slots=True)
class _Search:
    """One round of questions, and what was heard."""

    protocol: Detect
    exchange: Exchange
    asked: list[str] = field(default_factory=list)
    seen: list[Response] = field(default_factory=list)
    unsettled: Clue | None = None
    lost: Failure | None = None

    async def run(self) -> Clue | None:
        """The first clue that settles it, else what the server looks like, else None."""
        for route, read in self._questions():
            response = await self._get(route)
            clue = read(response) if response is not None else None
            if clue is None:
                continue
            if clue.then:
                response = await self._get(clue.then)
                clue = evidence.of_ping(response) if response is not None else None
            if clue is not None and (clue.final or clue.protocol):
                known = self.unsettled.server if self.unsettled is not None else ""
                return clue._replace(server=clue.server or known)
            self.unsettled = self.unsettled or clue
        if self.unsettled is None:
            self._undecided()
        return self.unsettled

    def _questions(self) -> list[tuple[str, Callable[[Response], Clue | None]]]:
        questions = list(_QUESTIONS)
        hinted = {"/v1": "/v1/models", "/v2": "/v2"}.get(self.protocol.base[-3:], "/")
        questions.sort(key=lambda question: question[0] != hinted)
        if self.protocol.model:
            questions.append((f"/v1/models/{address.segment(self.protocol.model)}", evidence.of_model))
        return questions

    async def _get(self, route: str) -> Response | None:
        """One question; None when no answer came.

        Raises `Failure` when the server cannot be reached, or two questions in a row bring none.
        """
        base = self.protocol.root()
        # The address as given may be an application's own route: a slash of ours would make it another one.
        path = base or "/" if route == "/" else base + route
        self.asked.append(path)
        try:
            response = await self.exchange.request(
                "GET", address.with_query(path, self.protocol.query), timeout=PATIENCE
            )
        except Failure as failure:
            expired = self.exchange.now() >= self.exchange.deadline
            if failure.reason in _UNREACHABLE or self.lost is not None or expired:
                raise
            self.lost = failure
            return None
        self.lost = None
        self.seen.append(response)
        return response

    def _undecided(self) -> None:
        """Raise what stands in the way of an answer: no access, or a server that is not well enough to tell."""
        if self.lost is not None and not self.seen:
            raise self.lost
        judged = [answer.judge(response.status, response.headers, response.body) for response in self.seen]
        for failure in judged:
            if failure is not None and failure.reason is Reason.AUTH:
                raise failure
        if None in judged:
            return
        for failure in judged:
            if failure is not None and (failure.http_status == 429 or (failure.http_status or 0) >= 500):
                raise failure


def _detection(clue: Clue | None, search: _Search) -> Detection:
    protocol = (clue.protocol if clue is not None else "") or "http"
    probes = tuple(kind.value for kind in protocols.load(protocol).default_kinds)
    if clue is None:
        asked = quote(", ".join(search.asked), 160)
        return Detection(protocol, "", probes, f"no server known to this version answers this way; asked {asked}")
    name = _NAMES.get(clue.server, clue.server)
    if not clue.protocol:
        advice = f"; {clue.advice}" if clue.advice else ""
        why = f"looks like {name}, which this version watches as http{advice}"
    else:
        like = name or {"openai": "an OpenAI-compatible server"}.get(protocol, protocol)
        why = f"{search.asked[-1]} answers as {like} does"
    return Detection(protocol, clue.server, clue.probes or probes, why)
