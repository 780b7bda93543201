"""Whether `environments` and `deploy` make sense beside the targets.

Inline credentials are refused: the daemon reads the same file, and must not hold what can change a server. Whether the
file or the variable of one is there is a matter of the command alone.
"""

from collections.abc import Iterator

from exporter.config import check_access
from exporter.config.access import Auth
from exporter.config.environments import members, target_of
from exporter.config.merge import Merger
from exporter.config.models import File
from exporter.config.own_keys import secrets_in
from exporter.config.problems import Finding, Path


def blocks(file: File, merger: Merger) -> Iterator[Finding]:
    """What is wrong with both blocks. A catalogue's targets are not known here, and cannot be deployed to."""
    if file.deploy is not None:
        yield from _auth(("deploy", "auth"), file.deploy.auth)
    elif "deploy" in file.model_fields_set:
        yield Finding(("deploy",), "found null; mapping expected")
    targets = [target_of(merger.merge(target)) for target in file.targets or ()] if file.environments else []
    for name, environment in file.environments.items():
        path: Path = ("environments", name)
        yield from _auth((*path, "auth"), environment.auth)
        if "," in name or name != name.strip():
            yield Finding(path, "a comma or a blank at either end is in the name, which --to could not say", key=True)
        if not members(targets, environment.select):
            yield Finding((*path, "select"), "no target has these labels", warning=True)


def _auth(path: Path, auth: Auth | None) -> Iterator[Finding]:
    if auth is None:
        return
    yield from check_access.credentials(path, auth)
    for local, secret in secrets_in(auth):
        if secret.source == "inline":
            text = "an inline secret would be held by the daemon too; allowed: {env: NAME} or {file: PATH}"
            yield Finding((*path, *local), text)
