"""Signatures: good by AWS's published examples, by botocore, and by a check of what arrived; keys from everywhere."""

import asyncio
import datetime
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exporter.model.endpoint import SigV4
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret
from exporter.transport import Transport, sigv4
from exporter.transport.credentials import Asked
from exporter.transport.sigv4 import Signers
from tests.support.aws import fault
from tests.transport.conftest import Open, Server, answer

pytestmark = pytest.mark.slow

#: Of AWS's documentation: they open nothing.
ACCESS, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
GIVEN = SigV4("us-east-1", "service", Secret("inline", ACCESS), Secret("inline", SECRET))
SECRETS = {ACCESS: SECRET, "AKIDOTHER": "other secret", "AKIDTHIRD": "third secret"}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys of the machine that runs the tests, and no look for an instance role."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    at = datetime.datetime(2015, 8, 30, 12, 36, tzinfo=datetime.UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: at)


@pytest.fixture(autouse=True)
def checking(server: Server) -> None:
    """The target lets in what is signed well."""

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wrong = fault(server.requests[-1], SECRETS)
        writer.write(answer(wrong.encode(), status="403 Forbidden") if wrong else answer())

    server.script = [look]


HOST = ("Host", "example.amazonaws.com")
#: Name in the published test suite -> request, and the signature it gives.
PUBLISHED: dict[str, tuple[Asked, str]] = {
    "get-vanilla": (
        Asked("GET", "https://example.amazonaws.com/", [HOST], None),
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-vanilla-query-order-key-case": (
        Asked("GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", [HOST], None),
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-unreserved": (
        Asked(
            "GET",
            "https://example.amazonaws.com/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            [HOST],
            None,
        ),
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "post-vanilla": (
        Asked("POST", "https://example.amazonaws.com/", [HOST], None),
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-x-www-form-urlencoded": (
        Asked(
            "POST",
            "https://example.amazonaws.com/",
            [("Content-Type", "application/x-www-form-urlencoded"), HOST],
            b"Param1=value1",
        ),
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}


@pytest.mark.parametrize("name", list(PUBLISHED))
async def test_published_examples(frozen: None, name: str) -> None:
    asked, signature = PUBLISHED[name]
    made = dict((await Signers().sign(GIVEN, asked)).headers)
    assert made["X-Amz-Date"] == "20150830T123600Z"
    signed = "content-type;host;x-amz-date" if asked.body else "host;x-amz-date"
    assert made["Authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={ACCESS}/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, "
        f"Signature={signature}"
    )


async def test_the_example_of_the_documentation(frozen: None) -> None:
    auth = SigV4("us-east-1", "iam", Secret("inline", "AKIDEXAMPLE"), Secret("inline", SECRET))
    asked = Asked(
        "GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"), ("Host", "iam.amazonaws.com")], None,
    )  # fmt: skip
    made = dict((await Signers().sign(auth, asked)).headers)
    assert made["Authorization"].endswith("=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")


