"""A config for somebody who wants to know which versions are served: targets that nobody asks are asked too."""

from exporter.config.merge import AUTO
from exporter.config.models import File, Module, Target
from exporter.config.own_keys import kinds, load
from exporter.config.probes import Probe
from exporter.model.job import Kind

_NAME = Kind.METADATA.value


def asking_versions(file: File) -> File:
    """The file with a metadata probe for each of its targets that has a `probes` block without one.

    Left out are those whose protocol tells no metadata, or not at their host, those that drop the probe on purpose, and
    the models of a catalogue.
    """
    return file.model_copy(update={"targets": [_asking(target, file) for target in file.targets or ()]})


def _asking(target: Target, file: File) -> Target:
    module = file.modules.get(target.module) if target.module is not None else None
    blocks = [part.probes for part in (target, module) if part is not None and part.probes is not None]
    if not blocks or any(_NAME in block for block in blocks) or not _told(target, module):
        return target
    return target.model_copy(update={"probes": {**(target.probes or {}), _NAME: Probe()}})


def _told(target: Target, module: Module | None) -> bool:
    protocol = target.protocol or (module.protocol if module is not None else None) or AUTO
    # What is found out drops the probes that it does not offer.
    return protocol == AUTO or (
        Kind.METADATA in kinds(protocol) and Kind.METADATA in load(protocol).kinds_at(target.url.host)
    )
