"""One attempt's dealings with a server of the OpenAI API: who it is, and what it lists.

Who it is is remembered between attempts, and forgotten when the server was away or an answer of it stops fitting.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from exporter.contracts import Exchange, Response
from exporter.model.failure import Evidence, Failure
from exporter.protocols import address, answer, openai_answer, openai_evidence
from exporter.protocols.openai_evidence import Sign
from exporter.protocols.openai_servers import GENERIC, SERVERS, Server
from exporter.protocols.reading import handle

#: Key of what is remembered of a target: a `Known`.
SERVER = "openai.server"

#: Seconds a question beside the probe's own may take.
PATIENCE = 2.0

#: A route that is not there, or not for GET: another server than was thought, or a gateway that hides it.
_ABSENT = frozenset({404, 405, 501})


@dataclass(slots=True)
class Known:
    """What was learned of a server: the name of a row in SERVERS, and routes it was seen to lack.

    Not `sure`: nothing told who it is, and not every sign was asked for.
    """

    name: str
    sure: bool = True
    lacks: set[str] = field(default_factory=set)


class Visit:
    """Questions of one attempt. `given` is the server as the config names it, or `auto`; `base` the url's path."""

    def __init__(self, exchange: Exchange, given: str, base: str, query: str) -> None:
        self.exchange = exchange
        self._given = given
        self._base = base
        self._query = query
        self._listing: Response | None = None
        self._entries: list[dict[str, Any]] | None = None

    def path(self, route: str) -> str:
        """The path of a route. Those that begin with `/v1/` are the API's, all others stand beside it."""
        resource, named, _ = self._base.partition("/deployments/")
        if named and route.startswith("/v1/"):  # Azure's older addresses: models stand beside deployments
            return address.with_query(resource + route.removeprefix("/v1"), self._query)
        if route.startswith("/v1/"):
            return address.join(self._base, route, self._query)
        return address.beside(self._base, route, self._query)

    async def get(self, route: str, timeout: float | None = None) -> Response:
        """GET a route. Any status is returned."""
        try:
            return await self.exchange.request("GET", self.path(route), timeout=timeout)
        except Failure as failure:
            if failure.row.evidence is Evidence.DEAD:
                self._forget()  # what comes back may be another server
            raise

    async def aside(self, route: str) -> Response | None:
        """GET a route whose answer is welcome and not needed; None when none came."""
        try:
            return await self.get(route, PATIENCE)
        except Failure:
            if self.exchange.now() >= self.exchange.deadline:
                raise
            return None

    def lacks(self, route: str, response: Response | None = None) -> bool:
        """Whether the server has no such route, by what is remembered or by this answer, which is then remembered."""
        known: Known | None = self.exchange.memory.get(SERVER)
        if response is not None and absent(response):
            known = known or self._remember(self._given, sure=self._given != "auto")
            known.lacks.add(route)
        return known is not None and route in known.lacks

    async def entries(self, patience: float | None = None) -> list[dict[str, Any]]:
        """The models it lists, within `patience` seconds. Raises `Failure` where it has no such list."""
        if self._entries is None:
            if self._listing is None:
                self._listing = await self.get("/v1/models", patience)
            try:
                # A missing route is no missing model: the path does not hold its name.
                answer.require(self._listing, path=self.path("/v1/models"))
                self._entries = await handle(self._listing.body, openai_answer.models)
            except Failure:
                if _may_lack_listing(self._listing):
                    self._forget()
                raise
            self._compare()
        return self._entries

    async def server(self, *, thorough: bool = False) -> Server:
        """Who it is. Where that is not known yet, the listing is asked; with `thorough` more than that.

        Raises `Failure` when there is neither a listing nor a sign of a server that has none.
        """
        if self._given != "auto":
            return SERVERS[self._given]
        known: Known | None = self.exchange.memory.get(SERVER)
        if known is None or not known.sure:
            known = await self._learn(thorough)
        return SERVERS[known.name]

    async def server_at_hand(self) -> Server:
        """Who it is, as far as that is known or the listing tells: a canary's own question is the one that matters."""
        known: Known | None = self.exchange.memory.get(SERVER)
        if self._given != "auto":
            return await self.server()
        if known is None:
            try:
                told = self._told(await self.entries(PATIENCE))
            except Failure as failure:
                # What came too late is no verdict on the canary, which then has no time left, and says so.
                if failure.http_status is None and self.exchange.now() >= self.exchange.deadline:
                    raise
                told = ""
            sure = told not in ("", "vllm")  # vLLM has to show itself
            known = self._remember(told if sure else GENERIC, sure=sure)
        return SERVERS[known.name]

    async def instead(self, server: Server) -> Server | None:
        """Who it is, now that an answer is none of `server`'s; None where the config says that this is who it is."""
        if self._given != "auto":
            return None
        self._forget()
        found = await self._learn(thorough=False)
        if found.name == server.name:  # it is, but behind something that hides all but the API
            found = self._remember(GENERIC, sure=True)
        return SERVERS[found.name]

    async def _learn(self, thorough: bool) -> Known:
        try:
            entries = await self.entries()
        except Failure:
            told = self._told([])
            if not told and self._listing is not None and _may_lack_listing(self._listing):
                told = await self._ask(openai_evidence.OF_NO_LISTING)
            if not told:
                raise
            return self._remember(told, sure=True)
        told = self._told(entries)
        if told == "vllm":
            told = await self._ask(openai_evidence.OF_VLLM) or GENERIC
        elif not told and thorough:
            told = await self._ask((*openai_evidence.OF_ANY, *openai_evidence.OF_NO_LISTING)) or GENERIC
        return self._remember(told or GENERIC, sure=bool(told))

    async def _ask(self, signs: Iterable[tuple[str, Sign]]) -> str:
        """The first server that shows itself."""
        asked: dict[str, Response | None] = {}
        for route, sign in signs:
            if route not in asked:
                asked[route] = await self.aside(route)
            response = asked[route]
            name = sign(response) if response is not None and response.status == 200 else ""
            if name:
                return name
        return ""

    def _told(self, entries: list[dict[str, Any]]) -> str:
        """What the listing says of who it is."""
        return "" if self._listing is None else openai_evidence.of_listing(self._listing.headers, entries)

    def _compare(self) -> None:
        """Forget who it was, when the listing is another server's."""
        known: Known | None = self.exchange.memory.get(SERVER)
        told = self._told(self._entries or [])
        # NIM lists models as the vLLM inside it does.
        if known is not None and known.name not in (GENERIC, "nim") and told not in ("", known.name):
            self._forget()

    def _remember(self, name: str, *, sure: bool) -> Known:
        known = Known(name if name in SERVERS else GENERIC, sure)
        self.exchange.memory[SERVER] = known
        return known

    def _forget(self) -> None:
        self.exchange.memory.pop(SERVER, None)


def absent(response: Response) -> bool:
    """Whether a route that this server should have is not there."""
    return response.status in _ABSENT


def _may_lack_listing(response: Response) -> bool:
    """Whether it is worth asking who this is: it was neither refused nor too busy to answer."""
    return response.status in _ABSENT or response.status == 500 or 200 <= response.status < 300
