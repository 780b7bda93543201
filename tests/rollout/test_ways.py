"""Each way of bringing a model to a server: what is planned, when it is there, and how it goes back."""

from collections.abc import Sequence
from typing import Any

import pytest

from exporter.model.deployment import Archives, InferenceService
from exporter.model.endpoint import Bearer
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret
from exporter.rollout.ways import Cannot, Moving, Never, Seen, Stays, Step
from exporter.rollout.ways.kserve import KServe
from exporter.rollout.ways.ollama import Ollama
from exporter.rollout.ways.open_inference import OpenInference
from exporter.rollout.ways.torchserve import TorchServe
from tests.fakes.kubernetes import Kubernetes, broken, served
from tests.fakes.model_store import Library, Workers
from tests.fakes.repository import Repository
from tests.rollout.wings import calling, wanted


async def make(steps: Sequence[Step]) -> list[str]:
    """Make the calls; their names."""
    for step in steps:
        await step.caller.tell(step.method, step.route, step.body, media=step.media)
    return [step.name for step in steps]


async def brought(way: Any) -> tuple[Seen, list[str]]:
    """Look, make what is planned, and see it there; what was there before, and the steps."""
    before = await way.look()
    made = await make(way.plan(before))
    assert await way.check() == ""
    return before, made


# Open Inference: MLServer


async def test_mlserver_loads_and_unloads() -> None:
    async with Repository() as server, calling(server.url) as caller:
        way = OpenInference(caller, wanted("7"))
        before, made = await brought(way)
        assert (before["loaded"], made, server.loaded) == (False, ["load"], ["7"])
        assert way.plan(await way.look()) == ()
        assert await make(way.back(before, await way.look(), made)) == ["unload"]
        assert server.loaded == []
        assert way.back(before, await way.look(), made) == ()


async def test_mlserver_and_a_version_that_is_not_in_its_repository() -> None:
    async with Repository() as server, calling(server.url) as caller:
        way = OpenInference(caller, wanted("9"))
        with pytest.raises(
            Cannot, match=r"cannot load version 9 of iris: .* and that is 7\. Put version 9 there first"
        ):
            way.plan(await way.look())
    assert [request for request in server.asked if "load" in request] == []


async def test_a_model_that_is_not_in_the_repository() -> None:
    async with Repository() as server, calling(server.url) as caller:
        way = OpenInference(caller, wanted(model="words"))
        with pytest.raises(Cannot, match="has no words, only iris: put it there first"):
            way.plan(await way.look())


async def test_mlserver_keeps_what_was_loaded_before() -> None:
    async with Repository() as server, calling(server.url) as caller:
        server.loaded = ["7"]
        server.versions = ["7", "8"]
        way = OpenInference(caller, wanted())
        before, made = await brought(way)
        assert server.loaded == ["7", "8"]
        with pytest.raises(Stays, match=r"was loaded before \(7\), .* \(now 7, 8\): put back what it had"):
            way.back(before, await way.look(), made)
        assert way.back(before, await way.look(), []) == ()


async def test_a_version_that_did_not_become_ready() -> None:
    async with Repository() as server, calling(server.url) as caller:
        way = OpenInference(caller, wanted("7"))
        assert await way.check() == "version 7 is not ready, of iris none"
        server.loaded = ["6"]
        server.versions = ["6", "7"]
        assert await way.check() == "version 7 is not ready, of iris 6"


async def test_going_back_waits_for_a_load_under_way() -> None:
    async with Repository() as server, calling(server.url) as caller:
        way = OpenInference(caller, wanted("7"))
        before = await way.look()
        server.loading, server.loaded = True, ["7"]
        with pytest.raises(Moving):
            way.back(before, await way.look(), ["load"])
        server.loading = False
        assert [step.name for step in way.back(before, await way.look(), ["load"])] == ["unload"]


async def test_a_server_without_an_index_takes_no_version() -> None:
    async with Repository() as server, calling(server.url) as caller:
        server.index = False
        _, made = await brought(OpenInference(caller, wanted()))
        assert made == ["load"]
        way = OpenInference(caller, wanted("7"))
        with pytest.raises(Cannot, match="none that it names"):
            way.plan(await way.look())


