"""model-exporter: watches model-serving endpoints from the outside and tells Prometheus the truth about them.

`ModelClient` is the way in from Python; `exporter.client` holds all that belongs to it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.client import ModelClient

__all__ = ["ModelClient", "__version__"]
__version__ = "0.1.0"
#: What every request of ours says of itself.
USER_AGENT = f"model-exporter/{__version__}"


def __getattr__(name: str) -> Any:
    """The client is imported when it is first asked for: the command has no use for it."""
    if name == "ModelClient":
        from exporter.client import ModelClient

        return ModelClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
