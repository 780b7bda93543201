"""`python -m supply.sbom ENVIRONMENT [--root ROOT]`: a bill of materials (CycloneDX 1.6, JSON), to standard output.

ENVIRONMENT is a venv with model-exporter in it. With ROOT, the files of an image, Debian's packages in it are
listed too. The same input gives the same bytes: no time and no random number is in it. Needs cyclonedx-bom beside the
Python that runs it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

#: What dpkg-query says of a package, as one line.
FORMAT = "${binary:Package}\\t${Version}\\t${Architecture}\\t${source:Package}\\t${source:Version}\\n"


def of_environment(environment: Path) -> dict[str, Any]:
    """The bill of a venv, by cyclonedx-bom: the Python packages, their licences, and who needs whom."""
    options = ["environment", "--output-reproducible", "--spec-version=1.6"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cyclonedx_py", *options, str(runnable(environment, Path(folder)))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    bill: dict[str, Any] = json.loads(done.stdout)
    for component in bill["components"]:
        found = component.pop("externalReferences", [])
        # Where a package was built is a path of that machine.
        if kept := [each for each in found if not each["url"].startswith("file:")]:
            component["externalReferences"] = kept
    return bill


def runnable(environment: Path, folder: Path) -> Path:
    """Make of a folder a venv with the same packages and our own Python: an image's may not be here."""
    (packages,) = environment.absolute().glob("lib/python*/site-packages")
    lib = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    lib.mkdir(parents=True)
    (lib / "site-packages").symlink_to(packages)
    (folder / "bin").mkdir()
    python = (Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}").resolve()
    (folder / "bin" / "python").symlink_to(python)
    (folder / "pyvenv.cfg").write_text(f"home = {python.parent}\ninclude-system-site-packages = false\n")
    return folder


def debian(root: Path) -> list[dict[str, Any]]:
    """Debian's packages below a root, as components."""
    release = dict(line.partition("=")[::2] for line in (root / "etc/os-release").read_text("utf-8").splitlines())
    distro = "-".join(release[key].strip('"') for key in ("ID", "VERSION_ID"))
    command = ["dpkg-query", f"--admindir={root / 'var/lib/dpkg'}", "--show", f"--showformat={FORMAT}"]
    found = []
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        name, version, architecture, source, source_version = line.split("\t")
        name = name.partition(":")[0]
        place = f"{release['ID']}/{quote(name, safe='')}@{quote(version, safe='')}"
        purl = f"pkg:deb/{place}?arch={architecture}&distro={distro}"
        properties = [{"name": "debian:source", "value": f"{source} {source_version}"}]
        component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        found.append(component | {"properties": properties})
    return found


def bill(environment: Path, root: Path | None = None) -> dict[str, Any]:
    """The bill of a venv, and of the image it is in."""
    whole = of_environment(environment)
    (exporter,) = (each for each in whole["components"] if each["name"] == "model-exporter")
    whole["components"].remove(exporter)
    whole["metadata"]["component"] = exporter | {
        "type": "container" if root else "application",
        "purl": f"pkg:pypi/model-exporter@{exporter['version']}",
    }
    if root:
        whole["components"] += debian(root)
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m supply.sbom", description=__doc__)
    parser.add_argument("environment", type=Path)
    parser.add_argument("--root", type=Path, help="the files of the image that the venv is in")
    given = parser.parse_args()
    print(json.dumps(bill(given.environment, given.root), indent=2))


if __name__ == "__main__":
    main()
