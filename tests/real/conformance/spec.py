"""What the conformance tests have to know of a real server: how it is started, and what it must show."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exporter.model.failure import Reason


def served_by(*servers: str) -> pytest.MarkDecorator:
    """Run a test on each of these, of those that were asked for."""
    return pytest.mark.parametrize("server", servers, indirect=True)


#: What a server that does not listen yet looks like.
NOT_LISTENING = frozenset({Reason.CONNECT_REFUSED})


@dataclass(frozen=True, slots=True)
class Place:
    """Where one server runs: its folder (also its working directory), its free ports, the venv it was installed into.

    `port` is the one that is watched; `other` is one more, for servers that insist on several.
    """

    folder: Path
    port: int
    other: Callable[[], int]
    bin: Path

    @property
    def python(self) -> Path:
        """The server's own interpreter."""
        return self.bin / "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One real server, or one way to ask it.

    Every test runs on it in this order: what it shows while it starts; the default probes from the url alone; the
    canary; a model it does not have; input it cannot take; the server stopped (SIGSTOP) and going on; killed.
    """

    #: Unique; the tests' id, and what MODEL_EXPORTER_REAL_SERVERS and `-k` choose by.
    name: str
    #: Folder below $MODEL_EXPORTER_REAL it is installed in, by tests/real/servers/install.sh from NAME.txt or NAME.sh.
    venv: str
    #: Makes what it serves, before the start. Runs once; subprocesses of the server's own Python belong here.
    prepare: Callable[[Place], None] = lambda place: None
    #: The command that starts it on `place.port`.
    command: Callable[[Place], Sequence[str | Path]]
    #: Variables of its environment.
    env: Callable[[Place], Mapping[str, str]] = lambda place: {}
    #: Scheme and path of the url that users would write.
    scheme: str = "http"
    path: str = ""

    #: What `auto` must find from the url alone, or None where a user has to name the protocol (then `protocol` is it).
    found: str | None
    protocol: str
    #: The server's name as detection tells it.
    server: str = ""
    #: Probes that must run, and be healthy, from the url alone.
    default: tuple[str, ...]
    model: str = ""
    #: Further keys of the target, as a config has them (`management` ...), with what only the place knows.
    target: Callable[[Place], Mapping[str, Any]] = lambda place: {}

    #: Kind and settings of canaries that must be healthy, with an expectation; the first is the main one.
    canaries: tuple[tuple[str, Mapping[str, Any]], ...]
    #: What the canary's answer shows beyond that: called with each healthy result's observation.
    seen: Callable[[Any], None] = lambda observation: None
    #: The probe asked about an unknown model, and the reason it must give; None: this server never checks names.
    unknown: tuple[str, Reason] | None
    #: Settings of the main canary that it cannot take, and the reasons this may give; None: it takes anything.
    bad: Mapping[str, Any] | None
    bad_reasons: frozenset[Reason] = frozenset({Reason.HTTP_STATUS})

    #: The probe asked while the server starts, and the reasons it may give until it is healthy.
    starting: str = "health"
    loading: frozenset[Reason] = NOT_LISTENING
    #: Of those, the ones that must have been seen (a server that answers before it is ready).
    shows: frozenset[Reason] = frozenset()
    #: Seconds it may take to be ready.
    patience: float = 180.0
    #: Reasons a stopped server may give.
    hung: frozenset[Reason] = frozenset({Reason.TIMEOUT})
    #: Whether it still answers after SIGSTOP and SIGCONT.
    resumes: bool = True
    #: Left out of the tests unless asked for by name, with the reason.
    left_out: str = ""
    #: Names of keys that were learned and must be in model_probe_info's source (`observation.info`) after `metadata`.
    info: tuple[str, ...] = field(default=())
