"""Lines a second that are cut from a log and read, and the memory that takes: python -m benchmarks.training

Each row is one log of 200,000 lines, half of which tell values, fed in pieces of 4 KiB; CPU seconds count. `peak` is
what Python allocated at most beside the log.
"""

import time
import tracemalloc

from exporter.ledger.training import TrainingRecord
from exporter.model.training import Rules
from exporter.training.lines import Lines
from exporter.training.parsers import Parser, parser

LINES = 200_000
PIECE = 4096
OTHER = "2026-11-25 12:30:01,123 INFO shards: downloading shard 17 of the data set from the bucket, 3.2 MB at once"
TELLING = {
    "huggingface": "{'loss': '2.037', 'grad_norm': '1.014', 'learning_rate': '0.007083', 'epoch': '1.5'}",
    "json": '{"step": 100, "epoch": 1.25, "loss": 0.5}',
    "keras": "8/8 - 0s - 10ms/step - accuracy: 0.5977 - loss: 0.6829",
    "lightgbm": "[7]\ttraining's auc: 0.931352\tvalid_1's auc: 0.941558",
    "lightning": "Epoch 2:  30%|███       | 3/10 [00:00<00:00, 85.36it/s, train_loss=0.00849]",
    "plain": "[job-123] Epoch 3/10 - loss: 0.1234",
    "xgboost": "[7]\ttrain-logloss:0.21624\tvalidation_0-auc:0.95008",
}
REGEX = r"Epoch (?P<epoch>\d+)/(?P<epochs>\d+) - loss: (?P<loss>\S+)"


def follow(log: bytes, parse: Parser | None) -> int:
    """Cut and read a whole log; how many lines told something."""
    lines, record, told = Lines(), TrainingRecord("job", Rules(), 0.0), 0
    for start in range(0, len(log), PIECE):
        for line in lines.feed(log[start : start + PIECE]):
            if parse is not None and (reading := parse(line)) is not None:
                record.take(reading, 0.0)
                told += 1
    return told


def measure(name: str, telling: str, parse: Parser | None) -> None:
    log = f"{telling}\n{OTHER}\n".encode() * (LINES // 2)
    began = time.process_time()
    told = follow(log, parse)
    spent = time.process_time() - began
    if parse is not None and told != LINES // 2:
        raise SystemExit(f"{name} read {told} lines of {LINES // 2}")
    part = log[: len(log) // 10]
    tracemalloc.start()
    follow(part, parse)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{name:12} {LINES / spent:>12,.0f} lines/s   peak {peak / 1024:>6.0f} KiB")


def main() -> None:
    measure("cutting only", TELLING["plain"], None)
    for preset, telling in TELLING.items():
        measure(preset, telling, parser(preset))
    measure("regex", TELLING["plain"], parser(regex=REGEX))


if __name__ == "__main__":
    main()
