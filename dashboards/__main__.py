"""`python -m dashboards` writes the dashboards; with `--check` it only says which are not in step.

They stand in deploy/dashboards, and once more in the package, for `model-exporter generate dashboard`, and in the Helm
chart, which can read no file outside itself.
"""

import argparse
import sys
from pathlib import Path

from dashboards import DASHBOARDS

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (
    Path("deploy", "dashboards"),
    Path("exporter", "generate", "dashboards"),
    Path("deploy", "helm", "model-exporter", "files", "dashboards"),
)


def out_of_step(root: Path = ROOT) -> dict[Path, str | None]:
    """Files that are not what the code says, and the text they should have; None for one that should not be there."""
    texts = {f"{name}.json": build().json() for name, build in DASHBOARDS.items()}
    wanted = {root / folder / name: text for folder in FOLDERS for name, text in texts.items()}
    found = {path: path.read_text("utf-8") for folder in FOLDERS for path in (root / folder).glob("*.json")}
    return {path: wanted.get(path) for path in sorted(wanted | found) if wanted.get(path) != found.get(path)}


def bring_into_step(root: Path = ROOT) -> None:
    """Write what is old, and remove what nothing builds."""
    for path, text in out_of_step(root).items():
        if text is None:
            path.unlink()
        else:
            path.write_text(text, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not in step")
    check = parser.parse_args().check
    stale = out_of_step()
    for path in stale:
        sys.stderr.write(f"{path.relative_to(ROOT)}: {'not in step' if check else 'brought into step'}\n")
    if not check:
        bring_into_step()
    sys.exit(bool(check and stale))


if __name__ == "__main__":
    main()
