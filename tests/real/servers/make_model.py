"""Train a classifier on the iris data that scikit-learn ships, and save it for one server.

Run by that server's own Python: make_model.py mlserver|mlflow FOLDER.
"""

import json
import sys
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


def main(server: str, folder: Path) -> None:
    """Write the model, and whatever the server needs beside it, to a new folder."""
    data = load_iris()
    model = LogisticRegression(max_iter=1000).fit(data.data, data.target)
    if server == "mlflow":
        import mlflow.sklearn

        mlflow.sklearn.save_model(model, folder, serialization_format="cloudpickle", pip_requirements=["scikit-learn"])
        return
    import joblib

    folder.mkdir(parents=True)
    joblib.dump(model, folder / "model.joblib")
    settings = {
        "name": "iris",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "platform": "sklearn",
        "versions": ["7"],
        "parameters": {"uri": "./model.joblib", "version": "7"},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
