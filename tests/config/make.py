"""Short ways to a loaded config."""

from pathlib import Path
from typing import Any

from exporter.config import build, loader
from exporter.model.job import Job


def loaded(tmp_path: Path, text: str, name: str = "config.yaml") -> loader.Loaded:
    """A config file with this text, loaded."""
    path = tmp_path / name
    path.write_text(text)
    return loader.load([path])


def built(values: dict[str, Any]) -> build.Built:
    """What a config with these values stands for."""
    return build.build(loader.load_values(values, name="values").file)


def jobs(*targets: dict[str, Any], **blocks: Any) -> dict[tuple[str, str], Job]:
    """Jobs by target name and probe; targets without a url get one."""
    values = {"targets": [{"url": f"http://h{index}", **target} for index, target in enumerate(targets)], **blocks}
    return {job.key: job for job in built(values).jobs}


def problems(tmp_path: Path, text: str) -> list[str]:
    """What is told of a wrong config, without the file's name."""
    path = tmp_path / "config.yaml"
    path.write_text(text)
    try:
        loader.load([path])
    except loader.ConfigError as error:
        return [str(problem).removeprefix(f"{path}:") for problem in error.problems]
    raise AssertionError("nothing is wrong")
