"""The schedule, the runs, and what they amount to: jobs in, results and states out."""

from exporter.engine.engine import Engine
from exporter.engine.plan import Changes
from exporter.engine.slots import Limits

__all__ = ["Changes", "Engine", "Limits"]
