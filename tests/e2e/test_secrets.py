"""Planted secrets, servers that throw them back, every output read: no secret leaves by any door."""

import base64
import html
import itertools
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support import wrong_configs
from tests.support.daemon import Daemon, command
from tests.support.fake import Fake, Reply, Request
from tests.support.token_server import Threaded, TokenServer
from tests.support.web import until

pytestmark = pytest.mark.slow

SECRETS = {
    place: f"s3cr3t-{place}-7Q"
    for place in ("inline", "file", "env", "header", "key", "password", "rotated", "web", "client", "param", "token",
                  "access", "aws", "session", "proxy", "query", "prompt")
}  # fmt: skip


#: Of what was said on the wire the transcripts have at least this.
TOLD = [
    "> GET /error?<hidden> HTTP/1.1", "> POST /v1/chat/completions HTTP/1.1", "> Authorization: <hidden>", "< 401",
    "< 302", "< X-Debug: <hidden>", "< Location: <hidden>", '| {"error"',
]  # fmt: skip
PADDING = itertools.cycle(range(0, 200, 3))
#: This much of the beginning of a secret counts as the secret.
PART = 8


def throw_back(request: Request) -> Reply:
    """An error that quotes the request's headers in its body, a header and a Location, as careless gateways do."""
    body = request.body.decode().replace('"', "'")  # it stands in JSON below
    told = f"{request.path} {body} "
    told += "; ".join(f"{name}: {value}" for name, value in request.headers.items())
    told = "." * next(PADDING) + told  # texts are cut somewhere: let it be in the middle of a secret, too
    path = request.path.removeprefix("http://model.example")  # asked as a proxy it is told the whole url
    if path.startswith("/echo"):
        told = f"{request.headers.get('authorization')} {request.body.decode()}"
        return 401, json.dumps({"error": "invalid_client", "error_description": told}), {}
    if path.startswith("/redirect"):
        return 302, told, {"Location": f"http://127.0.0.1:9/?leak={quote(told)}"}
    if path.startswith("/ok"):
        return 200, told, {"Content-Type": "text/plain", "X-Debug": told}
    if path.startswith("/garbage"):
        return 200, f'{{"error": "{told}', {"Content-Type": "application/json"}
    return 401, f'{{"error": {{"message": "wrong key: {told}"}}}}', {"X-Debug": told}


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(throw_back) as server:
        yield server


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with Threaded(TokenServer(client_secret=SECRETS["client"], prefix=f"{SECRETS['token']}-")) as running:
        yield running.server


def oauth2(token_url: str, method: str) -> dict[str, Any]:
    return {
        "oauth2": {
            "token_url": token_url, "client_id": "client", "client_secret": SECRETS["client"], "auth_method": method,
            "params": {"extra": SECRETS["param"]},
        }
    }  # fmt: skip


