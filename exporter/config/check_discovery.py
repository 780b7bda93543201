"""What is wrong with an entry of `discovery` beyond its values one by one."""

from collections.abc import Iterator, Sequence

from exporter.config import check_service, extras
from exporter.config.catalogue import source_name
from exporter.config.discovery import Catalogue, Discovery
from exporter.config.lists import DnsRecords, complaint, default_name
from exporter.config.models import File, Target
from exporter.config.problems import Finding, Path
from exporter.config.reach import Connection
from exporter.discovery.catalogue import Wanted
from exporter.discovery.dns import source_of

#: What an entry may be, one of them.
SOURCES = ("catalogue", "file", "http", "dns", "kubernetes")
#: Headers that asking for a list sets.
_OF_A_LIST = dict.fromkeys(("accept", "user-agent", "x-prometheus-refresh-interval-seconds"), "discovery")
#: Sources that are no entries.
_TAKEN = ("config", "flag")


def names(entries: Sequence[Discovery]) -> Iterator[Finding]:
    """Names of entries that are not theirs alone."""
    first: dict[str, int] = {}
    for index, entry in enumerate(entries):
        if entry.catalogue is not None:
            name = source_name(entry, entry.catalogue)
        elif (listed := entry.listed) is not None:
            name = entry.name or default_name(listed)
        else:
            continue
        place: Path = ("discovery", index, "name") if entry.name is not None else ("discovery", index)
        if name in _TAKEN or name.startswith(source_of("")):
            yield Finding(place, f"the name {name[:100]!r} is taken; other targets have it as their source")
        elif (other := first.setdefault(name, index)) != index:
            message = f"duplicate name {name[:100]!r}, first at {{0}}; give each a name of its own"
            yield Finding(place, message, others=(("discovery", other),))


def source(path: Path, entry: Discovery) -> Iterator[Finding]:
    """Whether it has one source, and only keys that go with it."""
    given = [key for key in SOURCES if getattr(entry, key) is not None]
    if len(given) != 1:
        found = f"found {' and '.join(given)}; " if given else ""
        yield Finding(path, f"{found}needs exactly one source; allowed: {', '.join(SOURCES)}")
    elif entry.catalogue is not None and entry.relabel_configs:
        message = "a catalogue has no labels to make targets of; allowed: its include and exclude"
        yield Finding((*path, "relabel_configs"), message, key=True)
    if entry.http is not None:
        yield from check_service.service((*path, "http"), entry.http, _OF_A_LIST)
    if entry.dns is not None:
        yield from _records((*path, "dns"), entry.dns)
    for index, block in enumerate(entry.relabel_configs):
        if (found_wrong := complaint(block)) is not None:
            key, message = found_wrong
            yield Finding((*path, "relabel_configs", index, *filter(None, (key,))), message)


def _records(path: Path, records: DnsRecords) -> Iterator[Finding]:
    if records.type == "SRV" and records.port is not None:
        yield Finding((*path, "port"), "not with SRV, whose records have a port each", key=True)
    elif records.type != "SRV" and records.port is None:
        yield Finding(path, f"{records.type} needs port, for an address has none", key=True)
    if message := extras.missing("dns"):
        yield Finding(path, message, key=True, warning=True)


def kubernetes(path: Path, entry: Discovery, file: File) -> Iterator[Finding]:
    """Credentials that would go to whoever may make an object in any namespace."""
    if entry.kubernetes is None or entry.kubernetes.namespaces:
        return
    sending = [name for name in sorted(entry.modules) if (module := file.modules.get(name)) and _sends(module)]
    if sending or _sends(file.defaults):
        whose = f"module {sending[0][:100]!r}" if sending else "defaults"
        message = (
            f"auth or headers of {whose} would go to objects of any namespace; name the namespaces that may have them"
        )
        yield Finding(path, f"{message}: namespaces: [...]")


def _sends(block: Connection) -> bool:
    return bool(block.headers) or getattr(block, "auth", None) is not None


def misplaced(path: Path, catalogue: Catalogue) -> Iterator[Finding]:
    """Keys of a target that a catalogue has elsewhere, or not at all."""
    for key in (catalogue.model_extra or {}).keys() & Target.model_fields.keys():
        hint = "it stands beside catalogue" if key in Discovery.model_fields else "the targets have it of their module"
        hint = "each model that is listed is one" if key == "model" else hint
        yield Finding((*path, key), f"unknown field; {hint}", key=True)


def expected(path: Path, catalogue: Catalogue) -> Iterator[Finding]:
    """Expected models that cannot be met."""
    wanted = Wanted(catalogue.include, catalogue.exclude)
    seen: set[str] = set()
    for index, name in enumerate(catalogue.expected):
        place = (*path, "expected", index)
        if name in seen:
            yield Finding(place, "the model is named twice")
        elif not wanted.lets_in(name):
            yield Finding(place, "include and exclude leave this model out; an expected one must pass them")
        seen.add(name)
    if len(catalogue.expected) > catalogue.limit:
        yield Finding((*path, "expected"), f"found {len(catalogue.expected)} models, above the limit of this entry")
