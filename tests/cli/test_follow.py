"""`follow`: what it shows, how it exits, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.cli import follow
from exporter.cli.follow_view import View, document, good
from exporter.cli.sheet import Plain, Table
from exporter.ledger.training import TrainingRecord
from exporter.model.training import Divergence, Outcome, Reading, Rules
from exporter.training.follow import Job
from exporter.training.presets import PRESETS
from exporter.training.sources.http import Http
from exporter.training.sources.kubernetes import Kubernetes
from exporter.training.sources.mlflow import Mlflow
from tests.cli.conftest import Invoke
from tests.cli.test_terminal_run import lines, on_terminal
from tests.support.daemon import command

pytestmark = pytest.mark.slow

TRAINER = """
import sys, time
for epoch in range(1, 4):
    print(f"[job-1] Epoch {epoch}/3 - loss: {1 / epoch:.4f}", flush=True)
    time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_SETTLE", 0.2)
    monkeypatch.setattr(follow, "_LOOK", 0.02)


def test_a_command(invoke: Invoke) -> None:
    told = invoke(["follow", "--", sys.executable, "-c", TRAINER])
    assert told.exit_code == 0
    assert told.stdout.splitlines()[-2] == "100%  epoch 3  loss 0.3333"
    assert told.stdout.splitlines()[-1].startswith("good: finished; 3 lines in ")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("sys.exit(3)", "not good: failed; "),
        ("import os; os.kill(os.getpid(), 9)", "not good: killed; "),
        ("print('loss: nan')", "not good: finished; not finite: loss; "),
        ("for _ in range(10): print('loss: 5.0')", "not good: finished; diverged; "),
    ],
)
def test_what_is_not_good(invoke: Invoke, more: str, said: str) -> None:
    told = invoke(["follow", "--diverged", "loss", "--", sys.executable, "-c", TRAINER + more])
    assert told.exit_code == 1
    assert told.stdout.splitlines()[-1].startswith(said)


def test_a_command_with_options_of_its_own(invoke: Invoke) -> None:
    told = invoke(["follow", "--json", "--", sys.executable, "-c", "import sys; print(sys.argv)", "--json", "--help"])
    assert json.loads(told.stdout)["lines"] == 1


def test_an_exit_status_is_the_last_word(invoke: Invoke) -> None:
    """A traceback that was caught, and a good end that was none."""
    caught = "import traceback\ntry: 1/0\nexcept ZeroDivisionError: traceback.print_exc()\n"
    assert invoke(["follow", "--", sys.executable, "-c", caught]).exit_code == 0
    text = "import sys; print('Training complete'); sys.exit(1)"
    assert invoke(["follow", "--", sys.executable, "-c", text]).exit_code == 1


@pytest.mark.slow
def test_standard_input(tmp_path: Path) -> None:
    told = subprocess.run(
        [*command(), "follow", "-", "--json"], input="loss: 0.5\nloss: 0.25", text=True, capture_output=True, timeout=60
    )
    assert told.returncode == 0
    assert told.stderr == ""
    assert json.loads(told.stdout) == {
        "source": "standard input", "good": True, "outcome": None, "progress": None, "epoch": None, "step": None,
        "values": {"loss": 0.25}, "diverged": None, "nonfinite": 0, "lines": 2, "skipped_lines": 0, "reconnects": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("last", "code"), [("{'train_runtime': 1.5, 'epoch': 1.0}", 0), ("Traceback (most recent call last):", 1)]
)
def test_a_file_until_its_job_has_ended(invoke: Invoke, tmp_path: Path, last: str, code: int) -> None:
    log = tmp_path / "train.log"
    log.write_text(f"{{'loss': 0.5, 'epoch': 1.0}}\n{last}\n")
    told = invoke(["follow", log, "--preset", "huggingface"])
    assert told.exit_code == code, told.output


