"""What a config says of deploying, as values: for the command alone, the daemon never asks."""

from collections.abc import Iterable, Mapping, Sequence

from exporter.config.access import auth_of
from exporter.config.deploy import Deploy, DeployKServe
from exporter.config.deploy import Environment as Block
from exporter.config.merge import Merged, Merger
from exporter.config.models import File
from exporter.config.own_keys import OwnKeys
from exporter.model.deployment import Archives, Deployment, Environment, InferenceService, Site
from exporter.model.endpoint import Auth, Endpoint
from exporter.model.target import Target


def deployment(file: File) -> Deployment:
    """Environments with their targets, and how models get to them, of a file that `loader.load` gave back."""
    merger, own_keys = Merger(file), OwnKeys(file.folder)
    sites = []
    for target in file.targets or ():
        merged = merger.merge(target)
        sites.append(Site(target_of(merged), _management(merged, own_keys), target.replicas))
    given = file.deploy or Deploy()
    auth = auth_of(given.auth)
    archives, ollama = given.torchserve, given.ollama
    return Deployment(
        {name: _environment(name, block, sites, auth) for name, block in file.environments.items()},
        None if archives is None else Archives(archives.url, archives.workers),
        None if ollama is None else ollama.create,
    )


def target_of(merged: Merged) -> Target:
    """A target as it is deployed to: what its probes send to identify themselves is left out."""
    endpoint = Endpoint(*merged.address, headers=merged.headers, tls=merged.tls, proxy=merged.proxy)
    return Target(merged.name, endpoint, merged.protocol, merged.model, labels=merged.labels)


def members(targets: Iterable[Target], select: Mapping[str, str]) -> Sequence[Target]:
    """The targets that have all that an environment asks for."""
    return [target for target in targets if all(target.trait(key) == value for key, value in select.items())]


def _environment(name: str, block: Block, sites: Sequence[Site], auth: Auth | None) -> Environment:
    mine = {target.name for target in members((site.target for site in sites), block.select)}
    return Environment(
        name,
        tuple(block.select.items()),
        tuple(site for site in sites if site.target.name in mine),
        auth if block.auth is None else auth_of(block.auth),
        _service(block.kserve),
    )


def _service(block: DeployKServe | None) -> InferenceService | None:
    return None if block is None else InferenceService(**dict(block))


def _management(merged: Merged, own_keys: OwnKeys) -> str | None:
    """The address of TorchServe's management port: "" where the target names none, None where it may not be asked."""
    if merged.protocol != "torchserve":
        return ""
    from exporter.protocols.torchserve import TorchServeOptions  # by now it is loaded: a target names it

    options = own_keys.options(merged.protocol, merged.own).settings
    management = options.management if isinstance(options, TorchServeOptions) else None
    return "" if management is None else management.url or None
