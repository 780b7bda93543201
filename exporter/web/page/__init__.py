"""What people look at: the status page, one target, training jobs and evaluations."""

from exporter.web.page.status import StatusPage
from exporter.web.page.tables import TablePages
from exporter.web.page.target import TargetPage

__all__ = ["StatusPage", "TablePages", "TargetPage"]
