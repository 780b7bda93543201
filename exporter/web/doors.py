"""What the app hands over: everything the HTTP side may read or ask for."""

from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from exporter.ledger import Ledger, TargetRecord
from exporter.metrics.exposition import Exposition
from exporter.model.job import Job
from exporter.model.maintenance import Announced, Wish
from exporter.model.result import Result
from exporter.web.events import Events


class OnDemand(Protocol):
    """The `on_demand` block of the config, as far as `/probe` needs it."""

    @property
    def allow(self) -> Sequence[str]:
        """CIDR blocks, addresses and host globs, each with an optional `:port`; empty: configured targets only."""

    @property
    def debug(self) -> bool:
        """Whether `debug=true` may show a transcript."""

    @property
    def concurrency(self) -> int:
        """How many `/probe` requests may be at work at once."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Callables and values of the other rooms. All but `config` are called on the loop's own thread.

    - `ailments()`: what is wrong with the exporter itself, in words, nothing while it is well; `ready()`: the config is
      loaded and the wheel turns.
    - `reload()`: reads the config again and applies it; returns the problems, none when it was applied. One reload at
      a time is the callee's care, and it goes on when the client that asked has left.
    - `config()`: the config in force as YAML, secrets hidden; called in a thread.
    - `on_demand()`: the settings in force; asked for each request, so a reload counts at once.
    - `jobs_for(url, module, model, probe)`: the jobs of one synchronous run, one for each probe of the module, all
      with the endpoint of `url`; `module` is `""` when the request names none; a `model` or `probe` that is not `""`
      narrows. Raises LookupError for a module or probe that does not exist, PermissionError where a module's
      credentials may not go to the url's host, ValueError for a url that cannot be used; the message goes to the
      client and must not hold a secret.
    - `jobs_found(result)`: the jobs that follow from a run which found out what the target is, none for any other run.
    - `resolve(host)`: the addresses of a name, in the order to try; raises `Failure` or OSError.
    - `run(job)`: one run at once, outside schedule and ledger, bounded by the job's own schedule; never raises for
      what a target did.
    - `ask(target, probe)`: runs a probe of the schedule now; False where nothing is being started.
    - `gate(query, records)`: whether what the parameters of a request select is good, judged by these records: the
      status of the answer and its JSON text.
    - `announced()`: the maintenances that were announced and go on; `announce(wish)` lets one begin, None when there
      are too many; `withdraw(id)` ends one, False when there is none of that id.
    """

    ledger: Ledger
    exposition: Exposition
    ailments: Callable[[], Sequence[str]]
    ready: Callable[[], bool]
    reload: Callable[[], Awaitable[Sequence[str]]]
    config: Callable[[], str]
    on_demand: Callable[[], OnDemand]
    jobs_for: Callable[[str, str, str, str], Sequence[Job]]
    jobs_found: Callable[[Result], Sequence[Job]]
    resolve: Callable[[str], Awaitable[Sequence[str]]]
    run: Callable[[Job], Awaitable[Result]]
    announced: Callable[[], Sequence[Announced]]
    announce: Callable[[Wish], Announced | None]
    withdraw: Callable[[str], bool]
    ask: Callable[[str, str], bool]
    events: Events
    gate: Callable[[Sequence[tuple[str, str]], AsyncIterable[TargetRecord]], Awaitable[tuple[int, str]]]