@pytest.mark.slow
def test_ctrl_c(tmp_path: Path) -> None:
    """It ends the following of a file; a command hears it itself, and says what it makes of it."""
    log = tmp_path / "train.log"
    log.write_text("loss: 0.5\n")
    ends = "import time\ntry:\n print('loss: 1.0', flush=True)\n time.sleep(60)\nexcept KeyboardInterrupt: pass"
    for what, code in ((["train.log"], 130), (["--", sys.executable, "-c", ends], 0)):
        process = subprocess.Popen(
            [*command(), "follow", *what], cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stdout is not None
        assert "loss" in process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        with process.stdout:
            rest = process.stdout.read()
        assert process.wait(30) == code, rest
        assert rest.splitlines()[-1].startswith("good: ")


WRONG: list[tuple[list[str], str]] = [
    ([], "Give a SOURCE, or a command after --; one of them."),
    (["train.log", "--", "python"], "Give a SOURCE, or a command after --; one of them."),
    (["--"], "Give a SOURCE, or a command after --; one of them."),
    (["--", "/nope/nowhere"], "Cannot run /nope/nowhere: No such file or directory."),
    (["ftp://h/log"], "'ftp://h/log' is no SOURCE; allowed: a file"),
    (["mlflow://h:5000"], "'mlflow://h:5000' is no SOURCE"),
    (["http://"], "url: the url has no host"),
    (["-", "--preset", "hugingface"], "preset: found 'hugingface'; did you mean huggingface?"),
    (["-", "--regex", "loss"], "regex: 'loss' has no named group"),
    (["-", "--regex", "(?P<loss>x)", "--preset", "plain"], "regex: in conflict with preset; needs one of them"),
    (["mlflow://h/abc", "--preset", "plain"], "preset: a tracking server has no lines; leave it out"),
    (["-", "--stall-after", "5"], "'5' is not a duration"),
]


@pytest.mark.parametrize(("args", "message"), WRONG, ids=[" ".join(args) for args, _ in WRONG])
def test_what_is_refused(invoke: Invoke, args: list[str], message: str) -> None:
    told = invoke(["follow", *args])
    assert told.exit_code == 2
    assert message in told.stderr


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("http://h:1/log?key=s3cr3t", "http://h:1/log"),
        ("mlflow://h:5000/abc", "http://h:5000 run abc"),
        ("mlflow+https://h/base/path/abc", "https://h/base/path run abc"),
        ("kubernetes://jobs/train-0", "pod jobs/train-0"),
        ("kubernetes://jobs/train-0/main", "pod jobs/train-0"),
        ("logs/train.log", "logs/train.log"),
    ],
)
def test_sources(source: str, shown: str) -> None:
    job = follow._job({"job": "follow"}, source, (), 60.0)
    assert isinstance(job, Job)
    assert job.source.shown == shown
    assert job.rules.stall_after == 60.0
    kinds = {"http": Http, "mlfl": Mlflow, "kube": Kubernetes}
    if kind := kinds.get(source[:4]):
        assert isinstance(job.source, kind)


class Screen:
    """A live part that is looked at."""

    def __init__(self) -> None:
        self.title = ""
        self.table = Table((), ())

    def update(self, title: str, table: Table) -> None:
        self.title, self.table = title, table

    def text(self, text: str) -> None:
        raise AssertionError


def test_the_live_view(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Iterator[float] = iter(range(100))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    record = TrainingRecord("a", Rules(stall_after=1.0, divergence=Divergence(values=1)), 0.0)
    screen = Screen()
    view = View(record, "train\x1b[31m.log", Plain(sys.stdout), screen, every=1.0)
    for number in (4.0, 2.0, float("nan"), 3.0, 5.0):
        reading = Reading(step=7, epoch=1.5, progress=0.5, values=(("loss", number),))
        record.take(reading, 5.0)
        record.lines(10)
        view.note(reading, 5.0)
        view.draw("")
    view.draw("connect_refused: ECONNREFUSED")
    first, second = screen.title.splitlines()
    assert first == f"train [31m.log  {'█' * 15}{'░' * 15}  50%  epoch 1.5  step 7"
    assert second == "6 s, 8 lines/s, 1 not finite, stalled, diverged, waiting: connect_refused: ECONNREFUSED"
    assert list(screen.table.rows) == [("loss", "5", "2", "5", "▆▁!▃█")]


def test_lines_come_no_faster_than_they_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    record = TrainingRecord("a", Rules(), 0.0)
    view = View(record, "train.log", Plain(sys.stdout), None, every=1000.0)
    for step in range(50):
        record.take(Reading(step=step, values=(("loss", 0.5),)), 5.0)
        view.draw("")
    assert capsys.readouterr().out == "step 0  loss 0.5\n"
    for trouble in ("No such file or directory", "No such file or directory", "", ""):
        view.draw(trouble)
    assert capsys.readouterr().out == "waiting: No such file or directory\n"
    record.skipped(2)
    view.end(good=True)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "step 49  loss 0.5"
    assert told[1].startswith("good: no end was told; 0 lines in ")
    assert told[1].endswith("; 2 skipped")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_json_has_no_numbers_that_are_not_finite(value: float) -> None:
    record = TrainingRecord("a", Rules(), 0.0)
    record.take(Reading(values=(("loss", value),)), 5.0)
    told: dict[str, Any] = document(record, "x")
    assert float(json.loads(json.dumps(told, allow_nan=False))["values"]["loss"]) == pytest.approx(value, nan_ok=True)
    assert not good(record)
    record.take(Reading(values=(("loss", 0.5),)), 5.0)
    assert good(record)
    record.finished(Outcome.KILLED)
    assert not good(record)


@pytest.mark.slow
async def test_on_a_terminal() -> None:
    code, drawn = await on_terminal("follow", "--", sys.executable, "-c", TRAINER)
    assert code == 0
    told = lines(drawn)
    assert any("█" * 30 in line and "100%  epoch 3" in line for line in told)
    assert any(line.split()[:2] == ["loss", "0.3333"] for line in told)
    assert told[-2].startswith("good: finished; 3 lines in ")


def test_the_help_names_every_preset(invoke: Any) -> None:
    told = invoke(["follow", "--help"]).output
    assert [name for name in PRESETS if name not in told] == []
