"""Runs the subjects under atheris, guided by what of the exporter each input reaches: `make fuzz`.

    python -m tests.fuzz.harness                   every subject for its share of FUZZ_SECONDS, and a table at the end
    python -m tests.fuzz.harness SUBJECT [FLAG]... one subject, with libFuzzer's flags

What was found interesting stays in .fuzz/SUBJECT and is where the next time begins; what broke a subject is in
.fuzz/SUBJECT.broken, to be run again with `python -m tests.fuzz.harness SUBJECT FILE`.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(".fuzz")
#: Of parts of a subject's time; most take one.
SHARES = {"answers": 4, "config": 3, "http": 2, "ndjson": 2, "sse": 2, "web_config": 2}


def one(name: str, flags: list[str]) -> None:
    """Fuzz a subject in this process; does not come back."""
    import atheris

    with atheris.instrument_imports(include=["exporter"]):
        from tests.fuzz.subjects import SUBJECTS

    subject, seeds = SUBJECTS[name]
    corpus = FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    files = [flag for flag in flags if not flag.startswith("-")]
    standing = [
        f"-artifact_prefix={FOLDER / name}.broken-",
        "-timeout=25",
        "-rss_limit_mb=3000",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *standing, *flags, *([] if files else [str(corpus)])], subject)
    atheris.Fuzz()


def every(seconds: int) -> int:
    """Fuzz all subjects, two at a time; prints a line for each. The number of those that broke."""
    from tests.fuzz.subjects import SUBJECTS

    share = 2 * seconds / sum(SHARES.get(name, 1) for name in SUBJECTS)
    waiting = sorted(SUBJECTS, key=lambda name: SHARES.get(name, 1), reverse=True)
    running: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}
    FOLDER.mkdir(exist_ok=True)
    broken, total = 0, 0
    print(f"{'subject':<12} {'executions':>11} {'per second':>11}  verdict", flush=True)
    while waiting or running:
        while waiting and len(running) < 2:
            name = waiting.pop(0)
            log = FOLDER / f"{name}.log"
            limit = max(5, int(share * SHARES.get(name, 1)))
            command = [sys.executable, "-m", "tests.fuzz.harness", name, f"-max_total_time={limit}", "-max_len=4096"]
            with log.open("wb") as out:
                running[name] = (subprocess.Popen(command, stdout=out, stderr=out), log)
        time.sleep(0.2)
        for name, (process, log) in list(running.items()):
            if process.poll() is None:
                continue
            del running[name]
            said = log.read_text(errors="replace")
            count = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
            rate = re.search(r"stat::average_exec_per_sec:\s*(\d+)", said)
            executions = int(count[1]) if count else 0
            total += executions
            well = process.returncode == 0
            broken += not well
            verdict = "holds" if well else f"BROKEN: see {log}"
            print(f"{name:<12} {executions:>11,} {rate[1] if rate else '':>11}  {verdict}", flush=True)
    print(f"{'all':<12} {total:>11,}")
    return broken


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(sys.argv[1], sys.argv[2:])
    sys.exit(1 if every(int(os.environ.get("FUZZ_SECONDS", "300"))) else 0)