# Open Inference: Triton


async def test_triton_takes_a_version_and_gives_the_old_one_back() -> None:
    async with Repository(triton=True) as server, calling(server.url) as caller:
        server.loaded, server.versions = ["1"], ["1", "2"]
        way = OpenInference(caller, wanted("2"))
        before, made = await brought(way)
        assert (server.loaded, server.policy) == (["2"], ["2"])
        steps = way.back(before, await way.look(), made)
        assert [step.note for step in steps] == ["version 1"]
        await make(steps)
        assert server.loaded == ["1"]
        assert way.back(before, await way.look(), made) == ()


@pytest.mark.parametrize(("version", "why"), [("2", "set version_policy in the config.pbtxt of iris"), ("", "")])
async def test_triton_and_a_model_that_is_not_loaded(version: str, why: str) -> None:
    async with Repository(triton=True) as server, calling(server.url) as caller:
        way = OpenInference(caller, wanted(version))
        seen = await way.look()
        if why:
            with pytest.raises(Cannot, match=why):
                way.plan(seen)
        else:
            assert [step.body for step in way.plan(seen)] == [{}]


async def test_triton_numbers_its_versions() -> None:
    async with Repository(triton=True) as server, calling(server.url) as caller:
        server.loaded = ["1"]
        way = OpenInference(caller, wanted("new"))
        with pytest.raises(Cannot, match="numbers its versions; found 'new'"):
            way.plan(await way.look())


# TorchServe

ARCHIVES = Archives("{model}-{version}.mar", 2)


async def test_torchserve_registers_scales_and_makes_it_the_default() -> None:
    async with Workers() as server, calling(server.url) as caller:
        way = TorchServe(caller, wanted("8.0"), ARCHIVES)
        before, made = await brought(way)
        assert made == ["register", "scale", "set_default"]
        assert (server.versions, server.default) == ({"7.0": 1, "8.0": 2}, "8.0")
        assert way.plan(await way.look()) == []
        assert await make(way.back(before, await way.look(), made)) == ["set_default", "unregister"]
        assert (server.versions, server.default) == ({"7.0": 1}, "7.0")
        assert way.back(before, await way.look(), made) == []


async def test_torchserve_scales_what_is_there_and_back() -> None:
    async with Workers() as server, calling(server.url) as caller:
        way = TorchServe(caller, wanted("7.0"), ARCHIVES)
        before, made = await brought(way)
        assert (made, server.versions) == (["scale"], {"7.0": 2})
        assert await make(way.back(before, await way.look(), made)) == ["scale"]
        assert server.versions == {"7.0": 1}


async def test_torchserve_and_an_archive_of_another_version() -> None:
    async with Workers() as server, calling(server.url) as caller:
        server.archives = {"iris-8.0.mar": "6.0"}
        way = TorchServe(caller, wanted("8.0"), ARCHIVES)
        before = await way.look()
        await make(way.plan(before)[:1])
        assert "is that the archive's version?" in await way.check()
        assert await make(way.back(before, await way.look(), ["register"])) == ["unregister"]
        assert server.versions == {"7.0": 1}


async def test_torchserve_leaves_what_it_did_not_register() -> None:
    async with Workers() as server, calling(server.url) as caller:
        way = TorchServe(caller, wanted("8.0"), ARCHIVES)
        before = await way.look()
        server.versions["8.0"] = 1  # by somebody else
        assert way.back(before, await way.look(), []) == []


async def test_torchserve_as_the_first_version() -> None:
    async with Workers() as server, calling(server.url) as caller:
        server.versions, server.default = {}, None
        way = TorchServe(caller, wanted("8.0"), ARCHIVES)
        before, made = await brought(way)
        assert made == ["register", "scale"]
        assert await make(way.back(before, await way.look(), made)) == ["unregister"]
        assert server.versions == {}


