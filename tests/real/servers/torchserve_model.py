"""Writes model archives for TorchServe, `iris` and `words`: torchserve_model.py FOLDER."""

import json
import sys
import zipfile
from pathlib import Path

_HERE = Path(__file__).parent
_ENTRIES = {"iris": "classify", "words": "say"}


def main(folder: Path) -> None:
    """Write both to a new folder, the model store."""
    folder.mkdir(parents=True)
    for name, entry in _ENTRIES.items():
        model = {"modelName": name, "handler": f"torchserve_handler.py:{entry}", "modelVersion": "7.0"}
        manifest = {"runtime": "python", "model": model, "archiverVersion": "0.12.0"}
        with zipfile.ZipFile(folder / f"{name}.mar", "w") as archive:
            archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
            for file in ("torchserve_handler.py", "switch.py"):
                archive.write(_HERE / file, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
