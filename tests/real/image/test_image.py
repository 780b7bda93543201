"""The image, built and run as strictly as a container can be: another user, nothing writable, no capabilities."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.real.image.image import HINT, HOME, REAL, ROOT, Image, megabytes, possible
from tests.support.fake import Fake, Reply, Request
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.programs import absent
from tests.support.scrape import Scrape
from tests.support.web import answers, until

pytestmark = [pytest.mark.real, pytest.mark.slow]

#: What an attacker would like to find, by the name of the program or the module.
BUILDERS = {"cc", "gcc", "g++", "c++", "clang", "ld", "as", "make", "cmake", "git", "curl", "wget", "pip", "pip3", "uv"}
MODULES = {"pip", "setuptools", "wheel", "hatchling", "ensurepip", "pytest", "mypy"}


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    if not possible():
        absent("root, buildah and the base images of debootstrap", HINT)
    built = Image()
    yield built
    built.remove()


Run = Callable[..., Any]


@pytest.fixture
def python(image: Image, tmp_path: Path) -> Run:
    """Run a piece of Python in the image; what it prints, as JSON."""

    def run(code: str) -> Any:
        tmp_path.chmod(0o755)
        command = image.enter(tmp_path, "/opt/model-exporter/bin/python", "-c", f"import json, os, sys\n{code}")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_it_says_what_it_is_and_who_runs(image: Image) -> None:
    labels = image.config["Labels"]
    for name in ("title", "description", "licenses", "source", "version"):
        assert labels[f"org.opencontainers.image.{name}"], name
    user, _, group = image.config["User"].partition(":")
    assert int(user) >= 10000
    assert int(group) >= 10000
    assert image.config["Entrypoint"] == ["model-exporter"]
    assert list(image.config["ExposedPorts"]) == ["10838/tcp"]
    assert not {name for name in (each.partition("=")[0] for each in image.config["Env"]) if name.startswith("PIP")}


def test_chart_and_image_agree_on_the_user(image: Image) -> None:
    chart = yaml.safe_load((ROOT / "deploy/helm/model-exporter/values.yaml").read_text())
    assert (
        f"{chart['podSecurityContext']['runAsUser']}:{chart['podSecurityContext']['runAsGroup']}"
        == image.config["User"]
    )


def test_what_builds_stays_behind(image: Image) -> None:
    names = {path.name for path in image.files()}
    assert not names & BUILDERS
    packages = set(image.python()) | set(image.debian())
    assert not packages & (MODULES | BUILDERS)
    assert not {name for name in packages if name.endswith("-dev") or name.startswith(("cpp", "binutils"))}
    assert {"model-exporter", "aiohttp", "grpcio", "uvloop"} <= set(image.python())


def test_what_is_in_it_was_pinned(image: Image) -> None:
    pins = dict(
        line.split()[0].split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    ours = {name: version for name, (version, _) in image.python().items() if name != "model-exporter"}
    assert ours == {name: pins[name] for name in ours}


def test_nothing_of_us_belongs_to_who_runs_it(image: Image) -> None:
    for folder, _, names in os.walk(image.root / HOME):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            status = path.lstat()
            assert (status.st_uid, status.st_gid) == (0, 0), path
            assert path.is_symlink() or not status.st_mode & 0o022, path


def test_the_surroundings_are_as_strict_as_said(python: Run) -> None:
    """Of the test itself: nothing can be written, /tmp is empty, and no rights are left."""
    found = python(
        """
status = dict(line.strip("\\n").split(":\\t", 1) for line in open("/proc/self/status"))
def writable(place):
    try:
        open(os.path.join(place, "x"), "w")
    except OSError:
        return False
    return True
print(json.dumps({
    "ids": os.getresuid() + os.getresgid(), "groups": os.getgroups(),
    "rights": [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "new": status["NoNewPrivs"], "tmp": os.listdir("/tmp"),
    "writable": [folder for folder, _, _ in os.walk("/") if not folder.startswith("/proc") and writable(folder)],
    "compiled": all(os.path.exists(each.__cached__) for each in map(__import__, ["exporter", "aiohttp"])),
}))"""
    )
    assert found == {
        "ids": [65532] * 6, "groups": [], "rights": [0] * 5, "new": "1", "tmp": [], "writable": [], "compiled": True,
    }  # fmt: skip


def test_it_watches_and_is_scraped(image: Image, tmp_path: Path) -> None:
    """With the command line of the image itself, but for the address."""
    tmp_path.chmod(0o755)
    config = tmp_path / "config"
    config.mkdir()
    port = free_port()

    def model(request: Request) -> Reply:
        return 200, "ok"

    with Fake(model) as server:
        target = {"name": "model", "url": server.url, "protocol": "http", "probes": {"health": {}}}
        (config / "config.yaml").write_text(json.dumps({"defaults": {"interval": "500ms"}, "targets": [target]}))
        command = [*image.config["Entrypoint"], *image.config["Cmd"], "--listen", f"127.0.0.1:{port}"]
        process = Process("image", image.enter(config, *command), tmp_path)
        url = f"http://127.0.0.1:{port}"
        try:
            until("it to be ready", lambda: answers(f"{url}/-/ready"), within=60, log=process.tail)
            until(
                "a verdict",
                lambda: Scrape.of(f"{url}/metrics").state("model") == "healthy",
                within=60,
                log=process.tail,
            )
            scrape = Scrape.of(f"{url}/metrics")
            assert scrape.value("process_resident_memory_bytes") > 0
        finally:
            process.kill()
    assert "error" not in process.stderr.lower(), process.stderr


def test_every_megabyte_is_accounted_for(image: Image) -> None:
    whole = sum(image.files().values()) / 1e6
    rows = dict(megabytes(image))
    assert sum(rows.values()) == pytest.approx(whole)
    ours = whole - sum(rows[name] for name in ("Debian, the rest", "Debian's Python", "files of no package"))
    assert ours < whole / 2
    assert rows["files of no package"] < whole / 20


def test_its_bill_of_materials_names_everything(image: Image) -> None:
    program = REAL / "supply" / "bin" / "python"
    if not program.exists():
        absent("cyclonedx-bom", HINT)
    command = [program, "-m", "supply.sbom", image.root / HOME, "--root", image.root]
    bills = [subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert bills[0] == bills[1]
    bill = json.loads(bills[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "model-exporter"
    named = {(each["name"].replace("_", "-").lower(), each["version"]) for each in bill["components"]}
    packages = {name: version for name, (version, _) in (image.python() | image.debian()).items()}
    del packages["model-exporter"]
    assert named == set(packages.items())
    assert all(each["purl"].startswith(("pkg:pypi/", "pkg:deb/debian/")) for each in bill["components"])
    assert str(image.root) not in bills[0]
    checked = subprocess.run([program, "-c", VALIDATE], input=bills[0], capture_output=True, text=True, check=True)
    assert checked.stdout.strip() == "None", checked.stdout


#: By the schema that CycloneDX publishes.
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()))
"""
