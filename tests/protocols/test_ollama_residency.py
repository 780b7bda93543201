import json
from datetime import UTC, datetime, timedelta

import pytest

from exporter.model.failure import Asleep, Failure, Reason
from exporter.model.job import Kind
from exporter.protocols import ollama_residency
from tests.protocols.ollama_server import GENERATE, after, loaded, ps, said, sent, server
from tests.protocols.scripted import build


@pytest.mark.parametrize("kind", ["infer", "stream"])
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ps(), "tiny is not loaded"),
        (ps(loaded(model="other:latest")), "tiny is not loaded"),
        ((200, '{"models":null}'), "tiny is not loaded"),
        (ps(loaded(left=1.5)), "tiny is about to be unloaded"),
        (ps(loaded(left=-3)), "tiny is about to be unloaded"),
        ((404, "404 page not found"), "may not be loaded"),
        ((403, "blocked"), "may not be loaded"),
        ((200, "{}"), "may not be loaded"),
        ((200, "<html>"), "may not be loaded"),
    ],
)
async def test_a_canary_wakes_nobody(kind, answer, told):
    fake = server(**{"GET /api/ps": answer})
    with pytest.raises(Asleep) as raised:
        await getattr(build("ollama", Kind(kind), model="tiny"), kind)(fake)
    assert told in raised.value.detail
    assert fake.asked == ["GET /api/ps"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Failure(Reason.CONNECT_REFUSED), Reason.CONNECT_REFUSED),
        (Failure(Reason.TIMEOUT), Reason.TIMEOUT),
        ((500, ""), Reason.HTTP_STATUS),
        ((401, ""), Reason.AUTH),
        ((429, ""), Reason.RATE_LIMITED),
    ],
)
async def test_a_server_that_is_unwell_is_not_asleep(ask, answer, reason):
    found = await ask("ollama", "infer", server(**{"GET /api/ps": answer}), model="tiny")
    assert found.failure.reason is reason


async def test_wake_sends_nothing_that_pins(ask):
    for answer in (ps(), ps(loaded(left=1)), (404, "")):
        fake = server(**{"GET /api/ps": answer})
        assert (await ask("ollama", "infer", fake, model="tiny", wake=True)).failure is None
        assert "keep_alive" not in sent(fake)


@pytest.mark.parametrize(
    ("left", "keep_alive"),
    [
        (300, "299000ms"),  # the server's clock may be almost a second ahead of its Date
        (3.5, "2500ms"),
        (86400 * 300, "25919999000ms"),
        (86400 * 365 * 100, -1),  # held for ever
    ],
)
async def test_a_loaded_model_goes_when_it_would_have_gone(ask, left, keep_alive):
    fake = server(loaded(left=left))
    assert (await ask("ollama", "infer", fake, model="tiny")).failure is None
    assert sent(fake)["keep_alive"] == keep_alive


@pytest.mark.parametrize("expires_at", [after(-60), "0001-01-01T00:00:00Z", "", "soon", None])
async def test_a_model_in_use_keeps_the_time_its_user_asked_for(ask, expires_at):
    fake = server(loaded(expires_at=expires_at))
    assert (await ask("ollama", "infer", fake, model="tiny")).failure is None
    assert "keep_alive" not in sent(fake)


async def test_time_zones_and_a_server_without_date(ask):
    east = loaded(expires_at=after(300 + 3600, zone="+01:00"))
    fake = server(east)
    await ask("ollama", "infer", fake, model="tiny")
    assert sent(fake)["keep_alive"] == "299000ms"
    soon = (datetime.now(UTC) + timedelta(seconds=100)).isoformat()
    fake = server(**{"GET /api/ps": (200, json.dumps({"models": [loaded(expires_at=soon)]}))})
    await ask("ollama", "infer", fake, model="tiny")
    assert 90_000 < int(sent(fake)["keep_alive"].removesuffix("ms")) <= 100_000


async def test_what_the_last_canary_took_is_taken_off(ask):
    def slow(body):
        fake.clock += 20
        return said()

    fake = server(loaded(left=100), **{GENERATE: slow})
    for left in ("99000ms", "79000ms"):
        assert (await ask("ollama", "infer", fake, model="tiny")).failure is None
        assert sent(fake)["keep_alive"] == left
    fake.answers["GET /api/ps"] = ps(loaded(left=21))
    with pytest.raises(Asleep):
        await build("ollama", Kind.INFER, model="tiny").infer(fake)


@pytest.mark.parametrize(
    ("context", "num_ctx"),
    [
        (4096, 4096),  # someone asked for it, or it is the default
        (8192, None),  # as much as it was made for: asked for that, or for more
        (None, None),
        (0, None),
    ],
)
async def test_a_model_is_not_loaded_anew_for_us(ask, context, num_ctx):
    fake = server(loaded(context_length=context))
    assert (await ask("ollama", "infer", fake, model="tiny")).failure is None
    assert sent(fake)["options"].get("num_ctx") == num_ctx


async def test_what_a_model_was_made_for_is_asked_once(ask):
    fake = server(loaded())
    for _ in range(2):
        await ask("ollama", "infer", fake, model="tiny")
    assert fake.asked.count("POST /api/show") == 1
    fake.answers["GET /api/ps"] = ps(loaded(digest="new"))
    await ask("ollama", "infer", fake, model="tiny")
    assert fake.asked.count("POST /api/show") == 2


async def test_without_show_num_ctx_is_left_to_the_server(ask):
    fake = server(loaded(), **{"POST /api/show": (403, "")})
    assert (await ask("ollama", "infer", fake, model="tiny")).failure is None
    assert "num_ctx" not in sent(fake)["options"]
    hanging = server(loaded(), **{"POST /api/show": Failure(Reason.TIMEOUT)})
    assert (await ask("ollama", "infer", hanging, model="tiny")).failure.reason is Reason.TIMEOUT


def test_names():
    assert ollama_residency.canonical("hf.co/org/Model-GGUF:Q4_K_M") == "hf.co/org/model-gguf:q4_k_m"
    assert ollama_residency.canonical("localhost:5000/x/y") == "localhost:5000/x/y:latest"
