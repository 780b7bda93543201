"""Jobs of targets that no file names: what `--target`, `probe`, `init` and `/probe` ask about."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from exporter.config import hosts, loader
from exporter.config.build import build, job_if_possible
from exporter.config.merge import AUTO, Merger
from exporter.config.models import File
from exporter.config.own_keys import OwnKeys, load
from exporter.model.job import Job, Kind


class CredentialsDenied(PermissionError):
    """`/probe` asked for a module's credentials to go to a host that nothing allows. The message names the key."""


def jobs_for_url(
    url: str,
    protocol: str = AUTO,
    model: str = "",
    probes: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[Job]:
    """Jobs of one target that no file names. `probes` are names of kinds, None for the protocol's default ones;
    `settings` holds any further keys of a target, as the config file has them. Raises ConfigError.
    """
    target: dict[str, Any] = {**(settings or {}), "url": url}
    if protocol != AUTO:
        target["protocol"] = protocol
    if model:
        target["model"] = model
    if probes is not None:
        given = target.get("probes") or {}
        target["probes"] = {name: given.get(name, {}) for name in probes}
    file = loader.load_values({"targets": [target]}, name=_shown(url)).file
    return build(file).jobs


def job_for_question(url: str, protocol: str, kind: Kind, model: str = "") -> Job | None:
    """The job of an internal kind (catalogue, propose) about a target that no file names; None where the protocol does
    not offer it, or cannot with what is given. Raises ConfigError.
    """
    if kind not in load(protocol).kinds:
        return None
    target: dict[str, Any] = {"url": url, "protocol": protocol, "probes": {}, **({"model": model} if model else {})}
    file = loader.load_values({"targets": [target]}, name=_shown(url)).file
    merger = Merger(file)
    only = (file.targets or [])[0]
    probe = replace(merger.probe(kind.value), kind=kind)
    return job_if_possible(merger.merge(only), probe, OwnKeys(file.folder), merger)


def jobs_for_module(file: File, module: str, url: str, model: str = "", probe: str = "") -> list[Job]:
    """The jobs of one `/probe` request: all probes of a module, or the one named, against a url.

    Raises LookupError for a module or probe that does not exist, ValueError for a url that cannot be used, and
    `CredentialsDenied` where the module has credentials that may not go there. Messages hold no secret.
    """
    if module and module not in file.modules:
        known = ", ".join(sorted(file.modules)) or "none is configured"
        raise LookupError(f"unknown module {module[:100]!r}; known: {known}")
    given = {key: value for key, value in (("url", url), ("module", module), ("model", model)) if value}
    try:
        jobs = build(loader.with_target(file, {"url": url, **given})).jobs
    except loader.ConfigError as error:
        raise ValueError("; ".join(f"{problem.path}: {problem.message}" for problem in error.problems)) from None
    jobs = [job for job in jobs if job.evaluation is None]  # hours, and no answer to a scrape
    _check_credentials(file, module, jobs)
    if not probe:
        return jobs
    chosen = [job for job in jobs if job.probe == probe]
    if not chosen:
        known = ", ".join(job.probe for job in jobs)
        raise LookupError(f"unknown probe {probe[:100]!r}; known: {known}")
    return chosen


def _check_credentials(file: File, module: str, jobs: Sequence[Job]) -> None:
    """A module's auth and headers go only where the module says, or where a configured target already sends them."""
    settings = file.modules.get(module)
    if settings is None or not (settings.auth is not None or settings.headers):
        return
    allowed = settings.auth.hosts if settings.auth is not None else []
    for endpoint in {job.target.endpoint.peer: job.target.endpoint for job in jobs}.values():
        if (module, *endpoint.peer) not in file.trusted() and not hosts.covers(allowed, *endpoint.peer):
            raise CredentialsDenied(f"modules.{module}.auth.hosts does not list {endpoint.host}:{endpoint.port}")


def _shown(url: str) -> str:
    """A url as messages may name it: nothing that could be a credential."""
    return "--target" if "@" in url or "?" in url else url[:200]