def config(url: str, token_file: Path, token_url: str) -> dict[str, Any]:
    probes = {"health": {"interval": "300ms", "timeout": "2s"}}
    auths: dict[str, Any] = {
        "inline": {"bearer": SECRETS["inline"]},
        "file": {"bearer": {"file": str(token_file)}},
        "env": {"bearer": {"env": "PLANTED"}},
        "key": {"header": {"name": "X-Api-Key", "value": SECRETS["key"]}},
        "basic": {"basic": {"username": "user", "password": SECRETS["password"]}},
        "oauth2": oauth2(token_url, "post"),
        "lost": oauth2(f"{url}/echo", "basic"),
        "lost-too": oauth2(f"{url}/echo", "post"),
        "sigv4": {
            "sigv4": {
                "region": "eu-central-1", "access_key_id": SECRETS["access"], "secret_access_key": SECRETS["aws"],
                "session_token": SECRETS["session"],
            }
        },
    }  # fmt: skip
    proxy = {"url": url, "auth": {"basic": {"username": "user", "password": SECRETS["proxy"]}}}
    targets: list[dict[str, Any]] = []
    for name, auth in auths.items():
        for path in ("error", "redirect", "ok", "garbage"):
            expect = {"regex": "never matches"} if path == "ok" else {"json": "a"} if path == "garbage" else {}
            health = {**probes["health"], "headers": {"X-Planted": SECRETS["header"]}, "expect": expect}
            targets.append(
                {
                    "name": f"{name}-{path}",
                    "url": f"{url}/{path}?key={SECRETS['query']}",
                    "protocol": "http",
                    "auth": auth,
                    "probes": {"health": health},
                }
            )
        targets.append({"name": f"{name}-auto", "url": url, "auth": auth})
        targets.append(
            {
                "name": f"{name}-chat",
                "url": url,
                "protocol": "openai",
                "model": "m",
                "auth": auth,
                "probes": {"stream": {"interval": "1s", "timeout": "2s", "prompt": f"{SECRETS['prompt']}, once more"}},
            }
        )
    for path, scheme in (("error", "http"), ("redirect", "http"), ("ok", "http"), ("error", "https")):
        targets.append(
            {
                "name": f"proxy-{scheme}-{path}",
                "url": f"{scheme}://model.example/{path}",
                "protocol": "http",
                "proxy": proxy,
                "probes": {"health": {**probes["health"], "expect": {"regex": "never matches"}}},
            }
        )
    return {
        "modules": {
            "tokened": {
                "protocol": "http",
                "auth": {**oauth2(token_url, "basic"), "hosts": ["127.0.0.1"]},
                "proxy": proxy,
                "probes": {"health": {}},
            },
            "keyed": {
                "protocol": "http",
                "auth": {"bearer": SECRETS["inline"], "hosts": ["127.0.0.1"]},
                "probes": {"health": {}},
            },
            "homebound": {"protocol": "http", "auth": {"bearer": SECRETS["inline"]}, "probes": {"health": {}}},
        },
        "targets": targets,
        "on_demand": {"allow": ["127.0.0.0/8"], "debug": True},
        "sinks": [{"jsonl": {"path": str(token_file.parent / "records.jsonl")}}],
    }


def events(daemon: Daemon, seconds: float = 30.0) -> str:
    """What the live events say until there were some."""
    heard, end = b"", time.monotonic() + seconds
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=seconds) as wire:
        wire.sendall(b"GET /api/v1/events?kind=state&kind=run HTTP/1.1\r\nHost: exporter\r\n\r\n")
        while time.monotonic() < end and heard.count(b"data:") < 20:
            try:
                heard += wire.recv(65536)
            except TimeoutError:
                break
    return heard.decode(errors="replace")


def leaks(text: str) -> list[str]:
    """The beginnings of planted secrets that a text shows, basic credentials among them."""
    pairs = [f"user:{SECRETS[place]}" for place in ("password", "proxy", "web")] + [f"client:{SECRETS['client']}"]
    basic = [base64.b64encode(pair.encode()).decode() for pair in pairs]
    found = [secret for secret in SECRETS.values() if secret[:PART] in text]
    return found + [secret for secret in basic if secret in text]


