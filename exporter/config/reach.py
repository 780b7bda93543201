"""How a server is reached: what defaults, modules, targets and catalogues say of it."""

from typing import Literal

from pydantic import Field

from exporter.config.access import ONE_OF, Auth, ProxyOrUrl, Tls
from exporter.config.budget import Budget
from exporter.config.maintenance import Window
from exporter.config.names import LabelValue
from exporter.settings import Count, Duration, Headers, Settings, Size


class SaturatedAt(Settings):
    """What a server tells of its load that is too much, whatever its canary says."""

    waiting: Count = Field(description="Requests in the server's queue.")


class Reach(Settings):
    """How to reach a server."""

    auth: Auth | None = Field(None, description=f"{ONE_OF} null: none, whatever module and defaults say.")
    headers: Headers | None = Field(
        None, description="Headers sent with every request; every value counts as a secret."
    )
    tls: Tls | None = Field(None, description="TLS of the connection.")
    proxy: ProxyOrUrl | None = Field(
        None,
        description="HTTP proxy on the way: http://host:port, or a block with credentials. The environment's is never "
        "used. null: none, whatever module and defaults say.",
    )
    connection: Literal["fresh", "keep_alive"] | None = Field(
        None, description="A new connection for each run, or one that is kept. Default: fresh."
    )
    timestamps: Literal["loop", "kernel"] | None = Field(
        None,
        description="Whose stamps times are made of: the event loop's, of when it comes to read an answer, or the "
        "kernel's, of when it arrived. The kernel's exist on Linux, for plain http without a proxy; elsewhere it stays "
        "loop. Default: loop.",
    )
    follow_redirects: bool | None = Field(None, description="Follow redirects within the same origin. Default: false.")
    max_body: Size | None = Field(
        None, description="Longest body that is read; what is made of it may take 24 MB beyond that. Default: 10MB."
    )
    startup: Duration | None = Field(
        None,
        description="Time after it was added during which a target that was never healthy is loading and not down. "
        "Default: 0s.",
    )
    saturated_at: SaturatedAt | None = Field(
        None, description="From when a server is saturated though its canary passes. Default: never."
    )
    wake: bool | None = Field(
        None,
        description="Let canaries run on a model that is asleep, unloaded, or of which the server does not tell "
        "whether it is loaded; with discovery in Kubernetes, watch what has no replica. Default: false.",
    )
    budget: Budget | None = Field(
        None,
        description="What the canaries of a target may use. Default: as much as they like; null: the same, whatever "
        "module and defaults say.",
    )
    maintenance: list[Window] | None = Field(
        None, max_length=100, description="When nothing is asked and the state stays. Default: never."
    )


class Connection(Reach):
    """What defaults, modules and targets share: how to reach a server, and labels."""

    labels: dict[str, LabelValue] = Field({}, description="Labels on every series of the target.")
