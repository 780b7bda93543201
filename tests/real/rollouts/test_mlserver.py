"""`deploy` brings a model to two real MLServers; all that is claimed of them is read from their repository's index."""

import json
import signal
import time

import pytest

from tests.real.conformance.spec import served_by
from tests.real.rollouts.two import Done, Two
from tests.support.process import Process
from tests.support.web import until

pytestmark = [pytest.mark.real, served_by("mlserver")]


def outcomes(done: Done) -> dict[str, str]:
    assert done.told is not None, done.stderr
    reports = done.told.get("environments") or done.told["rollback"]
    return {report["environment"]: report["outcome"] for report in reports}


def test_one_is_healthy_and_one_fails_to_load(two: Two) -> None:
    two.other.say("fail")
    done = two.deploy("--model", "iris", "--version", "7", "--to", "healthy,other")
    assert done.code == 1, done.stderr
    assert outcomes(done) == {"healthy": "good", "other": "failed"}
    failed = done.told["environments"][1]
    assert "HTTP 500: RuntimeError: cannot be loaded on purpose" in failed["detail"]
    assert (two.healthy.state, two.other.state) == ("READY", "UNAVAILABLE")
    assert done.told["id"] in done.stderr

    back = two.deploy("--rollback", done.told["id"])
    assert back.code == 0, back.stderr
    assert outcomes(back) == {"healthy": "done", "other": "nothing"}
    assert (two.healthy.state, two.other.state) == ("UNAVAILABLE", "UNAVAILABLE")

    again = two.deploy("--rollback", done.told["id"])
    assert again.code == 0
    assert outcomes(again) == {"healthy": "nothing", "other": "nothing"}


def test_the_second_wave_waits_for_the_first(two: Two) -> None:
    two.other.say("fail")
    done = two.deploy("--model", "iris", "--to", "other", "--to", "healthy")
    assert done.code == 1
    assert outcomes(done) == {"other": "failed", "healthy": "skipped"}
    assert (two.healthy.state, two.other.state) == ("UNAVAILABLE", "UNAVAILABLE")
    two.other.say("")
    done = two.deploy("--model", "iris", "--to", "other", "--to", "healthy")
    assert done.code == 0, done.stderr
    assert (two.healthy.state, two.other.state) == ("READY", "READY")


def test_a_canary_that_fails_after_a_good_load_is_no_success(two: Two) -> None:
    config = json.loads(two.config.read_text())
    config["targets"][0]["probes"]["infer"]["expect"]["outputs"][0]["data"] = [2]
    two.config.write_text(json.dumps(config))
    done = two.deploy("--model", "iris", "--to", "healthy", "--timeout", "10s")
    assert done.code == 1
    (report,) = done.told["environments"]
    assert two.healthy.state == "READY"
    assert report["blocking"][0]["reason"] == "expectation"
    assert "iris-healthy is unhealthy" in report["detail"]


def test_a_version_that_is_not_in_the_repository_touches_nothing(two: Two) -> None:
    done = two.deploy("--model", "iris", "--version", "8", "--to", "healthy,other")
    assert done.code == 2
    assert "cannot load version 8 of iris" in done.stderr
    assert "and that is 7" in done.stderr
    assert not two.state.exists()
    assert (two.healthy.state, two.other.state) == ("UNAVAILABLE", "UNAVAILABLE")


def test_what_was_loaded_before_cannot_be_taken_back_and_is_said_so(two: Two) -> None:
    assert two.deploy("--model", "iris", "--to", "healthy").code == 0
    two.healthy.put("8", two.made)
    done = two.deploy("--model", "iris", "--version", "8", "--to", "healthy")
    assert done.code == 0, done.stderr
    back = two.deploy("--rollback", done.told["id"])
    assert back.code == 1
    (told,) = back.told["rollback"]
    assert told["outcome"] == "stays"
    assert "was loaded before (7)" in told["detail"]
    assert "(now 8, 7)" in told["detail"] or "(now 7, 8)" in told["detail"]


@pytest.mark.parametrize("settles", [True, False])
def test_killed_half_way(two: Two, settles: bool) -> None:
    """The command dies while the second environment loads: its record says what there is to take back."""
    two.other.say("loading")
    arguments = two.arguments("--model", "iris", "--to", "healthy", "--to", "other")
    process = Process("killed", arguments, two.folder)
    try:
        until("the second environment to load", lambda: two.other.state == "UNKNOWN", within=60, log=process.tail)
        process.signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    finally:
        process.kill()
    assert two.healthy.state == "READY"
    lines = [json.loads(line) for line in two.state.read_text().splitlines()]
    assert [line["what"] for line in lines] == ["begin", "step", "outcome", "step"]
    if settles:
        two.other.say("")
        until("the load to go on without the command", lambda: two.other.state == "READY", within=30)
        began = time.perf_counter()
        back = two.deploy("--rollback", lines[0]["id"])
        assert time.perf_counter() - began < 60
        assert back.code == 0, back.stderr
        assert outcomes(back) == {"healthy": "done", "other": "done"}
        assert (two.healthy.state, two.other.state) == ("UNAVAILABLE", "UNAVAILABLE")
    else:
        back = two.deploy("--rollback", lines[0]["id"], "--timeout", "3s")
        assert back.code == 1
        assert outcomes(back) == {"healthy": "done", "other": "failed"}
        assert "iris is still loading" in back.told["rollback"][0]["detail"]
        two.other.say("")
        assert two.deploy("--rollback", lines[0]["id"]).code == 0
        assert (two.healthy.state, two.other.state) == ("UNAVAILABLE", "UNAVAILABLE")
