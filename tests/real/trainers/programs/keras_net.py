"""A small Keras network on the torch backend; `told` gets its History. The second argument is the verbosity, a third
makes its loss NaN.
"""

import json
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy

told = Path(sys.argv[1])
keras.utils.set_random_seed(7)
dice = numpy.random.default_rng(7)
features = dice.normal(size=(320, 4)).astype("float32")
classes = (features[:, 0] > 0).astype("float32")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "sigmoid")])
rate = float("nan") if sys.argv[3:] else 0.01
model.compile(optimizer=keras.optimizers.Adam(rate), loss="mse", metrics=["accuracy"])
history = model.fit(features, classes, epochs=3, batch_size=32, validation_split=0.2, verbose=int(sys.argv[2]))
told.write_text(json.dumps(history.history))