async def test_as_botocore_signs_what_arrived(frozen: None, opened: Open, server: Server) -> None:
    """The request as it came over the wire, signed again by botocore from the beginning, has the same signature."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    path = "/endpoints/fraud%20model/invocations?b=2&a=%2F1"
    headers = (("Content-Type", "application/json"), ("X-Amzn-SageMaker-Target-Model", "a.tar.gz"))
    auth = SigV4("eu-central-1", "sagemaker", GIVEN.access_key_id, GIVEN.secret_access_key)
    assert (await opened(auth=auth).request("POST", path, headers=headers, body=b'{"x": 1}')).status == 200
    sent = {name: server.header(name) or "" for name in ("Host", "Content-Type", "X-Amzn-SageMaker-Target-Model")}
    request = AWSRequest("POST", f"http://127.0.0.1:{server.port}{path}", headers=sent, data=b'{"x": 1}')
    SigV4Auth(Credentials(ACCESS, SECRET), "sagemaker", "eu-central-1").add_auth(request)
    assert server.header("Authorization") == request.headers["Authorization"]
    assert server.header("X-Amz-Date") == "20150830T123600Z"


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("GET", "/", (), None),
        ("GET", "/v2/models/a%2Fb/ready?x=1&y=&z", (), None),
        ("GET", "/odd path/ü?q=ä b", (), None),
        ("HEAD", "/", (), None),
        ("POST", "/invocations", (("Content-Type", "application/json"),), b"{}"),
        ("POST", "/invocations", (("X-Odd", "a   b "), ("Accept", "application/json")), b""),
        ("PUT", "/", (), None),
        ("POST", "/invocations", (("Content-Type", "application/json"),), os.urandom(300_000)),
    ],
)
async def test_what_arrives_is_signed_well(
    opened: Open, server: Server, method: str, path: str, headers: Any, body: bytes | None
) -> None:
    operators = (("X-Tenant", Secret("inline", "blue")), ("Host", Secret("inline", "runtime.example")))
    for more in ({}, {"headers": operators}):
        asked = opened(auth=GIVEN, **more)
        assert (await asked.request(method, path, headers=headers, body=body)).status == 200, server.requests[-1]


async def test_the_session_token_goes_along(opened: Open, server: Server) -> None:
    auth = SigV4("us-east-1", access_key_id=GIVEN.access_key_id, secret_access_key=GIVEN.secret_access_key,
                 session_token=Secret("inline", "s3cr3t-session-7Q"))  # fmt: skip
    asked = opened(auth=auth)
    assert (await asked.request("GET", "/")).status == 200
    assert server.header("X-Amz-Security-Token") == "s3cr3t-session-7Q"
    signature = (server.header("Authorization") or "").rpartition("=")[2]
    told = f"{ACCESS} {SECRET} s3cr3t-session-7Q {server.header('Authorization')} {signature} {signature[:12]}"
    assert asked.redact(told) == " ".join(["<hidden>"] * 6)


async def test_every_request_has_a_signature_of_its_own_and_the_connection_is_kept(
    opened: Open, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [datetime.datetime(2015, 8, 30, 12, 36, tzinfo=datetime.UTC)]
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: now[0])
    for _ in range(3):
        asked = opened(auth=GIVEN, keep_alive=True, keep=("t", "p"))
        assert (await asked.request("GET", "/")).status == 200
        await asked.close()
        now[0] += datetime.timedelta(seconds=15)
    assert server.connections == 1
    assert len({server.header("Authorization", number) for number in range(3)}) == 3


async def test_rotated_keys(opened: Open, server: Server, tmp_path: Path) -> None:
    access, secret = tmp_path / "access", tmp_path / "secret"
    access.write_text(ACCESS)
    secret.write_text(SECRET)
    auth = SigV4("r", access_key_id=Secret("file", str(access)), secret_access_key=Secret("file", str(secret)))
    for number in range(4):
        if number == 2:
            access.write_text("AKIDOTHER")
            secret.write_text("other secret")
        asked = opened(auth=auth, keep_alive=True, keep=("t", "p"))
        assert (await asked.request("GET", "/")).status == 200
        await asked.close()
    assert server.connections == 2


# The chain that AWS tools share

CHAIN = SigV4("eu-central-1")


def write(path: Path, **profiles: tuple[str, str]) -> None:
    path.write_text(
        "".join(
            f"[{name}]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"
            for name, (access, secret) in profiles.items()
        )
    )


async def test_keys_of_the_environment(opened: Open, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert (await opened(auth=CHAIN).request("GET", "/")).status == 200
    assert "/eu-central-1/sagemaker/aws4_request" in (server.header("Authorization") or "")


async def test_shared_files_are_followed(opened: Open, server: Server, tmp_path: Path) -> None:
    write(tmp_path / "credentials", default=(ACCESS, SECRET), models=("AKIDOTHER", "other secret"))
    used = []
    for number in range(3):
        if number == 2:
            write(tmp_path / "credentials", default=("AKIDTHIRD", "third secret"), models=(ACCESS, SECRET))
        for auth in (CHAIN, SigV4("eu-central-1", profile="models")):
            assert (await opened(auth=auth).request("GET", "/")).status == 200
            used.append((server.header("Authorization") or "").partition("Credential=")[2].partition("/")[0])
    assert used == [ACCESS, "AKIDOTHER", ACCESS, "AKIDOTHER", "AKIDTHIRD", ACCESS]


async def test_no_keys_anywhere(opened: Open, server: Server) -> None:
    for auth, told in (
        (CHAIN, "AWS credentials: none found (environment, files, web identity, container, role)"),
        (SigV4("r", profile="gone"), "AWS credentials: The config profile (gone) could not be found"),
    ):
        with pytest.raises(Failure) as caught:
            await opened(auth=auth).request("GET", "/")
        assert (caught.value.reason, caught.value.detail) == (Reason.AUTH, told)
    assert server.connections == 0


class Container:
    """The credentials endpoint of a container, as ECS and EKS have one."""

    def __init__(self) -> None:
        self.keys = (ACCESS, SECRET)
        self.life = 3600.0
        self.asked = 0
        self.down = False

    async def get(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.down:
            return web.Response(status=500)
        ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.life)
        return web.json_response(
            {
                "AccessKeyId": self.keys[0], "SecretAccessKey": self.keys[1], "Token": "session",
                "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )  # fmt: skip


@pytest.fixture
async def container(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Container]:
    made = Container()
    application = web.Application()
    application.router.add_get("/keys", made.get)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{port}/keys")
    yield made
    await runner.cleanup()


@pytest.mark.parametrize(("life", "asked"), [(3600.0, 0), (600.0, 1)])
async def test_keys_of_a_container_are_kept_and_refreshed(
    opened: Open, server: Server, container: Container, monkeypatch: pytest.MonkeyPatch, life: float, asked: int
) -> None:
    """Those that are good for long stay; those that end within minutes are replaced, in the background."""
    now = 1000.0
    for module in ("lease", "sigv4"):
        monkeypatch.setattr(f"exporter.transport.{module}.perf_counter", lambda: now)
    container.life = life
    await asyncio.gather(*(opened(auth=CHAIN).request("GET", "/") for _ in range(5)))
    before = container.asked
    assert server.header("X-Amz-Security-Token") == "session"
    container.keys = ("AKIDOTHER", "other secret")
    now += 120
    assert (await opened(auth=CHAIN).request("GET", "/")).status == 200
    assert ACCESS in (server.header("Authorization") or "")
    while fetching := [task for task in asyncio.all_tasks() if "Lease" in repr(task.get_coro())]:
        await asyncio.wait(fetching)
    assert container.asked - before == asked
    assert (await opened(auth=CHAIN).request("GET", "/")).status == 200
    assert ("AKIDOTHER" in (server.header("Authorization") or "")) is (asked == 1)


async def test_keys_outlive_their_source(
    opened: Open, server: Server, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    for module in ("lease", "sigv4"):
        monkeypatch.setattr(f"exporter.transport.{module}.perf_counter", lambda: now)
    container.life = 300.0
    assert (await opened(auth=CHAIN).request("GET", "/")).status == 200
    container.down = True
    now += 120
    for _ in range(3):
        assert (await opened(auth=CHAIN).request("GET", "/")).status == 200
    now += 400
    with pytest.raises(Failure) as caught:
        await opened(auth=CHAIN).request("GET", "/")
    assert (caught.value.reason, caught.value.detail) == (Reason.AUTH, "AWS credentials: container-role gave none")


async def test_keys_that_were_withdrawn_fail_no_run(opened: Open, server: Server, container: Container) -> None:
    assert (await opened(auth=CHAIN).request("GET", "/")).status == 200
    withdrawn = SECRETS.pop(ACCESS)
    try:
        container.keys = ("AKIDOTHER", "other secret")
        asked = opened(auth=CHAIN)
        assert (await asked.request("POST", "/", body=b"{}")).status == 200
        assert asked.measured().http_status == 200
        assert container.asked == 2
    finally:
        SECRETS[ACCESS] = withdrawn


async def test_a_target_that_refuses_every_signature_costs_few(
    opened: Open, server: Server, container: Container
) -> None:
    server.script = [answer(status="403 Forbidden")]
    for _ in range(5):
        assert (await opened(auth=CHAIN).request("GET", "/")).status == 403
    assert container.asked == 2
    assert len(server.requests) == 5  # the same keys again: nothing to try


async def test_keys_that_do_not_come_keep_the_deadline_and_the_loop(
    transport: Transport, opened: Open, server: Server, tmp_path: Path
) -> None:
    """A program that gives keys may hang for as long as it likes: no thread that anybody waits for is held by it."""
    program = tmp_path / "hang.py"
    program.write_text("import time; time.sleep(20)")
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    for _ in range(5):  # a machine that stands still lets nothing tick
        began, ticks = time.perf_counter(), 0
        with pytest.raises(Failure) as caught:
            await opened(auth=CHAIN, timeout=0.5).request("GET", "/")
        assert time.perf_counter() - began < 5
        if ticks > 5:
            break
    ticking.cancel()
    assert (caught.value.reason, caught.value.detail) == (Reason.AUTH, "AWS credentials: none in time")
    assert ticks > 5
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "aws credentials")
    searching = [task for task in asyncio.all_tasks() if "Lease" in repr(task.get_coro())]
    await transport.close()
    await asyncio.wait(searching, timeout=10)
    assert [task.cancelled() for task in searching] == [True]


async def test_what_a_program_says_is_not_repeated(opened: Open, tmp_path: Path) -> None:
    program = tmp_path / "fail.py"
    program.write_text("import sys; sys.exit('s3cr3t in a traceback')")
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    with pytest.raises(Failure) as caught:
        await opened(auth=CHAIN).request("GET", "/")
    assert (caught.value.reason, caught.value.detail) == (Reason.AUTH, "AWS credentials: custom-process gave none")


async def test_large_bodies_are_hashed_off_the_loop(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    made = sigv4._signer()

    def signed(*arguments: Any) -> Any:
        threads.append(threading.get_ident())
        return made(*arguments)

    monkeypatch.setattr(sigv4, "_signer", lambda: signed)
    for size in (100, sigv4.LARGE + 1):
        assert (await opened(auth=GIVEN).request("POST", "/", body=b"x" * size)).status == 200
    assert [thread == threading.get_ident() for thread in threads] == [True, False]


async def test_without_the_extra(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "botocore"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(Failure) as caught:
        await opened(auth=GIVEN).request("GET", "/")
    assert caught.value.reason is Reason.AUTH
    assert caught.value.detail == "sigv4 needs an extra that is not installed: pip install 'model-exporter[aws]'"


def test_a_changed_signature_is_noticed() -> None:
    """The check itself is one: it finds a byte that changed on the way."""
    raw = b"GET / HTTP/1.1\r\nHost: example.amazonaws.com\r\nX-Amz-Date: 20150830T123600Z\r\nAuthorization: "
    raw += (
        f"AWS4-HMAC-SHA256 Credential={ACCESS}/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={PUBLISHED['get-vanilla'][1]}\r\n\r\n"
    ).encode()
    assert fault(raw, SECRETS) == ""
    assert fault(raw.replace(b"GET / ", b"GET /a "), SECRETS).startswith("signature")
    assert fault(raw + b"x", SECRETS).startswith("signature")
    assert json.dumps(fault(raw, {})).startswith('"signature')
