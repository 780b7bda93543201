"""The bill of materials, but for what cyclonedx-bom says of a venv: that is seen where it is installed (tests/real)."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from supply import sbom

EXPORTER = {"type": "library", "bom-ref": "model-exporter==1.0", "name": "model-exporter", "version": "1.0"}
OTHER = {"type": "library", "bom-ref": "a==1", "name": "a", "version": "1", "purl": "pkg:pypi/a@1"}
STATUS = """Package: tzdata
Status: install ok installed
Architecture: all
Version: 2025b-0+deb12u1

Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc (2.36-9)
Version: 2.36-9+deb12u9
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_environment(_: Path) -> dict[str, Any]:
        return {"metadata": {}, "components": [dict(OTHER), dict(EXPORTER)]}

    monkeypatch.setattr(sbom, "of_environment", of_environment)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of an image, as far as they are looked at."""
    if shutil.which("dpkg-query") is None:
        pytest.skip("needs dpkg-query (Debian and Ubuntu have it)")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    (tmp_path / "var/lib/dpkg/info").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    return tmp_path


def test_what_it_is_about_is_no_part_of_itself(tmp_path: Path) -> None:
    made = sbom.bill(tmp_path)
    assert made["components"] == [OTHER]
    assert made["metadata"]["component"] == EXPORTER | {
        "type": "application",
        "purl": "pkg:pypi/model-exporter@1.0",
    }


def test_an_images_packages_are_listed_with_their_sources(tmp_path: Path, root: Path) -> None:
    made = sbom.bill(tmp_path, root)
    assert made["metadata"]["component"]["type"] == "container"
    found = {each["name"]: each for each in made["components"]}
    assert set(found) == {"a", "tzdata", "libc6"}
    assert found["libc6"]["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12"
    assert found["libc6"]["properties"] == [{"name": "debian:source", "value": "glibc 2.36-9"}]
    assert found["tzdata"]["properties"] == [{"name": "debian:source", "value": "tzdata 2025b-0+deb12u1"}]


def test_a_venv_without_us_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sbom, "of_environment", lambda _: {"metadata": {}, "components": [dict(OTHER)]})
    with pytest.raises(ValueError, match="not enough values"):
        sbom.bill(tmp_path)
