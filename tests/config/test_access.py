"""Ways in: what the blocks stand for, how they are merged, and what a config needs to have installed."""

import re
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from exporter.config import extras, loader, on_demand
from exporter.config.dump import HIDDEN, dump
from exporter.model.endpoint import Basic, Bearer, OAuth2, Proxy, SigV4, Tls
from exporter.model.secret import Secret
from tests.config.make import built, jobs, loaded

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.M | re.S)

INLINE = {name: Secret("inline", name) for name in ("id", "secret", "x", "access", "key", "session", "p", "t")}
OAUTH2: dict[str, Any] = {"token_url": "https://idp.example/token", "client_id": "id", "client_secret": "secret"}
SIGV4: dict[str, Any] = {"region": "eu-central-1"}


def endpoint(target: dict[str, Any], **blocks: Any) -> Any:
    return jobs({"name": "t", "protocol": "http", **target}, **blocks)["t", "health"].target.endpoint


def test_oauth2_as_given(tmp_path: Path) -> None:
    given = {
        **OAUTH2, "scopes": ["a", "b"], "audience": "aud", "resource": "urn:r", "auth_method": "post",
        "params": {"tenant": "x"}, "tls": {"min_version": "TLS13", "server_name": "idp"},
        "proxy": {"url": "http://proxy:3128", "auth": {"bearer": "t"}},
    }  # fmt: skip
    assert endpoint({"auth": {"oauth2": given}}).auth == OAuth2(
        "https://idp.example/token", INLINE["id"], INLINE["secret"], ("a", "b"), "aud", "urn:r", "post",
        (("tenant", INLINE["x"]),), Tls(server_name="idp", min_version="TLS13"),
        Proxy("proxy", 3128, Bearer(INLINE["t"])),
    )  # fmt: skip
    assert endpoint({"auth": {"oauth2": OAUTH2}}).auth == OAuth2(
        "https://idp.example/token", INLINE["id"], INLINE["secret"]
    )


def test_sigv4_as_given() -> None:
    own = {
        **SIGV4,
        "service": "bedrock",
        "access_key_id": "access",
        "secret_access_key": "key",
        "session_token": "session",
    }
    assert endpoint({"auth": {"sigv4": own}}).auth == SigV4(
        "eu-central-1", "bedrock", INLINE["access"], INLINE["key"], INLINE["session"]
    )
    chain = endpoint({"auth": {"sigv4": {**SIGV4, "profile": "models"}}}).auth
    assert chain == SigV4("eu-central-1", "sagemaker", profile="models")


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("http://proxy:3128", Proxy("proxy", 3128)),
        ("http://10.0.0.1:3128/", Proxy("10.0.0.1", 3128)),
        ("HTTP://[::1]:3128", Proxy("::1", 3128)),
        ({"url": "http://proxy:3128"}, Proxy("proxy", 3128)),
        (
            {"url": "http://proxy:3128", "auth": {"basic": {"username": "u", "password": "p"}}},
            Proxy("proxy", 3128, Basic("u", INLINE["p"])),
        ),
    ],
)
def test_a_proxy_as_given(given: Any, made: Proxy) -> None:
    assert endpoint({"proxy": given}).proxy == made


def test_the_nearest_proxy_and_credential_win() -> None:
    blocks: dict[str, Any] = {
        "defaults": {"proxy": "http://far:1", "auth": {"oauth2": OAUTH2}},
        "modules": {"m": {"proxy": "http://near:2", "auth": {"sigv4": SIGV4}}},
    }
    plain, near = endpoint({}, **blocks), endpoint({"module": "m"}, **blocks)
    assert (plain.proxy, type(plain.auth)) == (Proxy("far", 1), OAuth2)
    assert (near.proxy, type(near.auth)) == (Proxy("near", 2), SigV4)
    own = endpoint({"module": "m", "proxy": {"url": "http://own:3"}, "auth": {"bearer": "t"}}, **blocks)
    assert (own.proxy, own.auth) == (Proxy("own", 3), Bearer(INLINE["t"]))
    none = endpoint({"module": "m", "proxy": None, "auth": None}, **blocks)
    assert (none.proxy, none.auth) == (None, None)


CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"proxy": "http://proxy:3128"}),
    ({"proxy": "http://proxy:3128"}, {"proxy": "http://proxy:3129"}),
    (
        {"proxy": {"url": "http://proxy:3128", "auth": {"bearer": "a"}}},
        {"proxy": {"url": "http://proxy:3128", "auth": {"bearer": "b"}}},
    ),
    ({"auth": {"oauth2": OAUTH2}}, {"auth": {"oauth2": {**OAUTH2, "client_secret": "other"}}}),
    ({"auth": {"oauth2": OAUTH2}}, {"auth": {"oauth2": {**OAUTH2, "scopes": ["a"]}}}),
    ({"auth": {"oauth2": OAUTH2}}, {"auth": {"oauth2": {**OAUTH2, "params": {"a": "b"}}}}),
    ({"auth": {"oauth2": OAUTH2}}, {"auth": {"oauth2": {**OAUTH2, "tls": {"insecure_skip_verify": True}}}}),
    ({"auth": {"sigv4": SIGV4}}, {"auth": {"sigv4": {**SIGV4, "service": "other"}}}),
    ({"auth": {"sigv4": SIGV4}}, {"auth": {"sigv4": {**SIGV4, "profile": "p"}}}),
]


