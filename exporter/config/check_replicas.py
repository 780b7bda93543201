"""What is wrong with the replicas of a target beyond their values one by one."""

from collections.abc import Iterator, Sequence

from exporter.config.merge import name_of
from exporter.config.models import Target
from exporter.config.problems import Finding, Path
from exporter.transport.resolve import is_literal


def addresses(path: Path, target: Target) -> Iterator[Finding]:
    """Addresses that are none of the url's."""
    given = target.replicas
    if given is None:
        return
    place = (*path, "replicas")
    if target.url.scheme == "unix":
        yield Finding(place, "a unix socket has no replicas")
    elif isinstance(given, str):
        if is_literal(target.url.host):
            yield Finding(place, "the url's host is an address, and no name to look up; allowed: a list of addresses")
    else:
        shown = [each.shown(target.url.port) for each in given]
        for address in dict.fromkeys(each for each in shown if shown.count(each) > 1):
            yield Finding(place, f"the address {address} is named twice")


def names(targets: Sequence[Target]) -> Iterator[Finding]:
    """Targets whose name may be that of a replica of another one."""
    groups = {name_of(target) for target in targets if target.replicas is not None}
    if not groups:
        return
    for index, target in enumerate(targets):
        group = name_of(target).rpartition("@")[0]
        if group in groups:
            place: Path = ("targets", index, "name") if target.name is not None else ("targets", index)
            yield Finding(place, f"names that begin with {f'{group[:100]}@'!r} are those of the replicas of a target")