@pytest.mark.parametrize(
    ("version", "archives", "why"),
    [
        ("", ARCHIVES, "say --version, the one in the archive"),
        ("8.0", None, r"set deploy\.torchserve\.url"),
        ("8.0", Archives("iris.mar"), r"deploy\.torchserve\.url has no {version}"),
    ],
)
async def test_torchserve_cannot(version: str, archives: Archives | None, why: str) -> None:
    async with Workers() as server, calling(server.url) as caller:
        way = TorchServe(caller, wanted(version), archives)
        with pytest.raises(Cannot, match=why):
            way.plan(await way.look())
    assert {request.split()[0] for request in server.asked} == {"GET"}


async def test_torchserve_shows_nothing_secret_of_an_archives_url() -> None:
    async with Workers() as server, calling(server.url) as caller:
        way = TorchServe(caller, wanted("8.0"), Archives("https://u:pw@store/{model}-{version}.mar?sig=s3cr3t"))
        register = way.plan(await way.look())[0]
    assert register.note == "register store/iris-8.0.mar"
    assert register.shown == f"POST {server.url}/models"
    assert "sig%3Ds3cr3t" in register.route


# Ollama


def ollama(caller: Any, version: str = "3", asked: str = "bot:3", create: Any = None) -> Ollama:
    return Ollama(caller, wanted(version, "bot"), asked, create)


async def test_ollama_pulls_over_another_one_and_back() -> None:
    async with Library() as server, calling(server.url) as caller:
        way = ollama(caller)
        before, made = await brought(way)
        assert made == ["keep", "pull"]
        assert server.models == {"bot:3": "new", "bot:before-20261125-120000-abcd": "old"}
        assert await make(way.back(before, await way.look(), made)) == ["restore", "forget"]
        assert server.models == {"bot:3": "old"}
        assert way.back(before, await way.look(), made) == []


async def test_ollama_pulls_where_nothing_was_and_back() -> None:
    async with Library() as server, calling(server.url) as caller:
        server.models = {}
        way = ollama(caller)
        before, made = await brought(way)
        assert made == ["pull"]
        assert await make(way.back(before, await way.look(), made)) == ["delete"]
        assert server.models == {}


async def test_ollama_creates() -> None:
    async with Library() as server, calling(server.url) as caller:
        create = {"from": "base:{version}", "parameters": {"stop": ["{model}"]}}
        _, made = await brought(ollama(caller, create=create))
        assert made == ["keep", "create"]
    body = next(request for request in server.requests if request.path == "/api/create").json
    assert body == {"from": "base:3", "parameters": {"stop": ["bot"]}, "model": "bot:3", "stream": False}


async def test_ollama_and_an_error_inside_a_200() -> None:
    async with Library() as server, calling(server.url) as caller:
        server.error = "pull model manifest: file does not exist"
        way = ollama(caller)
        before = await way.look()
        with pytest.raises(Failure, match="file does not exist") as caught:
            await make(way.plan(before))
        assert caught.value.reason is Reason.ERROR_EVENT
        assert await make(way.back(before, await way.look(), ["keep"])) == ["forget"]
        assert server.models == {"bot:3": "old"}


async def test_ollama_whose_kept_name_is_gone() -> None:
    async with Library() as server, calling(server.url) as caller:
        way = ollama(caller)
        before, made = await brought(way)
        del server.models["bot:before-20261125-120000-abcd"]
        with pytest.raises(Stays, match="is gone: pull or create it again"):
            way.back(before, await way.look(), made)


async def test_ollama_and_a_target_that_asks_for_another_tag() -> None:
    async with Library() as server, calling(server.url) as caller:
        way = ollama(caller, asked="bot")
        with pytest.raises(Cannot, match="asks for bot, not for bot:3: its canary would prove nothing"):
            way.plan(await way.look())
        assert [step.name for step in ollama(caller, "", "bot:latest").plan({"digest": None, "kept": None})] == ["pull"]


# KServe

SERVICE = InferenceService("models", "s3://models/{model}/{version}")
CLUSTER = Bearer(Secret("inline", "cluster-token"))


