import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from exporter.model.endpoint import Endpoint, Proxy
from exporter.model.failure import Failure, Reason
from exporter.model.job import Job, Kind
from exporter.model.result import Result
from exporter.web.on_demand import Refused, scrape_budget

from .conftest import make_job, make_result  # type: ignore[import-not-found]

pytestmark = pytest.mark.slow

Client = TestClient[Any, Any]

URL = "/probe?target=http://10.0.0.1:8000&module=chat"
SECONDS = "X-Prometheus-Scrape-Timeout-Seconds"


@pytest.fixture(autouse=True)
def allowed(house: Any) -> None:
    house.on_demand.allow = ("10.0.0.0/8", "*.models.svc:8080")


def samples(text: str) -> dict[str, float]:
    return {sample.name: sample.value for family in parse(text) for sample in family.samples if not sample.labels}


async def test_success_is_all_probes_healthy(client: Client, house: Any) -> None:
    answer = await client.get(URL)
    assert answer.status == 200
    assert answer.content_type == "text/plain"
    found = samples(await answer.text())
    assert found["probe_success"] == 1
    assert found["probe_duration_seconds"] > 0
    assert sorted(job.probe for job in house.ran) == ["health", "stream"]
    assert house.asked == [("http://10.0.0.1:8000", "chat", "", "")]
    assert house.ledger.own.on_demand == {"ok": 1, "bad_request": 0, "denied": 0, "limited": 0}
    assert not house.ledger.targets


async def test_one_bad_probe_is_no_success_and_still_200(client: Client, house: Any) -> None:
    async def half(job: Job) -> Result:
        return make_result(job, Reason.CONNECT_REFUSED if job.probe == "stream" else None)

    house.answer = half
    answer = await client.get(URL)
    assert answer.status == 200
    text = await answer.text()
    assert samples(text)["probe_success"] == 0
    assert 'reason="connect_refused"' in text


async def test_a_target_that_first_says_what_it_is_is_then_asked_its_probes(client: Client, house: Any) -> None:
    endpoint = Endpoint("http", "10.0.0.1", 8000)
    house.found["health"] = [make_job("a", name, kind=Kind(name), endpoint=endpoint) for name in ("metadata", "ready")]
    found = samples(await (await client.get(f"{URL}&probe=health")).text())
    assert [job.probe for job in house.ran] == ["health", "metadata", "ready"]
    assert {job.target.endpoint.addresses for job in house.ran} == {("10.0.0.1",)}
    assert found["probe_success"] == 1


async def test_model_and_probe_narrow(client: Client, house: Any) -> None:
    answer = await client.get(f"{URL}&model=llama&probe=stream")
    assert answer.status == 200
    assert house.asked == [("http://10.0.0.1:8000", "chat", "llama", "stream")]
    assert [job.probe for job in house.ran] == ["stream"]


