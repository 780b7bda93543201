"""Lines as trainers print them. Whole real logs: tests/real/trainers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.training import Outcome, Reading
from exporter.training.parsers import PRESETS, parser


def read(preset: str, *lines: str) -> list[Reading | None]:
    parse = parser(preset)
    return [parse(line) for line in lines]


def one(preset: str, line: str) -> Reading | None:
    return parser(preset)(line)


def values(**found: float) -> tuple[tuple[str, float], ...]:
    return tuple(found.items())


FINISHED = Reading(outcome=Outcome.FINISHED)
BAR = "  8%|▊         | 2/24 [00:00<00:01, 16.90it/s]"

ONE_LINE = [
    # Hugging Face: version 5 writes numbers as text, version 4 as numbers.
    ("huggingface", "{'loss': '2.509', 'grad_norm': '1.068', 'learning_rate': '0.00875', 'epoch': '0.5'}",
        Reading(epoch=0.5, values=values(loss=2.509, grad_norm=1.068, learning_rate=0.00875))),
    ("huggingface", "[rank0] {'loss': nan, 'learning_rate': 5e-05, 'epoch': 1}",
        Reading(epoch=1, values=values(loss=math.nan, learning_rate=5e-05))),
    ("huggingface", "{'train_runtime': '1.133', 'train_loss': '1.687', 'epoch': '3'}",
        Reading(epoch=3, values=values(train_runtime=1.133, train_loss=1.687), outcome=Outcome.FINISHED)),
    ("huggingface", "{'eval_loss': 1.8, 'eval_report': {'f1': 0.5}, 'note': 'loss', 'epoch': 2.0}",
        Reading(epoch=2, values=(("eval_loss", 1.8), ("f1", 0.5)))),
    ("huggingface", "arguments: {'learning_rate': 0.1, 'eval_steps': 100}", None),
    ("huggingface", "{'loss': 0.1, 'epoch': nan}", None),
    ("huggingface", BAR, Reading(step=2, progress=2 / 24)),
    ("huggingface", "2026-01-01T00:00:00Z stderr F" + BAR, Reading(step=2, progress=2 / 24)),
    ("huggingface", BAR + "{'loss': '0.7', 'epoch': '0.1'}",
        Reading(step=2, epoch=0.1, progress=2 / 24, values=values(loss=0.7))),
    ("huggingface", "Map: 100%|██████████| 32/32 [00:00<00:00, 500 examples/s]", None),
    ("huggingface", "Loading weights:  50%|█████     | 3/6 [00:00<00:00, 500it/s]", None),
    # Lightning.
    ("lightning", "Epoch 2:  30%|███       | 3/10 [00:00<00:00, 85.36it/s, v_num=4, train_loss=0.0085, val/acc=nan]",
        Reading(step=23, epoch=2, values=(("train_loss", 0.0085), ("val/acc", math.nan)))),
    ("lightning", "Epoch 1: |          | 7/? [00:00<?, 3.00it/s, loss=1e-5]",
        Reading(epoch=1, values=values(loss=1e-5))),
    ("lightning", "`Trainer.fit` stopped: `max_epochs=3` reached.", FINISHED),
    ("lightning", "Epoch 2: 100%|██████████| 10/10 [00:00<00:00, 85.12it/s, loss=0.5]`Trainer.fit` stopped",
        Reading(step=30, epoch=2, values=values(loss=0.5), outcome=Outcome.FINISHED)),
    ("lightning", "Epoch 1/2  ━━━━━━╸━━━━━━ 5/10 0:00:01 • 0:00:01 66.74it/s v_num: 0.000 train_loss: 0.008 acc: 0.9",
        Reading(step=15, epoch=1, progress=0.5, values=values(train_loss=0.008, acc=0.9))),
    ("lightning", "Epoch 4/-2 ━━━━━ 5/-- 0:00:01 • -:--:-- 66.74it/s loss: 0.1",
        Reading(epoch=4, values=values(loss=0.1))),
    ("lightning", "Epoch 0:   0%|          | 0/10 [00:00<?, ?it/s, loss=0.5]",
        Reading(epoch=0, values=values(loss=0.5))),
    ("lightning", "Validation DataLoader 0: 100%|██████████| 5/5 [00:00<00:00, 273.23it/s]", None),
    ("lightning", "Sanity Checking: |          | 0/? [00:00<?, ?it/s]", None),
    # Keras, without the line that tells the epoch.
    ("keras", "8/8 - 0s - 10ms/step - accuracy: 0.5977 - loss: 6.8290e-04",
        Reading(values=values(accuracy=0.5977, loss=6.829e-4))),
    ("keras", "8/8 [==============================] - 0s 2ms/step - loss: nan - val_loss: 0.7",
        Reading(values=values(loss=math.nan, val_loss=0.7))),
    ("keras", "5/8 [=================>............] - ETA: 0s - loss: 0.68", Reading(values=values(loss=0.68))),
    ("keras", "     32/Unknown \x20 0s 2ms/step - loss: 0.5", Reading(values=values(loss=0.5))),
    ("keras", "8/8 ━━━━━━━━━━━━━━━━━━━━ 0s 2ms/step", None),
    ("keras", "2026/11/25 - loss: 0.5", None),
    # XGBoost.
    ("xgboost", "[7]\ttrain-logloss:0.21624\tvalidation_0-auc:0.95008",
        Reading(step=7, values=(("train-logloss", 0.21624), ("validation_0-auc", 0.95008)))),
    ("xgboost", "[job-123] [12:30:01] [0]\teval-ndcg@5-:1e-05", Reading(step=0, values=(("eval-ndcg@5-", 1e-05),))),
    ("xgboost", "[3]\ttrain-rmse:0.53+0.01\ttest-rmse:-inf+nan",
        Reading(step=3, values=(("train-rmse", 0.53), ("test-rmse", -math.inf)))),
    ("xgboost", "[12:30:01] WARNING: src/learner.cc:767: Parameters: { 'x' } are not used.", None),
    # LightGBM.
    ("lightgbm", "[7]\ttraining's binary_logloss: 0.46\tvalid_1's auc: 0.9415",
        Reading(step=7, values=(("training-binary_logloss", 0.46), ("valid_1-auc", 0.9415)))),
    ("lightgbm", "[20]\tcv_agg's valid l2: 0.5 + 0.01", Reading(step=20, values=(("cv_agg-valid l2", 0.5),))),
    ("lightgbm", "[20]\tcv_agg's l2: 0.5 + 0.01", Reading(step=20, values=(("cv_agg-l2", 0.5),))),
    ("lightgbm", "[LightGBM] [Info] Iteration:9, valid_1 binary_logloss : 0.68",
        Reading(step=9, values=(("valid_1-binary_logloss", 0.68),))),
    ("lightgbm", "[LightGBM] [Info] Finished training", FINISHED),
    ("lightgbm", "[LightGBM] [Info] 0.003 seconds elapsed, finished iteration 9", None),
    # JSON.
    ("json", '{"step": 100, "loss": 0.5, "epoch": 1.25}', Reading(step=100, epoch=1.25, values=values(loss=0.5))),
    ("json", '2026-01-01 INFO {"global_step": 7, "train": {"loss": NaN, "deep": {"er": 1}}, "progress": 42}',
        Reading(step=7, progress=0.42, values=(("train.loss", math.nan), ("train.deep.er", 1.0)))),
    ("json", '{"ts": 1764000000.5, "level": "info", "msg": "alive", "pid": 7}', None),
    ("json", '{"ok": true, "note": "loss: 3", "names": [1, 2]}', None),
    ("json", '{"progress": 0.5}', Reading(progress=0.5)),
    ("json", '{"step": NaN, "loss": 1}', Reading(values=values(loss=1))),
    ("json", '{"loss": ' + "9" * 400 + "}", Reading(values=values(loss=math.inf))),
    ("json", '{"loss": ' + "9" * 5000 + "}", None),
    ("json", '{"a":' * 3000, None),
    ("json", '{"loss": 0.5', None),
    ("json", "{'loss': 0.5}", None),
    # Plain.
    ("plain", "[job-123] Epoch 3/10 - loss: 0.1234", Reading(epoch=3, progress=0.3, values=values(loss=0.1234))),
    ("plain", "Epoch [3/10], Step [100/500], Loss: 0.1234, Acc: 95.2%",
        Reading(step=100, epoch=3, progress=0.22, values=values(loss=0.1234, acc=95.2))),
    ("plain", "Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.300000", Reading(epoch=1, values=values(loss=2.3))),
    ("plain", "step 250: train loss 2.1038, val loss 2.3",
        Reading(step=250, values=values(train_loss=2.1038, val_loss=2.3))),
    ("plain", "iter 100: loss 2.5, time 123.45ms, mfu -100.00%", Reading(step=100, values=values(loss=2.5))),
    ("plain", "epoch=2 val_loss=nan lr=1e-4", Reading(epoch=2, values=values(val_loss=math.nan, lr=1e-4))),
    ("plain", "Epoch 2 of 4: Val Loss: -0.5 | Learning Rate: 0.001",
        Reading(epoch=2, progress=0.5, values=values(val_loss=-0.5, learning_rate=0.001))),
    ("plain", "loss: 0.5.", Reading(values=values(loss=0.5))),
    ("plain", "2026-01-01 12:30:01 INFO host: 10.0.0.1 port: 8080", None),
    ("plain", "epochs: 10, batch_size: 32, lr: 0.01", None),
    ("plain", "Epoch 1/2", Reading(epoch=1, progress=0.5)),
    ("plain", "step 3/12", Reading(step=3, progress=0.25)),
    ("plain", "loss: 12:30:01", None),
    ("plain", "epoch 1 took: 3.2s", Reading(epoch=1)),
]  # fmt: skip


def same(one: Reading | None, other: Reading | None) -> bool:
    return repr(one) == repr(other) or one == other  # NaN is not equal to itself


@pytest.mark.parametrize(("preset", "line", "expected"), ONE_LINE)
def test_a_line(preset: str, line: str, expected: Reading | None) -> None:
    found = one(preset, line)
    if found is not None and expected is not None and found.progress is not None and expected.progress is not None:
        assert math.isclose(found.progress, expected.progress)
        found = found._replace(progress=expected.progress)
    if expected is not None and expected.epoch is not None:
        expected = expected._replace(epoch=float(expected.epoch))
    if expected is not None:
        expected = expected._replace(values=tuple((name, float(number)) for name, number in expected.values))
    assert same(found, expected), found


def test_huggingface_tells_the_bars_of_training_from_those_of_evaluation() -> None:
    found = read(
        "huggingface",
        "Map: 100%|██████████| 32/32 [00:00<00:00, 500 examples/s]",
        "  0%|          | 0/24 [00:00<?, ?it/s]",
        "100%|██████████| 4/4 [00:00<00:00, 227.91it/s]",
        " 50%|█████     | 12/24 [00:00<00:00, 26.91it/s]",
    )
    assert found == [None, Reading(step=0, progress=0.0), None, Reading(step=12, progress=0.5)]


def test_huggingface_hears_how_many_steps_there_are() -> None:
    evaluation, training = "100%|██| 4/4 [00:00<00:00]", " 50%|█ | 12/24 [00:00<00:00]"
    found = read("huggingface", "  Total optimization steps = 1,024", evaluation, " 50%|█ | 512/1024 [00:00<00:00]")
    assert found == [None, None, Reading(step=512, progress=0.5)]
    found = read("huggingface", evaluation, training, "***** Running training *****", training, evaluation)
    assert found == [Reading(step=4, progress=1.0), None, None, Reading(step=12, progress=0.5), None]


def test_keras_counts_the_batches_of_all_epochs() -> None:
    found = read(
        "keras", "Epoch 1/4", "1/8 ━━━━ 0s 85ms/step - loss: 0.7", "Epoch 2/4", "8/8 ━━━━ 0s 85ms/step - loss: 0.6"
    )
    assert found == [
        Reading(epoch=1.0, progress=0.0),
        Reading(step=1, epoch=1.0, progress=1 / 32, values=values(loss=0.7)),
        Reading(epoch=2.0, progress=0.25),
        Reading(step=16, epoch=2.0, progress=0.5, values=values(loss=0.6)),
    ]


def test_lightgbm_does_not_take_the_best_round_for_a_new_one() -> None:
    line = "[3]\tvalid_1's auc: 0.9"
    for words in ("Early stopping, best iteration is:", "Did not meet early stopping. Best iteration is:"):
        found = read("lightgbm", line, words, line, line)
        reading = Reading(step=3, values=(("valid_1-auc", 0.9),))
        assert found == [reading, FINISHED, None, reading]


@pytest.mark.parametrize("preset", PRESETS)
def test_python_tells_how_it_ended(preset: str) -> None:
    found = read(preset, "Traceback (most recent call last):", "ValueError: loss", "KeyboardInterrupt", "all is well")
    assert found == [Reading(outcome=Outcome.FAILED), None, Reading(outcome=Outcome.KILLED), None]


@pytest.mark.parametrize("preset", PRESETS)
def test_logs_remember_nothing_of_each_other(preset: str) -> None:
    lines = [line for of, line, _ in ONE_LINE if of == preset]
    first = read(preset, *lines)
    parser(preset)("Epoch 7/9")
    assert repr(read(preset, *lines)) == repr(first)


WORDS = st.sampled_from(
    ["Epoch ", "step", "[7]", "\t", "'s ", "loss", ": ", ":", "=", "0.5", "1e999", "9" * 30, "nan", "/", "%|", "| ",
     " [", "]", "{'", "': '", "', '", "'}", '{"', '": ', "}", "epoch", "best iteration is:", "━", "-", " - ", "•",
     "Iteration:", "Total optimization steps = ", ",", "`Trainer.fit` stopped", "8/8 ", "train-auc:0.5", "v_num", " "]
)  # fmt: skip


@given(st.lists(WORDS | st.text(max_size=3), max_size=30).map("".join))
def test_nothing_is_raised_and_every_reading_is_sound(line: str) -> None:
    for preset in PRESETS:
        parse = parser(preset)
        for _ in range(2):
            reading = parse(line)
            if reading is None:
                continue
            assert reading.step is None or isinstance(reading.step, int)
            assert reading.epoch is None or math.isfinite(reading.epoch)
            assert reading.progress is None or 0 <= reading.progress <= 1
            assert all(name and isinstance(number, float) for name, number in reading.values)
            assert reading != Reading(), "it tells nothing"