@pytest.mark.parametrize(("one", "other"), CHANGES)
def test_a_change_is_another_job(one: dict[str, Any], other: dict[str, Any]) -> None:
    def fingerprint(given: dict[str, Any]) -> str:
        return jobs({"name": "t", "protocol": "http", **given})["t", "health"].fingerprint

    assert fingerprint(one) == fingerprint(one)
    assert fingerprint(one) != fingerprint(other)


def test_both_ways_to_write_a_proxy_are_one_job() -> None:
    short = jobs({"name": "t", "protocol": "http", "proxy": "http://proxy:3128"})
    long = jobs({"name": "t", "protocol": "http", "proxy": {"url": "http://proxy:3128"}})
    assert short["t", "health"].fingerprint == long["t", "health"].fingerprint


def test_the_dump_can_be_read(tmp_path: Path) -> None:
    targets = [{"name": "t", "url": "http://h", "auth": {"oauth2": OAUTH2}, "proxy": "http://proxy:3128"}]
    shown = yaml.safe_load(dump(loader.load_values({"targets": targets}, "x").file))["targets"][0]
    assert shown["auth"] == {"oauth2": dict.fromkeys(OAUTH2, HIDDEN)}
    assert shown["proxy"] == {"url": "http://proxy:3128"}


@pytest.mark.parametrize(("extra", "auth"), [("oauth2", {"oauth2": OAUTH2}), ("aws", {"sigv4": SIGV4})])
def test_a_missing_extra_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str, auth: dict[str, Any]
) -> None:
    text = yaml.safe_dump({"targets": [{"name": "t", "url": "http://h", "auth": auth}]})
    assert loaded(tmp_path, text).warnings == []
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    (warning,) = loaded(tmp_path, text).warnings
    assert warning.path == f"targets[0].auth.{next(iter(auth))}"
    assert warning.message == f"needs an extra that is not installed: pip install 'model-exporter[{extra}]'"
    assert warning.line > 0


@pytest.mark.parametrize("auth", [{"oauth2": OAUTH2}, {"sigv4": SIGV4}])
def test_on_demand_they_go_only_where_they_may(auth: dict[str, Any]) -> None:
    module = {"protocol": "http", "auth": {**auth, "hosts": ["*.models.example"]}, "probes": {"health": {}}}
    file = built({"targets": [], "modules": {"m": module}, "on_demand": {"allow": ["*"]}}).file
    (job,) = on_demand.jobs_for_module(file, "m", "http://a.models.example")
    assert job.target.endpoint.auth is not None
    with pytest.raises(on_demand.CredentialsDenied, match=r"modules\.m\.auth\.hosts"):
        on_demand.jobs_for_module(file, "m", "http://elsewhere.example")


# The page


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.partition("\n")[0])
def test_every_block_of_the_page_is_good(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block is a whole config, or keys of one target. Its files and variables are made up here."""
    values = yaml.safe_load(block)
    if not {"targets", "modules", "defaults"} & set(values):
        values = {"targets": [{"url": "https://model.example:8443", "protocol": "http", **values}]}
    values.setdefault("targets", [])
    _provide(values, tmp_path, monkeypatch)
    warnings = [warning.message for warning in loaded(tmp_path, yaml.safe_dump(values)).warnings]
    assert warnings in ([], ["no target uses this module"])


def _provide(value: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables and write the files that a config names."""
    if isinstance(value, list):
        for item in value:
            _provide(item, folder, monkeypatch)
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "env":
                monkeypatch.setenv(item, "value")
            elif key == "file" or key.endswith("_file"):
                place = folder / item.strip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                _write(place, folder)
                value[key] = str(place)
            else:
                _provide(item, folder, monkeypatch)


def _write(path: Path, folder: Path) -> None:
    """A file as its name says: a certificate, its key, or a secret."""
    made = folder / "made"
    if not made.exists():
        made.mkdir()
        authority = trustme.CA()
        leaf = authority.issue_cert("client.example")
        authority.cert_pem.write_to_path(made / ".pem")
        leaf.cert_chain_pems[0].write_to_path(made / ".crt")
        leaf.private_key_pem.write_to_path(made / ".key")
    known = made / path.suffix if path.suffix else made
    path.write_bytes(known.read_bytes() if known.is_file() else b"secret\n")
    path.chmod(0o600)


def test_the_page_has_a_block_for_every_way() -> None:
    text = "\n".join(BLOCKS)
    for key in ("bearer", "basic", "header", "headers", "oauth2", "sigv4", "proxy", "tls", "ca_file", "server_name",
                "cert_file", "unix://", "[::1]", "hosts"):  # fmt: skip
        assert f"{key}" in text, key
