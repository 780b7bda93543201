"""Trees by XGBoost; `told` gets evals_result."""

import json
import sys
from pathlib import Path

import numpy
import xgboost

told = Path(sys.argv[1])
dice = numpy.random.default_rng(7)
features = dice.normal(size=(400, 4))
classes = (features[:, 0] + dice.normal(scale=0.5, size=400) > 0).astype(int)
train = xgboost.DMatrix(features[:300], classes[:300])
test = xgboost.DMatrix(features[300:], classes[300:])
results: dict[str, dict[str, list[float]]] = {}
xgboost.train(
    {"objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "nthread": 1, "eta": 0.3},
    train,
    num_boost_round=20,
    evals=[(train, "train"), (test, "validation_0")],
    evals_result=results,
)
told.write_text(json.dumps(results))
