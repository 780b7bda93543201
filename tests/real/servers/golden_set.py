"""Write the iris data as a golden set, and print how scikit-learn scores the model that is served.

Run by a server's own Python: golden_set.py mlserver|mlflow MODEL_FOLDER FILE COPIES.
"""

import json
import sys
from pathlib import Path

import numpy
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, root_mean_squared_error


def main(server: str, folder: Path, file: Path, copies: int) -> None:
    """Each example is a row of the data, its expected answer the class of that flower."""
    data = load_iris()
    if server == "mlflow":
        import mlflow.sklearn

        model = mlflow.sklearn.load_model(str(folder))
    else:
        import joblib

        model = joblib.load(folder / "model.joblib")
    lines = []
    for copy in range(copies):
        for number, (row, kind) in enumerate(zip(data.data.tolist(), data.target.tolist(), strict=True)):
            tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": row}
            asked = {"inputs": [row] if server == "mlflow" else [tensor]}
            name = data.target_names[kind]
            lines.append({"id": f"{copy}-{number}", "input": asked, "expected": kind, "tags": [str(name)]})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    expected, answered = numpy.tile(data.target, copies), numpy.tile(model.predict(data.data), copies)
    scores = {
        "accuracy": accuracy_score(expected, answered),
        "f1": f1_score(expected, answered, average="macro"),
        "mae": mean_absolute_error(expected, answered),
        "rmse": root_mean_squared_error(expected, answered),
    }
    print(json.dumps({name: float(score) for name, score in scores.items()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
