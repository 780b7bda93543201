"""A deployment's patch of an InferenceService, at a real API server: `make test-cluster`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from exporter.model.deployment import InferenceService
from exporter.model.failure import Failure, Reason
from exporter.rollout.caller import Caller, Identity
from exporter.rollout.ways import Stays
from exporter.rollout.ways.kserve import KServe
from exporter.transport import Transport
from exporter.transport.kubernetes import find
from tests.chart.charts import Object
from tests.fakes.kubernetes import served
from tests.real.cluster import objects
from tests.real.cluster.plane import Plane
from tests.rollout.wings import wanted

pytestmark = pytest.mark.real

Made = Callable[[str, tuple[str, ...]], Awaitable[KServe]]

SERVICE = InferenceService("models", "s3://models/{model}/{version}")
ROUTE = "/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices/iris"
MEANT = {"predictor": {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://models/iris/7"}}}


@pytest.fixture
def iris(plane: Plane) -> Iterator[Object]:
    """An InferenceService with version 7, which its controller has seen."""
    found = objects.inference("iris")
    found["spec"] = MEANT
    plane.put(found)
    control(plane)
    yield found
    plane.delete(found)


def control(plane: Plane) -> None:
    """What KServe writes once it serves what is wanted."""
    now = plane.ask("GET", ROUTE)
    served(now)
    plane.ask("PATCH", f"{ROUTE}/status", {"status": now["status"]})


def uri(plane: Plane) -> str:
    return str(plane.ask("GET", ROUTE)["spec"]["predictor"]["model"]["storageUri"])


@pytest.fixture
async def way(plane: Plane, tmp_path: Path) -> AsyncIterator[Made]:
    """`await way("8", ("get", "patch"))`: as an account that may do this."""
    transport = Transport(user_agent="tests")
    identity = Identity(transport)

    async def made(version: str, verbs: tuple[str, ...]) -> KServe:
        name = "-".join(("deployer", *verbs))
        about = {"name": name, "namespace": "models"}
        group = "rbac.authorization.k8s.io"
        plane.put({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about})
        plane.put({
            "apiVersion": f"{group}/v1", "kind": "Role", "metadata": about,
            "rules": [{"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": verbs}],
        })  # fmt: skip
        plane.put({
            "apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": about,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", **about}],
        })  # fmt: skip
        path = plane.kubeconfig(tmp_path / name, plane.token("models", name), "models")
        endpoint = (await find(path)).endpoint
        return KServe(Caller(transport, identity, endpoint, endpoint.auth), wanted(version), SERVICE, force=False)

    yield made
    identity.close()
    await transport.close()


async def make(way: KServe) -> tuple[dict[str, object], list[str]]:
    """What was there, and the steps that were made."""
    before = await way.look()
    steps = way.plan(before)
    for step in steps:
        await step.caller.tell(step.method, step.route, step.body, media=step.media)
    return dict(before), [step.name for step in steps]


async def test_patched_seen_and_back(plane: Plane, iris: Object, way: Made) -> None:
    ours = await way("8", ("get", "patch"))
    before, made = await make(ours)
    assert (made, uri(plane)) == (["patch"], "s3://models/iris/8")
    assert await ours.check() == "the controller has not seen the change yet"
    control(plane)
    assert await ours.check() == ""
    (owner,) = (
        each["manager"] for each in plane.ask("GET", ROUTE)["metadata"]["managedFields"]
        if "f:storageUri" in str(each)
    )  # fmt: skip
    assert owner == "model-exporter"
    for step in ours.back(before, await ours.look(), made):
        await step.caller.tell(step.method, step.route, step.body, media=step.media)
    assert uri(plane) == "s3://models/iris/7"


async def test_what_changed_meanwhile_is_left_as_it_is(plane: Plane, iris: Object, way: Made) -> None:
    ours = await way("8", ("get", "patch"))
    before = await ours.look()
    (step,) = ours.plan(before)
    plane.ask("PATCH", ROUTE, {"spec": {"predictor": {"model": {"storageUri": "s3://elsewhere"}}}})
    with pytest.raises(Failure, match="HTTP 422: the server rejected our request"):
        await step.caller.tell(step.method, step.route, step.body, media=step.media)
    assert uri(plane) == "s3://elsewhere"
    with pytest.raises(Stays, match="is s3://elsewhere by now, which is not ours"):
        ours.back(before, await ours.look(), ["patch"])


async def test_who_may_not_patch_is_told_so_and_changes_nothing(plane: Plane, iris: Object, way: Made) -> None:
    ours = await way("8", ("get",))
    with pytest.raises(Failure, match='cannot patch resource "inferenceservices"') as raised:
        await make(ours)
    assert (raised.value.reason, raised.value.http_status) == (Reason.AUTH, 403)
    assert uri(plane) == "s3://models/iris/7"


async def test_an_inference_service_that_is_not_there(plane: Plane, way: Made) -> None:
    ours = await way("8", ("get", "patch"))
    with pytest.raises(Failure, match='"iris" not found'):
        await ours.look()
