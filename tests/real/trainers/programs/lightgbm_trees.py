"""Trees by LightGBM, until they no longer get better; `told` gets what record_evaluation recorded."""

import json
import sys
from pathlib import Path

import lightgbm
import numpy

told = Path(sys.argv[1])
dice = numpy.random.default_rng(7)
features = dice.normal(size=(400, 4))
classes = (features[:, 0] + dice.normal(scale=0.5, size=400) > 0).astype(int)
train = lightgbm.Dataset(features[:300], classes[:300])
test = train.create_valid(features[300:], classes[300:])
results: dict[str, dict[str, list[float]]] = {}
model = lightgbm.train(
    {"objective": "binary", "metric": ["binary_logloss", "auc"], "num_threads": 1},
    train,
    num_boost_round=200,
    valid_sets=[train, test],
    callbacks=[
        lightgbm.log_evaluation(1),
        lightgbm.record_evaluation(results),
        lightgbm.early_stopping(5),
    ],
)
told.write_text(json.dumps(results))
