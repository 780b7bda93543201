"""Names of labels that an operator may not take."""

from exporter.config.names import RESERVED
from exporter.metrics.catalog import FAMILIES


def test_labels_of_our_own_metrics_are_reserved() -> None:
    used = {label for family in FAMILIES for label in family.labels}
    assert used - RESERVED == set()
