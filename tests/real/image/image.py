"""The image of the Dockerfile, built with buildah on bases that debootstrap made, and what is in it."""

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
REAL = Path(os.environ.get("MODEL_EXPORTER_REAL", ROOT / ".real")).absolute()
HINT = "make test-image (as root; apt-get install buildah debootstrap)"
NAME = "localhost/model-exporter"
#: Where the Dockerfile puts us.
HOME = Path("opt/model-exporter")


class Image:
    """A built image: `config` as engines read it, `root` its files, in a container of its own until `remove()`."""

    def __init__(self, folder: Path = REAL / "image") -> None:
        self._folder = folder
        for name in ("base", "build"):
            self._import(name)
        bases = [f"--build-arg={name.upper()}_IMAGE=localhost/{name}" for name in ("base", "build")]
        # A machine may know other authorities, and another index, than the base does.
        certificates = ["--volume=/etc/ssl/certs:/etc/ssl/certs:ro"]
        if index := os.environ.get("PIP_INDEX_URL"):
            bases.append(f"--build-arg=PIP_INDEX_URL={index}")
        self._buildah("bud", "--quiet", f"--tag={NAME}", *bases, *certificates, str(ROOT))
        self._container = self._buildah("from", NAME)
        self.root = Path(self._buildah("mount", self._container))
        self.config: dict[str, Any] = json.loads(self._buildah("inspect", "--type=image", NAME))["OCIv1"]["config"]

    def _buildah(self, *command: str) -> str:
        store = [f"--root={self._folder / 'storage'}", f"--runroot={self._folder / 'run'}", "--storage-driver=vfs"]
        environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run(
            ["buildah", *store, *command], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"buildah {command[0]}:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def _import(self, name: str) -> None:
        """Make the tar of a base an image, if it is not one yet."""
        if f"localhost/{name}" in self._buildah("images", "--noheading", "--format={{.Name}}"):
            return
        container = self._buildah("from", "scratch")
        self._buildah("add", "--quiet", container, str(self._folder / f"{name}.tar"), "/")
        self._buildah("commit", "--quiet", "--rm", container, f"localhost/{name}")

    def remove(self) -> None:
        """Remove the container, and what the next build would not use; the image stays."""
        self._buildah("rm", self._container)
        self._buildah("rmi", "--prune")

    def enter(self, config: Path, *command: str) -> list[str]:
        """The command line that runs a command in it, under the strictest rules; `config` is the folder it may read."""
        return [str(Path(__file__).with_name("enter.sh")), str(self.root), str(config), *command]

    def files(self) -> dict[Path, int]:
        """Every regular file and its size, without what is only a second name of one."""
        found: dict[Path, int] = {}
        seen = set()
        for folder, _, names in os.walk(self.root):
            for path in (Path(folder, name) for name in names):
                status = path.lstat()
                if path.is_file() and not path.is_symlink() and status.st_ino not in seen:
                    seen.add(status.st_ino)
                    found[path.relative_to(self.root)] = status.st_size
        return found

    def debian(self) -> dict[str, tuple[str, list[Path]]]:
        """Debian's packages: name -> version and files."""
        command = ["dpkg-query", f"--admindir={self.root / 'var/lib/dpkg'}", "--show"]
        command.append("--showformat=${binary:Package} ${Version}\n")
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        info = self.root / "var/lib/dpkg/info"
        return {
            name.partition(":")[0]: (
                version,
                [self._real(line) for line in (info / f"{name}.list").read_text().splitlines()],
            )
            for name, version in (line.split() for line in listed.splitlines())
        }

    def _real(self, name: str) -> Path:
        """A file as dpkg names it, where it is: /lib is a link to /usr/lib."""
        path = Path(name.lstrip("/"))
        whole = self.root / path.parent
        return whole.resolve().relative_to(self.root) / path.name if whole.exists() else path

    def python(self) -> dict[str, tuple[str, list[Path]]]:
        """Our Python packages: name -> version and files, compiled ones too."""
        found = {}
        for info in (self.root / HOME).glob("lib/python*/site-packages/*.dist-info"):
            name, version = info.name.removesuffix(".dist-info").rsplit("-", 1)
            with (info / "RECORD").open(newline="") as record:
                paths = [os.path.normpath(info.parent.relative_to(self.root) / row[0]) for row in csv.reader(record)]
            found[name.replace("_", "-").lower()] = (version, [Path(path) for path in paths])
        return found


def megabytes(image: Image) -> Iterator[tuple[str, float]]:
    """What takes the room, largest first: the base, its Python, each of our packages; what is small is one row."""
    files = image.files()

    def size(paths: list[Path]) -> float:
        return sum(files.pop(path, 0) for path in paths) / 1e6

    ours = {name: size(paths) for name, (_, paths) in image.python().items()}
    debian = {name: size(paths) for name, (_, paths) in image.debian().items()}
    python = sum(debian.pop(name) for name in list(debian) if "python" in name)
    rows = {
        "Debian's Python": python,
        "Debian, the rest": sum(debian.values()),
        "files of no package": sum(files.values()) / 1e6,
    }
    rows |= {name: size_ for name, size_ in ours.items() if size_ >= 0.5}
    small = [size_ for size_ in ours.values() if size_ < 0.5]
    rows[f"{len(small)} smaller packages"] = sum(small)
    return iter(sorted(rows.items(), key=lambda row: -row[1]))


def possible() -> bool:
    """Whether this machine can build it, now."""
    tools = all(shutil.which(name) for name in ("buildah", "unshare", "dpkg-query"))
    return os.geteuid() == 0 and tools and (REAL / "image" / "build.tar").exists()
