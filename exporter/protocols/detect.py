"""Protocol `auto`: finds out what a server is, with a few questions that cost it nothing.

Over HTTP they are GETs, in sequence, two seconds each, at most ten: no HEAD, no POST, no redirect followed, and never
`/health`, which on some servers runs a model, or every model, while the server is unknown. Over gRPC see detect_grpc.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

from exporter import protocols
from exporter.contracts import Exchange, Response
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Detection, Observation
from exporter.protocols import address, answer, evidence, evidence_models
from exporter.protocols.evidence import Clue, Question
from exporter.protocols.family import GRPC, HTTP, Family, Plain
from exporter.protocols.openai_evidence import Sign
from exporter.protocols.text import quote
from exporter.settings import Settings

#: Seconds one question may take, and how many there may be.
PATIENCE = 2.0
MOST = 10

#: Nothing more can be learned from a server that cannot be reached.
_UNREACHABLE = frozenset(
    {
        Reason.DNS, Reason.CONNECT, Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.TLS, Reason.TLS_EXPIRED,
        Reason.TLS_HOSTNAME, Reason.TLS_UNTRUSTED, Reason.INTERNAL, Reason.AUTH,
    }
)  # fmt: skip

_LISTING = Question("/v1/models", evidence_models.of_models)
_ROUTES = Question("/-/routes", evidence.of_routes)

#: What is asked. Hints in the url change the order, and answers add a question or two.
_QUESTIONS = (
    Question("/", evidence.of_root),
    _LISTING,
    evidence.V2,
    evidence.INFO,
    evidence.MODELS,
    Question("/version", evidence.of_version),
    Question("/ping", evidence.of_ping),
    _ROUTES,
    Question("/health/ping", evidence.of_seldon),
)

#: The question worth asking first where the url ends so, or has this port.
_BY_PATH = {"/v1": _LISTING, "/v2": evidence.V2}
_BY_PORT = {8081: evidence.MODELS, 8501: _LISTING}

#: How servers are called by people.
_NAMES = {
    "bentoml": "BentoML", "hosted": "a hosted OpenAI API", "infinity": "infinity", "kserve": "KServe",
    "litellm": "LiteLLM", "litserve": "LitServe", "mlflow": "MLflow's scoring server", "mlserver": "MLServer",
    "nim": "NVIDIA NIM", "ollama": "Ollama", "pytriton": "PyTriton", "ray_serve": "Ray Serve",
    "sagemaker": "a SageMaker container", "seldon": "Seldon Core", "sglang": "SGLang",
    "tei": "Text Embeddings Inference", "tf_serving": "TensorFlow Serving", "tgi": "Text Generation Inference",
    "torchserve": "TorchServe", "transformers": "transformers serve", "triton": "Triton", "vllm": "vLLM",
}  # fmt: skip


class Detect(Family):
    """Finds the protocol of a server."""

    name: ClassVar[str] = "auto"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {Kind.DETECT: Plain}
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.DETECT,)
    schemes: ClassVar[frozenset[str]] = HTTP | GRPC | {"tcp"}

    def imports(self) -> tuple[str, ...]:
        """What asking over gRPC takes, where that is done."""
        if self.scheme in HTTP:
            return ()
        from exporter.protocols import rpc

        return rpc.imports("health", "open_inference")

    async def detect(self, exchange: Exchange) -> Observation:
        """What the server is. Raises `Failure` when that cannot be decided now: then it is asked again."""
        if self.scheme not in HTTP:
            from exporter.protocols import detect_grpc

            found, why = await detect_grpc.find(exchange, self.scheme)
            return Observation(detected=self._detection(found, why, ""))
        search = _Search(self, exchange)
        clue = await search.run()
        return Observation(detected=self._detection(clue or Clue(protocol="http"), search.why(clue), search.host()))

    def root(self) -> str:
        """The URL's path above the first segment of an API."""
        for first in ("/v1", "/v2"):
            if self.base == first or self.base.endswith(first):
                return self.base.removesuffix(first)
        return self.base

    def questions(self) -> list[Question]:
        """What to ask, in order."""
        questions = list(_QUESTIONS)
        first = _BY_PATH.get(self.base[-3:]) or _BY_PORT.get(self.port)
        if first is None and self.base:
            # It may be an application's own route on Ray Serve, whose proxy is asked before it.
            first = _ROUTES
        questions.sort(key=lambda question: question is not first)
        if self.model:
            questions.append(Question(f"/v1/models/{address.segment(self.model)}", evidence_models.of_model))
        return questions

    def _detection(self, clue: Clue, why: str, host: str) -> Detection:
        probes, unasked = (clue.probes, ()) if clue.probes else self._askable(clue.protocol, host)
        if unasked:
            why += f"; name a model to ask {' and '.join(unasked)}"
        return Detection(clue.protocol, clue.server, probes, why)

    def _askable(self, protocol: str, host: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The protocol's default probes: those that can be asked with what is known, and those that cannot."""
        cls = protocols.load(protocol)
        known: list[str] = []
        unknown: list[str] = []
        for kind in cls.kinds_at(host):
            probe = cls(
                model=self.model, path=self.base, query=self.query, settings=cls.kinds[kind](), options=cls.options(),
                scheme=self.scheme, port=self.port,
            )  # fmt: skip
            (unknown if probe.problems(kind) else known).append(kind.value)
        return tuple(known), tuple(unknown)


@dataclass(slots=True)
class _Search:
    """One round of questions, and what was heard."""

    protocol: Detect
    exchange: Exchange
    #: By path, in the order of asking; None where no answer came.
    heard: dict[str, Response | None] = field(default_factory=dict)
    lost: Failure | None = None
    #: The path whose answer settled it.
    decided: str = ""

    async def run(self) -> Clue | None:
        """The first clue that settles it; None for a server that nobody here knows."""
        for question in self.protocol.questions():
            clue = await self._ask(question)
            if clue is not None:
                return clue
        self._undecided()
        return None

    def why(self, clue: Clue | None) -> str:
        """For people: what it is taken for, and by which answer."""
        if clue is None:
            return f"no server known to this version answers this way; asked {quote(', '.join(self.heard), 160)}"
        name = _NAMES.get(clue.server, clue.server)
        if clue.advice:
            return f"looks like {name}, watched as {clue.protocol}; {clue.advice}"
        like = name or {"openai": "an OpenAI-compatible server"}.get(clue.protocol, clue.protocol)
        return f"{self.decided} answers as {like} does"

    def host(self) -> str:
        """The host that answered."""
        answers = [response for response in self.heard.values() if response is not None]
        return (urlsplit(answers[-1].url).hostname if answers else "") or ""

    async def _ask(self, question: Question) -> Clue | None:
        """A question and those it leads to; None when they settle nothing."""
        response = await self._get(question.route)
        clue = question.read(response) if response is not None else None
        if clue is None or response is None:
            return None
        path = self._path(question.route)
        if clue.protocol == "openai" and clue.then is None and question is _LISTING:
            server = clue.server if not (signs := evidence_models.signs_behind(clue)) else await self._behind(signs)
            clue = evidence_models.of_server(server, clue, below_v1=self.protocol.base.endswith("/v1"))
        if clue.then is not None:
            settled = await self._ask(clue.then)
            if settled is not None:
                return settled
        self.decided = path
        return clue if clue.protocol else None

    async def _behind(self, signs: Iterable[tuple[str, Sign]]) -> str:
        """The server behind an OpenAI API, `""` when it does not show itself."""
        for route, sign in signs:
            response = await self._get(route)
            name = sign(response) if response is not None and response.status == 200 else ""
            if name:
                return name
        return ""

    async def _get(self, route: str) -> Response | None:
        """One question; None when no answer came, or when there were enough of them.

        Raises `Failure` when the server cannot be reached, or two questions in a row bring none.
        """
        path = self._path(route)
        if path in self.heard or len(self.heard) >= MOST:
            return self.heard.get(path)
        self.heard[path] = None
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
        self.heard[path] = response
        return response

    def _path(self, route: str) -> str:
        base = self.protocol.root()
        if route == _ROUTES.route:  # at the root of the server, whatever an application's prefix is
            return route
        # The address as given may be an application's own route: a slash of ours would make it another one.
        return base or "/" if route == "/" else base + route

    def _undecided(self) -> None:
        """Raise what stands in the way of an answer: no access, or a server that is not well enough to tell."""
        seen = [response for response in self.heard.values() if response is not None]
        judged = [answer.judge(response.status, response.headers, response.body) for response in seen]
        for failure in judged:
            if failure is not None and failure.reason is Reason.AUTH:
                raise failure
        if None in judged:
            return
        for failure in judged:
            if failure is not None and (failure.http_status == 429 or (failure.http_status or 0) >= 500):
                raise failure