async def test_kserve_patches_and_back() -> None:
    async with Kubernetes() as server, calling(server.url, CLUSTER) as caller:
        server.add("iris", "s3://models/iris/7")
        server.controller = served
        way = KServe(caller, wanted("8"), SERVICE, force=False)
        before, made = await brought(way)
        model = server.services["models", "iris"]["spec"]["predictor"]["model"]
        assert model == {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://models/iris/8"}
        assert way.plan(await way.look()) == ()
        assert await make(way.back(before, await way.look(), made)) == ["patch"]
        assert server.services["models", "iris"]["spec"]["predictor"]["model"]["storageUri"] == "s3://models/iris/7"
        assert way.back(before, await way.look(), made) == ()


async def test_kserve_is_not_there_before_the_controller_says_so() -> None:
    """The old revision answers until the new one does: the status of the generation before proves nothing."""
    async with Kubernetes() as server, calling(server.url, CLUSTER) as caller:
        server.add("iris", "s3://models/iris/7")
        way = KServe(caller, wanted("8"), SERVICE, force=False)
        await make(way.plan(await way.look()))
        assert await way.check() == "the controller has not seen the change yet"
        service = server.services["models", "iris"]
        service["status"] |= {"observedGeneration": 2, "modelStatus": {"transitionStatus": "InProgress"}}
        assert await way.check() == "the transition of its model is InProgress"
        served(service)
        service["status"]["conditions"][0] = {"type": "Ready", "status": "False", "message": "no route"}
        assert "it is not ready: no route" in (await way.check()).replace("  ", " ")
        broken(service)
        with pytest.raises(Never, match="BlockedByFailedLoad: ModelLoadFailed NoSuchBucket"):
            await way.check()


@pytest.mark.parametrize(
    ("marks", "owner"),
    [
        ({"labels": {"argocd.argoproj.io/instance": "ml"}}, "Argo CD"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "ml:serving"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "apps"}}, "Flux"),
    ],
)
async def test_kserve_leaves_what_gitops_owns_to_gitops(marks: Any, owner: str) -> None:
    async with Kubernetes() as server, calling(server.url, CLUSTER) as caller:
        server.add("iris", "s3://models/iris/7", **marks)
        way = KServe(caller, wanted("8"), SERVICE, force=False)
        with pytest.raises(Cannot, match=rf"belongs to {owner} .*: commit the new storageUri there"):
            way.plan(await way.look())
        forced = KServe(caller, wanted("8"), SERVICE, force=True)
        assert [step.name for step in forced.plan(await forced.look())] == ["patch"]


async def test_kserve_does_not_overwrite_what_changed_meanwhile() -> None:
    async with Kubernetes() as server, calling(server.url, CLUSTER) as caller:
        service = server.add("iris", "s3://models/iris/7")
        way = KServe(caller, wanted("8"), SERVICE, force=False)
        before = await way.look()
        steps = way.plan(before)
        service["spec"]["predictor"]["model"]["storageUri"] = "s3://elsewhere"
        with pytest.raises(Failure, match="HTTP 422"):
            await make(steps)
        with pytest.raises(Stays, match="storageUri of iris is s3://elsewhere by now, which is not ours"):
            way.back(before, await way.look(), ["patch"])


@pytest.mark.parametrize(
    ("version", "uri", "template", "why"),
    [
        ("", "s3://a", "s3://m/{version}", "say --version"),
        ("8", "s3://a", "s3://m/{model}", "storage_uri has no {version}"),
        ("8", None, "s3://m/{version}", r"has no spec\.predictor\.model\.storageUri"),
    ],
)
async def test_kserve_cannot(version: str, uri: str | None, template: str, why: str) -> None:
    async with Kubernetes() as server, calling(server.url, CLUSTER) as caller:
        server.add("iris", uri)
        way = KServe(caller, wanted(version), InferenceService("models", template), force=False)
        with pytest.raises(Cannot, match=why):
            way.plan(await way.look())


async def test_kserve_and_a_service_that_is_not_there() -> None:
    async with Kubernetes() as server, calling(server.url, CLUSTER) as caller:
        way = KServe(caller, wanted("8"), SERVICE, force=False)
        with pytest.raises(Failure, match='"iris" not found'):
            await way.look()
