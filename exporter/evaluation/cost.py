"""What a run of an evaluation uses, when every example is answered at once."""

from exporter.evaluation.fetch import read_file
from exporter.model.cost import NOTHING, Cost
from exporter.model.evaluation import Evaluation


def cost_of(evaluation: Evaluation) -> Cost | None:
    """The most that asking each example once uses; None of a data set that would have to be sent for.

    Raises `BadDataset`.
    """
    dataset = read_file(evaluation)
    if dataset is None:
        return None
    total = NOTHING
    for example in dataset.examples:
        total += evaluation.question(example.input).cost
    return total
