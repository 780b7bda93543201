"""From an environment to its servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from exporter.model.deployment import Archives, Deployment, Environment, InferenceService, Site
from exporter.model.endpoint import Bearer, Endpoint
from exporter.model.secret import Secret
from exporter.model.target import Target
from exporter.rollout.caller import Identity
from exporter.rollout.record import Past
from exporter.rollout.seats import Seats
from exporter.rollout.ways import Cannot, Wanted
from exporter.rollout.ways.kserve import KServe
from exporter.rollout.ways.ollama import Ollama
from exporter.rollout.ways.open_inference import OpenInference
from exporter.rollout.ways.torchserve import TorchServe
from exporter.transport import Transport, kubernetes
from exporter.transport.kubernetes import Cluster
from tests.rollout.wings import wanted

AUTH = Bearer(Secret("env", "TOKEN"))


def site(protocol: str, model: str = "iris", name: str = "t", url: Any = None, **more: Any) -> Site:
    return Site(Target(name, url or Endpoint("http", "h", 8080), protocol, model), **more)


@asynccontextmanager
async def seats(*sites: Site, what: Wanted | None = None, **more: Any) -> AsyncIterator[Seats]:
    transport = Transport(user_agent="test")
    identity = Identity(transport)
    known = Deployment({"eu": Environment("eu", (("env", "eu"),), sites, AUTH, **more)}, Archives("{version}.mar"))
    try:
        yield Seats(known, what or wanted("7"), transport, identity)
    finally:
        identity.close()
        await transport.close()


@pytest.mark.parametrize(
    ("protocol", "way", "at"),
    [
        ("open_inference", OpenInference, "http://h:8080"),
        ("triton", OpenInference, "http://h:8080"),
        ("torchserve", TorchServe, "http://h:8081"),
        ("ollama", Ollama, "http://h:8080"),
    ],
)
async def test_by_protocol(protocol: str, way: type, at: str) -> None:
    async with seats(site(protocol)) as found:
        (seat,) = await found.of("eu")
    assert isinstance(seat.way, way)
    assert seat.way.caller.shown == at  # type: ignore[attr-defined]
    assert seat.way.caller.auth == AUTH  # type: ignore[attr-defined]
    assert seat.place == ("eu", "t", "")


async def test_targets_of_other_models_are_left_alone() -> None:
    async with seats(site("triton"), site("triton", "words", "w")) as found:
        assert [seat.target for seat in await found.of("eu")] == ["t"]


async def test_two_targets_of_one_server_are_one_seat() -> None:
    async with seats(site("triton"), site("triton", name="twin")) as found:
        assert [seat.target for seat in await found.of("eu")] == ["t"]
        assert [each.target.name for each in found.sites("eu")] == ["t", "twin"]


async def test_every_address_of_a_target() -> None:
    async with seats(site("torchserve", replicas=(("127.0.0.1", 0), ("::1", 9090)))) as found:
        first, second = await found.of("eu")
        assert (first.name, second.name) == ("t@127.0.0.1:8080", "t@[::1]:9090")
        assert [seat.way.caller.shown for seat in (first, second)] == [  # type: ignore[attr-defined]
            "http://127.0.0.1:8081", "http://[::1]:8081",
        ]  # fmt: skip
        again = await found.again(Past("eu", "t", "[::1]:9090", {}))
        assert again.way.caller.shown == "http://[::1]:8081"  # type: ignore[attr-defined]


async def test_every_address_behind_a_name() -> None:
    named = site("triton", url=Endpoint("http", "localhost", 8080), replicas="dns")
    async with seats(named) as found:
        places = [seat.address for seat in await found.of("eu")]
    assert "127.0.0.1:8080" in places


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (site("auto"), "t has the protocol auto; name it: one of open_inference, triton, torchserve, ollama"),
        (site("tf_serving"), "t speaks tf_serving, which has no call that brings a model"),
        (
            site("triton", url=Endpoint("grpc", "h", 8001)),
            "t has a url with grpc; models are loaded over http or https",
        ),
        (site("torchserve", management=None), "t has management: false"),
        (site("torchserve", management="http://m:1", replicas=(("127.0.0.1", 0),)), "names one management port"),
        (site("triton", "words"), "no target of this environment asks for the model iris, only for words"),
    ],
)
async def test_cannot(what: Site, why: str) -> None:
    async with seats(what) as found:
        with pytest.raises(Cannot, match=why):
            await found.of("eu")


async def test_an_environment_or_a_target_that_is_not_there() -> None:
    async with seats(site("triton")) as found:
        with pytest.raises(Cannot, match="unknown environment 'us'; known: eu"):
            await found.of("us")
        with pytest.raises(Cannot, match="the config has no target gone in eu any more"):
            await found.again(Past("eu", "gone", "", {}))


@pytest.mark.parametrize(
    ("models", "chosen"),
    [
        (("bot:3", "bot"), ["bot:3"]),
        (("bot", "other"), ["bot"]),
        (("Bot:3",), ["Bot:3"]),
        (("bot:latest",), ["bot:latest"]),
    ],
)
async def test_ollamas_tag_is_the_version(models: tuple[str, ...], chosen: list[str]) -> None:
    sites = [site("ollama", model, model, Endpoint("http", model.replace(":", "-"), 80)) for model in models]
    async with seats(*sites, what=Wanted("bot", "3", "id")) as found:
        assert [each.target.model for each in found.sites("eu")] == chosen


async def test_an_inference_service(monkeypatch: pytest.MonkeyPatch) -> None:
    async def cluster(kubeconfig: str | None, context: str | None) -> Cluster:
        assert (kubeconfig, context) == ("/k", "c")
        return Cluster(Endpoint("https", "api", 6443, auth=Bearer(Secret("env", "K"))))

    monkeypatch.setattr(kubernetes, "find", cluster)
    service = InferenceService("models", "s3://{version}", "{model}-svc", "/k", "c")
    async with seats(site("kserve_v1"), service=service) as found:
        (seat,) = await found.of("eu")
        assert (seat.name, (await found.again(Past(*seat.place, before={}))).place) == (
            "InferenceService models/iris-svc", seat.place,
        )  # fmt: skip
    assert isinstance(seat.way, KServe)
    assert seat.way.caller.auth == Bearer(Secret("env", "K"))  # never deploy.auth
