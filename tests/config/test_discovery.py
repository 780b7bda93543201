"""Entries of `discovery` as jobs, and the roster of all jobs there should be."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config import build, loader, on_demand
from exporter.config.catalogue import offering
from exporter.config.discovery import Discovery
from exporter.config.listed import Listed, values_of
from exporter.config.lists import Files
from exporter.config.roster import Roster, shard_of
from exporter.config.sources import Source, sources
from exporter.contracts import Found
from exporter.discovery.groups import entries as entries_of
from exporter.discovery.kubernetes import Kubernetes, Selection, Wanted
from exporter.model.failure import Failure, Reason
from exporter.model.job import Job, Kind
from exporter.model.observation import Detection
from exporter.model.secret import Secret
from tests.config.make import built, loaded, problems

VLLM = Detection("openai", "vllm", ("health", "ready"), "why")
CHAT = {"chat": {"protocol": "openai", "probes": {"health": {}, "stream": {"interval": "1m", "timeout": "7s"}}}}


def source(catalogue: dict[str, Any] | None = None, modules: dict[str, Any] | None = None, **entry: Any) -> Source:
    """The source of one entry; without a protocol it is openai."""
    block = {"url": "http://h:8000", "protocol": "openai", **(catalogue or {})}
    block = {key: value for key, value in block.items() if value is not None}
    values = {"discovery": [{"catalogue": block, **entry}], "modules": modules or {}}
    (made,) = sources(loader.load_values(values, name="values").file)
    assert isinstance(made, Source)
    return made


def keys(jobs: list[Job]) -> list[tuple[str, str]]:
    return [job.key for job in jobs]


def test_the_list_is_read_by_a_job_of_its_own() -> None:
    asks = source({"interval": "30s", "timeout": "2s", "auth": {"bearer": "s3cr3t"}, "connection": "keep_alive"}).asks
    assert (asks.kind, asks.target.name, asks.target.model) == (Kind.CATALOGUE, "h:8000", "")
    assert (asks.schedule.interval, asks.schedule.timeout, asks.retry.attempts) == (30.0, 2.0, 3)
    usual = source().asks.schedule
    assert (usual.interval, usual.timeout) == (60.0, 5.0)
    assert asks.target.endpoint.auth is not None
    assert not asks.target.endpoint.keep_alive, "it is asked once a minute, and nobody closes what it would keep"


def test_a_listed_model_is_a_target() -> None:
    made = source({"tls": {"server_name": "x"}, "headers": {"X": "1"}, "startup": "1m"}, CHAT, name="gateway",
                  module="chat", labels={"team": "chat"})  # fmt: skip
    jobs = made.jobs(Found(("llama-3",)))
    assert keys(jobs) == [("gateway/llama-3", "health"), ("gateway/llama-3", "stream")]
    target = jobs[0].target
    assert (target.model, target.protocol, target.labels) == ("llama-3", "openai", {"team": "chat"})
    assert (target.endpoint.url, target.endpoint.tls.server_name, target.startup) == ("http://h:8000", "x", 60.0)
    assert target.endpoint.headers == (("X", Secret("inline", "1")),)
    assert jobs[1].schedule.timeout == 7.0


def test_expected_models_are_targets_before_and_beside_what_is_listed() -> None:
    made = source({"expected": ["z", "a"]}, name="gw", modules={}, labels={})
    assert [job.target.model for job in made.jobs(None) if job.probe == "health"] == ["z", "a"]
    assert [job.target.model for job in made.jobs(Found(("a", "b"))) if job.probe == "health"] == ["z", "a", "b"]


def test_unchanged_models_keep_their_jobs() -> None:
    made = source()
    before = made.jobs(Found(("a", "b")))
    after = made.jobs(Found(("b", "c")))
    assert {job.target.model for job in after} == {"b", "c"}
    assert [job for job in after if job.target.model == "b"] == [job for job in before if job.target.model == "b"]
    again = source().jobs(Found(("b",)))
    assert [job.fingerprint for job in again] == [job.fingerprint for job in after if job.target.model == "b"]


def test_a_reload_that_changes_labels_alone_changes_no_fingerprint_of_models() -> None:
    one, two = source(labels={"a": "1"}).jobs(Found(("m",))), source(labels={"a": "2"}).jobs(Found(("m",)))
    assert [job.fingerprint for job in one] == [job.fingerprint for job in two]
    assert one[0].target.labels != two[0].target.labels


async def test_preparing_leaves_the_loop_its_turns_and_jobs_costs_nothing_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.slices.SLICE", 0.0)
    made, found = source({"limit": 200}), Found(tuple(f"m{number}" for number in range(100)))
    preparing = asyncio.create_task(made.prepare(found))
    turns = 0
    while not preparing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 100
    monkeypatch.setattr("exporter.config.sources.jobs_of", None)
    assert len(made.jobs(found)) == 300


# Protocols


def test_auto_finds_out_first_and_the_finding_holds_for_the_models() -> None:
    made = source({"protocol": None, "interval": "30s", "timeout": "3s"})
    assert (made.asks.kind, made.asks.schedule.interval, made.asks.schedule.timeout) == (Kind.DETECT, 30.0, 3.0)
    listing = made.listing(VLLM)
    assert (listing.kind, listing.target.protocol, listing.schedule.interval) == (Kind.CATALOGUE, "openai", 30.0)
    jobs = made.jobs(Found(("m",), detection=VLLM))
    assert [(job.probe, job.kind, job.target.protocol) for job in jobs] == [
        ("health", Kind.HEALTH, "openai"), ("ready", Kind.READY, "openai"),
    ]  # fmt: skip
    assert made.jobs(Found(("m",), detection=Detection("open_inference", "", ("health",), "")))[0].target.protocol == (
        "open_inference"
    )


def test_an_expected_model_of_a_server_nobody_knows_yet_asks_what_it_is() -> None:
    (job,) = source({"protocol": None, "expected": ["m"]}).jobs(None)
    assert (job.kind, job.probe, job.target.model) == (Kind.DETECT, "health", "m")


def test_a_server_without_a_list_is_a_failure_that_says_so() -> None:
    with pytest.raises(Failure, match="looks like mlflow, which has no list of models") as caught:
        source({"protocol": None}).listing(Detection("mlflow", "", (), ""))
    assert caught.value.reason is Reason.EXPECTATION


def test_the_module_says_how_models_are_asked_and_the_catalogue_who_lists_them() -> None:
    made = source({"protocol": None}, CHAT, module="chat")
    assert (made.asks.kind, made.asks.target.protocol) == (Kind.CATALOGUE, "openai")
    module = {"m": {"protocol": "openai", "done": "required", "auth": {"bearer": "s3cr3t"}, "probes": {"health": {}}}}
    other = source({"protocol": "open_inference"}, module, module="m")
    assert other.asks.target.protocol == "open_inference"
    assert other.asks.target.endpoint.auth is not None, "the module's credentials open the list too"
    assert [job.target.protocol for job in other.jobs(Found(("a",)))] == ["openai"]
    found_out = source({"protocol": "auto"}, module, module="m")
    assert found_out.asks.kind is Kind.DETECT
    assert [job.target.protocol for job in found_out.jobs(Found(("a",), detection=VLLM))] == ["openai"]


def test_keys_of_the_protocol_go_to_the_models_and_to_the_question() -> None:
    plain, given = source(), source({"done": "optional"})
    assert given.asks.fingerprint != plain.asks.fingerprint
    found = Found(("a",))
    assert given.jobs(found)[0].fingerprint != plain.jobs(found)[0].fingerprint
    module = {"m": {"protocol": "open_inference", "probes": {"health": {}}}}
    foreign = [source(more, module, module="m").jobs(found)[0] for more in ({}, {"done": "optional"})]
    assert foreign[0].fingerprint == foreign[1].fingerprint, "keys of openai mean nothing to another protocol"


@pytest.mark.parametrize("protocol", ["mlflow", "http"])
def test_a_protocol_without_a_list_is_refused_with_those_that_have_one(protocol: str, tmp_path: Path) -> None:
    (line,) = problems(tmp_path, f"discovery:\n  - catalogue: {{url: 'http://h', protocol: {protocol}}}\n")
    assert line.startswith(f"2:44: discovery[0].catalogue.protocol: the protocol {protocol} has no list of models; ")
    allowed = line.partition("allowed: ")[2].split(", ")
    assert allowed == ["auto", *offering()]
    assert {"openai", "open_inference"} <= set(allowed)


def test_the_protocol_of_a_module_without_a_list_is_refused_too(tmp_path: Path) -> None:
    text = "modules: {m: {protocol: mlflow}}\ndiscovery: [{catalogue: {url: 'http://h'}, module: m}]\n"
    (line,) = problems(tmp_path, text)
    assert line.startswith("2:25: discovery[0].catalogue: the protocol mlflow has no list of models")


def test_what_is_wrong_with_the_models_of_an_entry_is_told_before_any_is_found(tmp_path: Path) -> None:
    text = (
        "modules: {m: {protocol: open_inference, probes: {infer: {}}}}\n"
        "discovery: [{catalogue: {url: 'tcp://h:1', protocol: open_inference}, module: m}]\n"
    )
    told = problems(tmp_path, text)
    assert any("discovery[0].catalogue.url" in line for line in told)
    text = text.replace("tcp://", "http://")
    assert any("modules.m.probes.infer" in line for line in problems(tmp_path, text))


# The file


def test_a_config_may_have_nothing_but_discovery(tmp_path: Path) -> None:
    made = loaded(tmp_path, "discovery: [{catalogue: {url: 'http://h'}}]\n")
    assert (made.warnings, build.build(made.file).jobs) == ([], [])
    assert loaded(tmp_path, "discovery: []\n", "none.yaml").file.discovery == []


def test_a_module_that_only_an_entry_uses_is_used(tmp_path: Path) -> None:
    text = "modules: {m: {protocol: openai}}\ndiscovery: [{catalogue: {url: 'http://h'}, module: m}]\n"
    assert loaded(tmp_path, text).warnings == []


def test_probe_knows_nothing_of_discovery_but_where_credentials_go() -> None:
    module = {"protocol": "openai", "auth": {"bearer": "s3cr3t"}, "probes": {"health": {}}}
    modules = {"m": module, "n": {"protocol": "http", "probes": {"health": {}}}}
    file = built({"modules": modules, "discovery": [{"catalogue": {"url": "http://h:8000"}, "module": "m"}]}).file
    assert keys(on_demand.jobs_for_module(file, "m", "http://h:8000")) == [("h:8000", "health")]
    assert keys(on_demand.jobs_for_module(file, "n", "http://h:8000")) == [("h:8000", "health")]
    with pytest.raises(on_demand.CredentialsDenied):
        on_demand.jobs_for_module(file, "m", "http://other:8000")


def test_the_dump_hides_what_an_entry_hides() -> None:
    catalogue = {
        "url": "http://h:8000?key=s3cr3t-a", "protocol": "openai", "auth": {"bearer": "s3cr3t-b"},
        "headers": {"X": "s3cr3t-c"}, "done": "optional", "expected": ["m"],
    }  # fmt: skip
    made = built({"discovery": [{"catalogue": catalogue, "name": "gw", "labels": {"team": "x"}}]})
    shown = build.dump(made)
    assert "s3cr3t" not in shown
    management = {"url": "http://h:8081", "token": "s3cr3t-d"}
    catalogue = {"url": "http://h:8080", "protocol": "torchserve", "management": management}
    assert "s3cr3t" not in build.dump(built({"discovery": [{"catalogue": catalogue}]}))
    for words in ("name: gw", "url: http://h:8000?<hidden>", "done: optional", "team: x", "- m"):
        assert words in shown


@pytest.mark.slow
def test_a_large_config_carries_its_discovery_through_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "LARGE", 1)
    path = tmp_path / "config.yaml"
    path.write_text("discovery: [{catalogue: {url: 'http://h', expected: [a]}, name: gw}]\n")
    made = asyncio.run(loader.load_in_child([path]))
    assert [each.name for each in sources(made.file)] == ["gw"]


# The roster


class Known:
    """What was found, by hand."""

    def __init__(self, **found: Found | None) -> None:
        self.all = {name.replace("dns_", "dns:"): each for name, each in found.items()}

    def found(self, source: str) -> Found | None:
        return self.all.get(source)

    def tried(self, source: str) -> bool:
        return source in self.all


def roster(values: dict[str, Any], shard: tuple[int, int] | None = None, *flags: str) -> Roster:
    flagged = [job for url in flags for job in on_demand.jobs_for_url(url)]
    return Roster(built(values), flagged, shard)


def watched(of: Roster, known: Known) -> list[str]:
    """source:name of each target."""
    return list(dict.fromkeys(f"{source}:{job.target.name}" for source, job in of.jobs(known)))


GROUP = {"targets": [
    {"name": "a", "url": "http://m", "protocol": "http", "replicas": "dns"},
    {"name": "b", "url": "http://m:81", "protocol": "http", "replicas": "dns"},
    {"name": "c", "url": "http://n", "protocol": "http", "replicas": ["10.0.0.1", "10.0.0.2:90"]},
    {"name": "d", "url": "http://n", "protocol": "http"},
]}  # fmt: skip
ENTRY = {"discovery": [{"catalogue": {"url": "http://h:8000", "protocol": "openai", "expected": ["z"]}, "name": "gw"}]}


def test_a_name_is_looked_up_once_for_all_its_targets() -> None:
    found = roster(GROUP | ENTRY).discoverers(None, None, None)  # type: ignore[arg-type]
    assert [each.source for each in found] == ["dns:m", "gw"]


def test_replicas_stand_in_the_place_of_their_target() -> None:
    group = roster(GROUP)
    assert watched(group, Known()) == ["config:c@10.0.0.1:80", "config:c@10.0.0.2:90", "config:d"]
    unknown = Known(dns_m=None)
    assert watched(group, unknown)[:2] == ["config:a", "config:b"], "a name that cannot be looked up is asked by name"
    assert watched(group, Known(dns_m=Found(("10.0.0.5", "fd00::1"))))[:4] == [
        "config:a@10.0.0.5:80", "config:a@[fd00::1]:80", "config:b@10.0.0.5:81", "config:b@[fd00::1]:81",
    ]  # fmt: skip


def test_nothing_of_a_catalogue_is_watched_before_its_first_answer_or_failure() -> None:
    entry = roster(ENTRY)
    assert watched(entry, Known()) == []
    assert watched(entry, Known(gw=None)) == ["gw:gw/z"]
    assert watched(entry, Known(gw=Found(("z", "a")))) == ["gw:gw/z", "gw:gw/a"]


def test_where_two_sources_have_one_name_the_first_has_it() -> None:
    targets = {"targets": [{"name": "gw/a", "url": "http://own", "protocol": "http"}]}
    both = roster(targets | ENTRY, None, "http://flag:1")
    jobs = [(source, job) for source, job in both.jobs(Known(gw=Found(("z", "a"))))]
    assert {(source, job.target.title, job.target.endpoint.host) for source, job in jobs} == {
        ("config", "gw/a", "own"), ("flag", "flag:1", "flag"), ("gw", "gw/z", "h"),
    }  # fmt: skip


def test_what_is_not_known_yet() -> None:
    both = roster(GROUP | ENTRY)
    assert [target.name for target in both.unread(Known())] == ["gw", "a", "b"]
    assert [target.name for target in both.unread(Known(dns_m=None, gw=None))] == ["gw", "a", "b"]
    assert list(both.unread(Known(dns_m=Found(("10.0.0.1",)), gw=Found(())))) == []


def test_shards_share_what_was_found_and_keep_replicas_together() -> None:
    names = tuple(f"m{number}" for number in range(40))
    values = GROUP | ENTRY
    known = Known(gw=Found(names), dns_m=Found(("10.0.0.1", "10.0.0.2", "10.0.0.3")))
    all_of_it = set(watched(roster(values), known))
    parts = [set(watched(roster(values, (index, 3)), known)) for index in range(3)]
    assert set.union(*parts) == all_of_it
    assert sum(map(len, parts)) == len(all_of_it)
    assert all(parts)
    for name in ("a", "b", "c"):
        (home,) = [part for part in parts if any(each.startswith(f"config:{name}@") for each in part)]
        assert home is parts[shard_of(name, 3)]


def test_a_shard_looks_up_only_what_it_watches() -> None:
    hosts = {"targets": [{"name": f"t{n}", "url": f"http://h{n}", "replicas": "dns"} for n in range(12)]}
    asked = [
        [each.source for each in roster(hosts, (index, 3)).discoverers(None, None, None)]  # type: ignore[arg-type]
        for index in range(3)
    ]
    assert sorted(name for part in asked for name in part) == sorted(f"dns:h{n}" for n in range(12))
    assert all(asked)


def test_the_configs_of_the_page_are_good(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "discovery.md").read_text()
    token = tmp_path / "token"
    token.write_text("x")
    token.chmod(0o600)
    lists, blocks, rights = [], [], []
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        kinds = {"- targets": lists, "apiVersion": rights}
        next((found for start, found in kinds.items() if block.startswith(start)), blocks).append(block)
    assert (len(lists), len(blocks), len(rights)) == (1, 6, 1)
    assert all(entries_of(yaml.safe_load(text), {}) for text in lists)
    for number, block in enumerate(blocks):
        text = block.replace("/run/secrets/token", str(token))
        if "module: chat" in text:
            text += "modules: {chat: {protocol: openai, probes: {health: {}}}, embeddings: {protocol: openai}}\n"
            text = text if "embeddings]" in text else text.replace(", embeddings: {protocol: openai}", "")
        made = loaded(tmp_path, text, f"page{number}.yaml")
        assert made.warnings == []
        assert sources(made.file) or build.build(made.file).replicas


def listed(values: dict[str, Any], **blocks: Any) -> Listed:
    """The source of an entry that reads files."""
    entry = {"file": {"paths": ["targets.yml"]}, **values}
    (made,) = sources(loader.load_values({"discovery": [entry], **blocks}, name="values").file)
    assert isinstance(made, Listed)
    return made


def entries(*found: dict[str, str]) -> Found:
    return Found(tuple(labels.get("__target__", labels["__address__"]) for labels in found), entries=found)


def test_labels_decide_what_a_listed_target_is() -> None:
    found = entries(
        {"__address__": "a:1", "team": "y", "job": "j", "instance": "i", "__x__": "z"},
        {"__address__": "https://b/v1", "__target__": "bee", "__model__": "m", "__path__": "/not/this"},
        {"__address__": "c:3", "__scheme__": "grpc", "__protocol__": "grpc_health", "__module__": "other"},
        {"__address__": "d", "__path__": "deep"},
    )
    (module,) = CHAT.values()
    made = listed({"labels": {"team": "x", "env": "prod"}, "module": "chat", "name": "list"},
                  modules={"chat": module, "other": {}})  # fmt: skip
    targets = {job.target.name: job.target for job in made.jobs(found)}
    assert made.name == "list"
    assert {name: target.endpoint.url for name, target in targets.items()} == {
        "a:1": "http://a:1", "bee": "https://b/v1", "c:3": "grpc://c:3", "d:80/deep": "http://d/deep",
    }  # fmt: skip
    assert targets["a:1"].labels == {"team": "y", "env": "prod"}
    assert (targets["bee"].model, targets["bee"].protocol) == ("m", "openai")
    assert targets["c:3"].protocol == "grpc_health"


async def test_listed_targets_are_checked_before_they_count(tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    path.write_text(json.dumps([
        {"targets": ["good:1"]},
        {"targets": ["no url"], "labels": {"__target__": "first"}},
        {"targets": ["b:2"], "labels": {"model": "m"}},
        {"targets": ["c:3"], "labels": {"__module__": "none"}},
        {"targets": ["d:4"], "labels": {"__protocol__": "opnai"}},
    ]))  # fmt: skip
    made = listed({"file": {"paths": [str(path)]}})
    found = await made.discoverer(None, None).find()  # type: ignore[arg-type]
    assert found.names == ("good:1",)
    assert found.failure is not None
    assert found.failure.detail == (
        "'first' can be no target: url: the url holds a space; write it percent-encoded; "
        "'b:2' can be no target: labels.model: reserved label name: model-exporter or Prometheus sets it; choose "
        "another; 'c:3' can be no target: module: unknown module 'none'; no modules are configured; and 1 more"
    )


def test_a_list_that_did_not_change_makes_no_new_jobs() -> None:
    made = listed({})
    (job, *_), (same, *_) = made.jobs(entries({"__address__": "a"})), made.jobs(entries({"__address__": "a"}))
    assert job is same
    (other, *_) = made.jobs(entries({"__address__": "a", "team": "x"}))
    assert other.target.labels == {"team": "x"}
    assert other.fingerprint == job.fingerprint, "labels of a target are outside it"


# Objects of a cluster


def test_objects_of_a_cluster_have_no_module_but_those_of_the_entry() -> None:
    values = {"file": None, "kubernetes": {"role": "pod", "modules": ["other"]}, "module": "chat"}
    entry = Discovery.model_validate({key: value for key, value in values.items() if value})
    at = {"__address__": "10.0.0.1:80"}
    assert values_of(at, entry)["module"] == "chat"
    assert values_of({**at, "__module__": "other", "__startup__": "90s"}, entry) == {
        "url": "http://10.0.0.1:80", "module": "other", "labels": {}, "startup": "90s",
    }  # fmt: skip
    with pytest.raises(ValueError, match="'secret' is not one of the modules of the entry"):
        values_of({**at, "__module__": "secret"}, entry)
    assert values_of({**at, "__module__": "secret"}, Discovery(file=Files(paths=["a"])))["module"] == "secret"


@pytest.mark.parametrize(
    ("kubernetes", "blocks", "expected"),
    [
        ({"role": "pod"}, {}, Selection("pod", wanted=Wanted(True, frozenset({"m"}), True), startup=600.0)),
        (
            {
                "role": "inferenceservice",
                "namespaces": ["a", "b"],
                "selector": "app=x",
                "context": "c",
                "modules": ["o"],
            },
            {"defaults": {"startup": "2m"}},
            Selection(
                "inferenceservice", ("a", "b"), "app=x", None, "c", Wanted(False, frozenset({"m", "o"}), True), 120.0
            ),
        ),
        (
            {"role": "service", "annotated": False},
            {"modules": {"m": {"protocol": "openai", "startup": "3m"}, "o": {}}},
            Selection("service", wanted=Wanted(False, frozenset({"m"}), False), startup=180.0),
        ),
        (
            {"role": "service", "startup": "4m"},
            {"defaults": {"startup": "2m"}},
            Selection("service", wanted=Wanted(True, frozenset({"m"}), True), startup=240.0),
        ),
        (
            {"role": "service"},
            {"defaults": {"wake": True}},
            Selection("service", wanted=Wanted(True, frozenset({"m"}), True, wake=True), startup=600.0),
        ),
        (
            {"role": "service"},
            {"defaults": {"wake": True}, "modules": {"m": {"wake": False}}},
            Selection("service", wanted=Wanted(True, frozenset({"m"}), True), startup=600.0),
        ),
    ],
)
def test_what_of_a_cluster_is_looked_for(
    kubernetes: dict[str, Any], blocks: dict[str, Any], expected: Selection
) -> None:
    modules = {"modules": {"m": {}, "o": {}}}
    entry = {"kubernetes": kubernetes, "module": "m"}
    (made,) = sources(loader.load_values({"discovery": [entry], **modules, **blocks}, name="values").file)
    assert isinstance(made, Listed)
    assert made.name == f"kubernetes:{kubernetes['role']}"
    discoverer = made.discoverer(None, None)  # type: ignore[arg-type]
    assert isinstance(discoverer, Kubernetes)
    assert discoverer.question[1] == expected  # type: ignore[index]