def test_no_planted_secret_leaves_the_daemon(tmp_path: Path, fake: Fake, tokens: TokenServer) -> None:
    token = tmp_path / "token"
    token.write_text(SECRETS["file"] + "\n")
    token.chmod(0o600)
    planted = config(fake.url, token, tokens.url)
    wrong_configs.write_files(tmp_path / "tls")
    certificate, key = (tmp_path / "tls" / name for name in ("client.pem", "client.key"))
    tls = {"cert_file": str(certificate), "key_file": str(key)}
    planted["targets"].append({"name": "tls", "url": fake.url.replace("http", "https"), "protocol": "http", "tls": tls})
    key_lines = [line for line in key.read_text().splitlines() if not line.startswith("-----")]
    said = {"Authorization": "Basic " + base64.b64encode(f"user:{SECRETS['web']}".encode()).decode()}
    arguments = ["--log-level", "debug", "--reload-interval", "0"]
    with Daemon(tmp_path, planted, args=arguments, env={"PLANTED": SECRETS["env"]}) as daemon:
        names = [target["name"] for target in planted["targets"]]
        for name in names:
            if name == "proxy-https-error":
                daemon.until_state(name, "error", within=30)
            elif name.endswith(("-error", "-redirect", "-ok", "-garbage")):
                daemon.until_state(name, "unhealthy", within=30)
        token.write_text(SECRETS["rotated"] + "\n")
        seen = {"inline", "file", "env", "header", "key", "rotated", "token", "access", "session"}
        assert {form["client_secret"] for form in tokens.forms if "client_secret" in form} == {SECRETS["client"]}

        def sent() -> bool:
            text = "".join(value for request in list(fake.requests) for value in request.headers.values())
            return {place for place in seen if SECRETS[place] in text} == seen

        until("every secret, the rotated one too, on the wire", sent, within=30, log=daemon.process.tail)

        outputs: dict[str, str] = {}
        paths = ["/", "/metrics", "/config", "/api/v1/targets", "/openapi.json", "/-/ready", "/nowhere"]
        paths += ["/training", "/evaluations", "/api/v1/gate", "/api/v1/maintenance", "/-/healthy", "/?sort=name"]
        paths += [f"/ready/{name}" for name in names] + [f"/api/v1/targets/{name}" for name in names]
        paths += [f"/target?name={name}" for name in names]
        on_demand = {
            path: f"/probe?target={quote(f'{fake.url}/{path}', safe='')}" for path in ("error", "redirect", "ok")
        }
        for asked in on_demand.values():
            for module in ("keyed", "tokened"):
                paths += [f"{asked}&module={module}", f"{asked}&module={module}&debug=true"]
            paths.append(f"{asked}&module=homebound")
        for path in paths:
            answer = daemon.get(path, headers=said)
            outputs[path] = f"{answer.headers} {answer.body}"
            assert answer.status != 500, path
        openmetrics = {"Accept": "application/openmetrics-text;version=1.0.0"}
        outputs["/metrics, OpenMetrics"] = daemon.get("/metrics", headers=openmetrics).body
        protobuf = {
            "Accept": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
        }
        outputs["/metrics, protobuf"] = daemon.get("/metrics", headers=protobuf).body
        outputs["/api/v1/events"] = events(daemon)
        assert "data:" in outputs["/api/v1/events"]
        outputs["records"] = (tmp_path / "records.jsonl").read_text()
        assert outputs["records"].count("\n") > 100
        assert "probe_success 0" in outputs[f"{on_demand['error']}&module=keyed&debug=true"]
        assert "probe_success 1" in outputs[f"{on_demand['ok']}&module=keyed&debug=true"]
        details = json.dumps([daemon.get(f"/api/v1/targets/{name}").json() for name in names])
        for told in ("token endpoint http", "401 invalid_client: ", "refused: 501 Not Implemented", "<hidden>"):
            assert told in details, told
        transcripts = html.unescape("\n".join(outputs[f"/target?name={name}"] for name in names))
        assert [told for told in TOLD if told not in transcripts] == []
        assert "< 401" in outputs[f"{on_demand['error']}&module=keyed&debug=true"]

        broken = daemon.config_path.read_text().replace('"interval"', '"intervall"')
        daemon.write(broken)
        outputs["reload of a bad file"] = daemon.get("/-/reload", method="POST").body
        for told in ("cmdline", "comm"):
            outputs[told] = Path(f"/proc/{daemon.process.pid}/{told}").read_text()
        assert daemon.terminate() == 0
        outputs["stdout"], outputs["stderr"] = daemon.process.stdout, daemon.process.stderr
    shown = {where: found for where, text in outputs.items() if (found := leaks(text))}
    assert not shown, shown
    assert not [where for where, text in outputs.items() if any(line in text for line in key_lines)]
    assert "debug" in outputs["stderr"], "the log is not at debug level"
    authorization = [request.headers.get("proxy-authorization", "") for request in fake.requests]
    assert any("dXNlcjpzM2NyM3QtcHJveHkt" in value for value in authorization), "the proxy's password was not sent"