async def test_openmetrics_when_asked_for(client: Client) -> None:
    answer = await client.get(URL, headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert "probe_success" in {family.name for family in openmetrics(await answer.text())}


@pytest.mark.parametrize(
    "query",
    [
        "", "module=chat", "target=", "target=http://10.0.0.1&target=http://10.0.0.2", "target=ftp://10.0.0.1",
        "target=http://10.0.0.1&module=nope", "target=http://10.0.0.1&probe=nope",
        "target=http://10.0.0.1&debug=maybe", "target=http://10.0.0.1&module=a%0Ab", "target=http://u:pw@10.0.0.1",
        "target=http://0x0a.1", "target=http://167772161", "target=http://10.1", "target=http://10.0.0.1.",
    ],
)  # fmt: skip
async def test_bad_parameters(client: Client, house: Any, query: str) -> None:
    answer = await client.get(f"/probe?{query}")
    assert answer.status == 400
    assert answer.content_type == "text/plain"
    assert "pw" not in await answer.text()
    assert house.ran == []
    assert house.ledger.own.on_demand["bad_request"] == 1


async def test_an_unknown_module_is_told_as_text(client: Client) -> None:
    answer = await client.get("/probe", params={"target": "http://10.0.0.1", "module": "<img onerror=x>"})
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "known: chat" in await answer.text()


@pytest.mark.parametrize("seconds", ["nan", "NaN", "inf", "-inf", "-1", "0", "", "1e400", "0x10", "1_0", "five", "٣"])
async def test_garbage_for_a_timeout(client: Client, house: Any, seconds: str) -> None:
    answer = await client.get(URL, headers={SECONDS: seconds})
    assert answer.status == 400
    assert house.ran == []


@pytest.mark.parametrize(
    ("module", "header", "expected"),
    [(5.0, None, 5.0), (5.0, "10", 5.0), (30.0, "10", 9.5), (30.0, "1.0", 0.5), (30.0, "0.4", 0.2), (5.0, "5.2", 4.7)],
)
async def test_the_shorter_timeout_bounds_the_whole_run(
    client: Client, house: Any, module: float, header: str | None, expected: float
) -> None:
    endpoint = Endpoint("http", "10.0.0.1", 8000)
    house.jobs = lambda *_: [make_job(timeout=module, endpoint=endpoint)]
    answer = await client.get(URL, headers={SECONDS: header} if header else {})
    found = {line.partition(" ")[0].partition("{")[0]: line.split()[-1] for line in (await answer.text()).splitlines()}
    assert float(found["model_probe_timeout_seconds"]) == pytest.approx(expected)
    schedule = house.ran[0].schedule
    assert 0 < schedule.timeout <= expected
    assert schedule.deadline == schedule.timeout
    assert not house.ran[0].target.endpoint.keep_alive


async def test_what_the_look_up_takes_is_taken_from_the_run(client: Client, house: Any) -> None:
    class Slow(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            time.sleep(0.05)
            return super().__getitem__(name)

    house.addresses = Slow({"a.models.svc": ["10.0.0.7"]})
    answer = await client.get("/probe?target=http://a.models.svc:8080&probe=health")
    assert house.ran[0].schedule.timeout <= 4.95
    assert 'model_probe_timeout_seconds{target="a.models.svc:8080",model="",probe="health"} 5' in await answer.text()


async def test_a_proxy_looks_up_the_names_that_are_allowed(client: Client, house: Any) -> None:
    """Where only an address can be allowed, it is looked up here, and the proxy is asked for that address."""
    house.addresses = {"b.lan": ["10.0.0.7"]}

    def jobs(url: str, *_: str) -> list[Job]:
        host = url.partition("://")[2].partition(":")[0]
        return [make_job(endpoint=Endpoint("http", host, 8080, proxy=Proxy("127.0.0.1", 3128)))]

    house.jobs = jobs
    assert (await client.get("/probe?target=http://a.models.svc:8080")).status == 200
    assert house.ran[-1].target.endpoint.addresses == ()
    assert (await client.get("/probe?target=http://b.lan:8080")).status == 200
    assert house.ran[-1].target.endpoint.addresses == ("10.0.0.7",)
    assert (await client.get("/probe?target=http://c.lan:8080")).status == 403
    assert len(house.ran) == 2


async def test_credentials_that_may_not_go_there_are_denied(client: Client, house: Any) -> None:
    def refuse(*_: str) -> list[Job]:
        raise PermissionError("auth.hosts of module chat does not name 10.0.0.1")

    house.jobs = refuse
    answer = await client.get(URL)
    assert answer.status == 403
    assert "auth.hosts" in await answer.text()


async def test_spellings_of_one_address_are_one(client: Client, house: Any) -> None:
    endpoint = Endpoint("http", "2001:DB8:0::1", 8000)
    house.watch("mine", endpoint=endpoint)
    house.jobs = lambda *_: [make_job(endpoint=endpoint)]
    assert (await client.get("/probe?target=http://[2001:db8::1]:8000")).status == 200


def test_a_budget_without_a_header_is_the_modules() -> None:
    assert scrape_budget(None) == float("inf")
    with pytest.raises(Refused):
        scrape_budget("-0.0")


@pytest.mark.parametrize(
    "target",
    ["http://11.0.0.1", "http://127.0.0.1", "http://localhost:9090", "http://evil.example", "http://a.models.svc",
     "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]", "http://0.0.0.0", "http://[ff02::1]"],
)  # fmt: skip
async def test_what_nothing_covers_is_denied_by_name_of_the_key(client: Client, house: Any, target: str) -> None:
    answer = await client.get("/probe", params={"target": target, "module": "chat"})
    assert answer.status == 403
    assert "on demand" in (text := await answer.text()) or "on_demand.allow" in text
    assert house.ran == []
    assert house.ledger.own.on_demand["denied"] == 1


async def test_nothing_is_allowed_by_default(client: Client, house: Any) -> None:
    house.on_demand.allow = ()
    answer = await client.get(URL)
    assert answer.status == 403
    assert "on_demand.allow" in await answer.text()


async def test_a_name_nothing_could_cover_is_not_looked_up(client: Client, house: Any) -> None:
    house.on_demand.allow = ("*.models.svc:8080",)
    assert (await client.get("/probe?target=http://evil.example:8080")).status == 403
    assert house.looked_up == []
    assert house.asked == []


async def test_the_checked_address_is_the_one_connected_to(client: Client, house: Any) -> None:
    answers = iter([["10.0.0.7", "169.254.169.254"], ["127.0.0.1"]])

    class Rebinding(dict[str, Any]):
        def __contains__(self, _: object) -> bool:
            return True

        def __getitem__(self, _: str) -> Any:
            return next(answers)

    house.addresses = Rebinding()
    house.on_demand.allow = ("*.models.svc:8080",)
    assert (await client.get("/probe?target=http://a.models.svc:8080/v1")).status == 200
    assert house.looked_up == ["a.models.svc"]
    for job in house.ran:
        endpoint = job.target.endpoint
        assert endpoint.addresses == ("10.0.0.7",)
        assert endpoint.authority == "a.models.svc:8080"


async def test_a_name_that_leads_to_denied_addresses_only_is_denied(client: Client, house: Any) -> None:
    house.addresses = {"a.models.svc": ["169.254.169.254", "::ffff:10.0.0.1"], "b": ["127.0.0.1"]}
    assert (await client.get("/probe?target=http://a.models.svc:8080")).status == 403
    assert (await client.get("/probe?target=http://b")).status == 403
    assert house.ran == []


async def test_an_unknown_name_is_a_failed_probe(client: Client, house: Any) -> None:
    answer = await client.get("/probe?target=http://a.models.svc:8080")
    assert answer.status == 200
    text = await answer.text()
    assert samples(text)["probe_success"] == 0
    assert 'reason="dns"' in text
    assert house.ran == []


async def test_a_resolver_says_why_in_its_own_words(open_client: Any, house: Any) -> None:
    async def resolve(_: str) -> list[str]:
        raise Failure(Reason.DNS, "SERVFAIL from 10.0.0.53")

    house._resolve = resolve
    house.on_demand.debug = True
    client = await open_client()
    answer = await client.get("/probe?target=http://a.models.svc:8080&debug=true")
    assert answer.status == 200
    assert "SERVFAIL" in await answer.text()


async def test_a_configured_target_covers_its_own_url_and_what_lies_below(client: Client, house: Any) -> None:
    house.on_demand.allow = ()
    house.watch("mine", endpoint=Endpoint("http", "192.168.0.5", 9000, "/m"))
    assert (await client.get("/probe?target=http://192.168.0.5:9000/m")).status == 200
    assert (await client.get("/probe?target=http://192.168.0.5:9000/m/v1")).status == 200
    for other in ("192.168.0.5:9000", "192.168.0.5:9000/mm", "192.168.0.5:9001/m", "192.168.0.6:9000/m"):
        assert (await client.get(f"/probe?target=http://{other}")).status == 403
    assert (await client.get("/probe?target=https://192.168.0.5:9000/m")).status == 403
    house.ledger.remove("mine", "health")
    assert (await client.get("/probe?target=http://192.168.0.5:9000/m")).status == 403


async def test_even_a_configured_metadata_address_is_denied(client: Client, house: Any) -> None:
    house.watch("mine", endpoint=Endpoint("http", "169.254.169.254", 80))
    answer = await client.get("/probe?target=http://169.254.169.254/")
    assert answer.status == 403
    assert "link-local" in await answer.text()


async def test_a_url_two_readers_read_differently_is_refused(client: Client, house: Any) -> None:
    house.jobs = lambda *_: [make_job(endpoint=Endpoint("http", "10.0.0.2", 8000))]
    assert (await client.get(URL)).status == 400
    assert house.ran == []


async def test_no_more_at_once_than_allowed(client: Client, house: Any) -> None:
    house.on_demand.concurrency = 2
    free = asyncio.Event()

    async def wait(job: Job) -> Result:
        await free.wait()
        return make_result(job)

    house.answer = wait
    first = [asyncio.create_task(client.get(URL)) for _ in range(2)]
    async with asyncio.timeout(5):
        while len(house.ran) < 4:
            await asyncio.sleep(0.01)
    refused = await client.get(URL)
    assert refused.status == 429
    assert refused.headers["Retry-After"] == "1"
    free.set()
    assert [(await task).status for task in first] == [200, 200]
    assert house.ledger.own.on_demand == {"ok": 2, "bad_request": 0, "denied": 0, "limited": 1}
    assert (await client.get(URL)).status == 200


async def test_a_run_that_gets_no_slot_ends_with_the_timeout(client: Client, house: Any) -> None:
    async def never(job: Job) -> Result:
        await asyncio.Event().wait()
        return make_result(job)

    house.answer = never
    house.jobs = lambda *_: [make_job(timeout=0.05, endpoint=Endpoint("http", "10.0.0.1", 8000))]
    answer = await client.get(URL)
    assert answer.status == 200
    assert samples(await answer.text())["probe_success"] == 0


async def test_debug_needs_its_own_switch(client: Client, house: Any) -> None:
    answer = await client.get(f"{URL}&debug=true")
    assert answer.status == 403
    assert "on_demand.debug" in await answer.text()
    assert house.ran == []


async def test_debug_shows_what_happened_then_the_metrics(client: Client, house: Any) -> None:
    house.on_demand.debug = True

    async def bad(job: Job) -> Result:
        result = make_result(job, Reason.HTTP_STATUS, detail="500: <b>boom\x1b[31m\n# HELP x")
        return replace(result, observation=replace(result.observation, answer="s3cr3t-answer"))

    house.answer = bad
    answer = await client.get("/probe?target=http://10.0.0.1:8000/?key=s3cr3t-query&module=chat&debug=true")
    assert answer.content_type == "text/plain"
    text = await answer.text()
    story, _, metrics = text.partition("Metrics that would have been returned:")
    assert "stream (stream): unhealthy, http_status: unexpected HTTP status" in story
    assert "connect 1.00 ms" in story
    assert "s3cr3t" not in text
    assert "\x1b" not in text
    assert "\n# HELP x" not in story
    assert samples(metrics)["probe_success"] == 0


async def test_a_model_that_is_left_asleep_is_no_failure(client: Client, house: Any) -> None:
    house.on_demand.debug = True

    async def asleep(job: Job) -> Result:
        result = make_result(job, detail="the model is not loaded")
        return replace(result, skipped="asleep") if job.kind.canary else result

    house.answer = asleep
    text = await (await client.get(f"{URL}&debug=true")).text()
    story, _, metrics = text.partition("Metrics that would have been returned:")
    assert "stream (stream): asleep\n  detail: the model is not loaded" in story
    assert samples(metrics)["probe_success"] == 1
    assert 'probe="stream",reason="asleep"} 1' in metrics
