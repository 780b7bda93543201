"""Free loopback ports for servers that cannot be told to choose one themselves."""

import socket

_handed_out: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on, and never the same one twice."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _handed_out:
            _handed_out.add(port)
            return port


def taken(port: int) -> bool:
    """Whether somebody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
