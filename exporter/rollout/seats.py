"""From an environment to the servers in it: which API brings a model to each, and to which of its addresses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from exporter.model.deployment import Deployment, Environment, Site
from exporter.model.endpoint import Endpoint, bracketed
from exporter.model.target import MAX_ADDRESSES
from exporter.protocols.ollama_residency import canonical
from exporter.protocols.torchserve_management import PORT
from exporter.rollout.caller import Caller, Identity
from exporter.rollout.group import Seat
from exporter.rollout.record import Past
from exporter.rollout.ways import Cannot, Wanted, Way
from exporter.rollout.ways.kserve import KServe
from exporter.rollout.ways.ollama import Ollama
from exporter.rollout.ways.open_inference import OpenInference
from exporter.rollout.ways.torchserve import TorchServe
from exporter.transport import Transport, kubernetes

_OPEN_INFERENCE = ("open_inference", "triton")
_KNOWN = (*_OPEN_INFERENCE, "torchserve", "ollama")


@dataclass(frozen=True, slots=True)
class Seats:
    """Finds the seats of a deployment's environments. `force` also patches what GitOps owns."""

    deployment: Deployment
    wanted: Wanted
    transport: Transport
    identity: Identity
    force: bool = False

    async def of(self, name: str) -> Sequence[Seat]:
        """The seats of an environment, one for each server. Raises `Cannot`, and `Failure` where a name or a cluster
        is not found.
        """
        environment = self._environment(name)
        sites = self.sites(name)
        if environment.service is not None:
            return [await self._service(environment)]
        seats: dict[tuple[str, str], Seat] = {}
        for site in sites:
            for address, endpoint in await self._places(site):
                seat = Seat(name, site.target.name, address, self._way(environment, site, endpoint))
                # Two targets may stand for the same model on the same server.
                seats.setdefault((endpoint.url, address), seat)
        return list(seats.values())

    def sites(self, name: str) -> Sequence[Site]:
        """The targets of an environment that ask for the model. Raises `Cannot` where there is none."""
        environment = self._environment(name)
        found = _asking(environment.sites, self.wanted)
        if not found:
            models = ", ".join(sorted({site.target.model for site in environment.sites} - {""})) or "none"
            raise Cannot(
                f"{name}: no target of this environment asks for the model {self.wanted.model}, only for {models}: "
                "without one nothing would tell whether it answers"
            )
        return found

    async def again(self, past: Past) -> Seat:
        """The seat that a record tells of. Raises `Cannot` where the config does not have it any more."""
        environment = self._environment(past.environment)
        if environment.service is not None:
            return await self._service(environment)
        for site in environment.sites:
            if site.target.name == past.target:
                endpoint = _moved(site.target.endpoint, past.address)
                return Seat(past.environment, past.target, past.address, self._way(environment, site, endpoint))
        raise Cannot(f"the config has no target {past.target} in {past.environment} any more")

    def _environment(self, name: str) -> Environment:
        try:
            return self.deployment.environments[name]
        except KeyError:
            known = ", ".join(self.deployment.environments) or "none is configured"
            raise Cannot(f"unknown environment {name!r}; known: {known}") from None

    async def _service(self, environment: Environment) -> Seat:
        service = environment.service
        assert service is not None  # noqa: S101 - the caller looked
        cluster = await kubernetes.find(service.kubeconfig, service.context)
        endpoint = cluster.endpoint
        caller = Caller(
            self.transport, self.identity, endpoint, endpoint.auth, "the user of the kubeconfig, or of the pod"
        )
        way = KServe(caller, self.wanted, service, force=self.force)
        return Seat(environment.name, f"InferenceService {service.namespace}/{way.name}", "", way)

    async def _places(self, site: Site) -> Sequence[tuple[str, Endpoint]]:
        """Each address of a target, as a record names it, with the endpoint that leads there."""
        endpoint = site.target.endpoint
        if site.replicas is None:
            return [("", endpoint)]
        if isinstance(site.replicas, str):
            found = await self.transport.resolve(endpoint.host, endpoint.port)
            places = [_shown(address, endpoint.port) for address in found[:MAX_ADDRESSES]]
        else:
            places = [_shown(address, port or endpoint.port) for address, port in site.replicas]
        return [(place, _moved(endpoint, place)) for place in places]

    def _way(self, environment: Environment, site: Site, endpoint: Endpoint) -> Way:
        target = site.target
        if endpoint.scheme not in ("http", "https"):
            raise Cannot(f"{target.name} has a url with {endpoint.scheme}; models are loaded over http or https")
        caller = Caller(self.transport, self.identity, endpoint, environment.auth)
        if target.protocol in _OPEN_INFERENCE:
            return OpenInference(caller, self.wanted)
        if target.protocol == "ollama":
            return Ollama(caller, self.wanted, target.model, self.deployment.create)
        if target.protocol == "torchserve":
            if site.management is None:
                raise Cannot(f"{target.name} has management: false, and only TorchServe's management port takes models")
            if site.management and site.replicas is not None:
                raise Cannot(
                    f"{target.name} is at several addresses and names one management port: leave management out"
                )
            return TorchServe(caller.beside(_management(site, endpoint)), self.wanted, self.deployment.archives)
        if target.protocol == "auto":
            raise Cannot(f"{target.name} has the protocol auto; name it: one of {', '.join(_KNOWN)}")
        raise Cannot(
            f"{target.name} speaks {target.protocol}, which has no call that brings a model; those that have one: "
            f"{', '.join(_KNOWN)}. What runs on Kubernetes is deployed by a commit, then `model-exporter wait`"
        )


def _asking(sites: Sequence[Site], wanted: Wanted) -> Sequence[Site]:
    """The sites that are meant. Ollama's names have tags, and a version is one."""
    whole = f"{wanted.model}:{wanted.version}" if wanted.version else wanted.model
    ollama = [site for site in sites if site.target.protocol == "ollama"]
    exact = [site for site in ollama if canonical(site.target.model) == canonical(whole)]
    named = exact or [site for site in ollama if canonical(site.target.model) == canonical(wanted.model)]
    others = [site for site in sites if site.target.protocol != "ollama" and site.target.model == wanted.model]
    return [*others, *named]


def _shown(address: str, port: int) -> str:
    return f"{bracketed(address)}:{port}"


def _moved(endpoint: Endpoint, place: str) -> Endpoint:
    """An endpoint at one of its addresses; as it is where there is none."""
    if not place:
        return endpoint
    host, _, port = place.rpartition(":")
    return replace(endpoint, addresses=(host.strip("[]"),), address_port=int(port))


def _management(site: Site, endpoint: Endpoint) -> str:
    if site.management:
        return site.management
    host = endpoint.addresses[0] if endpoint.addresses else endpoint.host
    return f"{endpoint.scheme}://{_shown(host, PORT)}"