def test_no_planted_secret_in_what_check_says(tmp_path: Path) -> None:
    lines = [
        "targets:",
        f"  - {{url: 'http://user:{SECRETS['inline']}@127.0.0.1:1/'}}",
        f"  - {{name: b, url: 'http://127.0.0.1:1', auth: {{bearer: {SECRETS['file']}, header: {SECRETS['key']}}}}}",
        "  - name: c",
        "    url: http://127.0.0.1:1",
        "    protocol: http",
        f'    probes: {{health: {{headers: {{X-A: "{SECRETS["header"]}\\n", "X Y": "{SECRETS["env"]}"}}}}}}',
        f"    auth: {{basic: {{username: u, password: [{SECRETS['password']}]}}}}",
    ]
    path = tmp_path / "bad.yml"
    path.write_text("\n".join(lines))
    done = subprocess.run([*command(), "check", str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    for line in (2, 3, 7, 8):
        assert f"{path}:{line}:" in done.stdout + done.stderr
    assert not leaks(done.stdout + done.stderr), done.stdout + done.stderr


def test_no_planted_secret_in_what_the_commands_say(tmp_path: Path, fake: Fake, tokens: TokenServer) -> None:
    """What asks with credentials, what refuses them where they do not belong, and what only reads them."""
    token = tmp_path / "token"
    token.write_text(SECRETS["file"])
    token.chmod(0o600)
    (tmp_path / "golden.jsonl").write_text('{"id": 1, "input": {"inputs": [1]}, "expected": 1}\n')
    planted = config(fake.url, token, tokens.url)
    some = ("inline-", "basic-", "lost-")
    planted["targets"] = [target for target in planted["targets"] if target["name"].startswith(some)]
    golden = {"kind": "evaluate", "dataset": {"file": "golden.jsonl"}, "scorer": "accuracy", "timeout": "2s"}
    planted["targets"] += [
        {
            "name": protocol,
            "url": f"{fake.url}/error",
            "protocol": protocol,
            "model": "m",
            "labels": {"team": "eu" if protocol == "triton" else "no"},
            "auth": {"bearer": SECRETS["inline"]},
            "probes": probes,
        }
        for protocol, probes in (("mlflow", {"golden": golden}), ("triton", {"health": {}}))
    ]
    planted["environments"] = {"eu": {"select": {"team": "eu"}}}
    deployer = tmp_path / "deployer"
    deployer.write_text(SECRETS["access"])
    deployer.chmod(0o600)
    planted["deploy"] = {"auth": {"bearer": {"file": str(deployer)}}}
    path = tmp_path / "models.yml"
    path.write_text(json.dumps(planted))
    user = fake.url.replace("://", f"://user:{SECRETS['inline']}@")
    commands = {
        "wait": ["wait", "--config", str(path), "--timeout", "5s", "--consecutive", "1", "--json"],
        "evaluate": ["evaluate", "--config", str(path), "--target", "mlflow", "--json"],
        "deploy": ["deploy", "--config", str(path), "--model", "m", "--to", "eu", "--timeout", "5s"],
        "probe": ["probe", f"{fake.url}/error?key={SECRETS['param']}", "--protocol", "http", "--json"],
        "probe, for people": ["probe", f"{fake.url}/error?key={SECRETS['param']}", "--protocol", "http"],
        "probe, userinfo": ["probe", user],
        "init, userinfo": ["init", user],
        "follow, userinfo": ["follow", user],
        "run, userinfo": ["run", "--target", user],
        "check": ["check", str(path), "--cost"],
    }
    running = {
        name: subprocess.Popen(
            [*command(), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path
        )
        for name, arguments in commands.items()
    }
    shown: dict[str, list[str]] = {}
    for name, process in running.items():
        with process:
            said, _ = process.communicate(timeout=120)
        assert said, name
        assert "Traceback" not in said, f"{name}: {said}"
        if found := leaks(said):
            shown[name] = [*found, said[-2000:]]
    assert not shown, shown
    asked = "".join(value for request in fake.requests for value in request.headers.values())
    assert SECRETS["inline"] in asked
    assert SECRETS["access"] in asked, "deploy sent no credentials of its own"
