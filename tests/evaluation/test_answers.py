"""What of an observation's output is the answer."""

import pytest

from exporter.evaluation.answers import Unreadable, cut, fitted, taken
from exporter.model.observation import Output

TENSORS = {"model_name": "m", "outputs": [
    {"name": "predict", "datatype": "INT64", "shape": [1], "data": [2]},
    {"name": "proba", "datatype": "FP64", "shape": [1, 2], "data": [0.1, 0.9]},
]}  # fmt: skip


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        (Output({"choices": []}, text=" Paris", essence=[" Paris", []]), " Paris"),
        (Output({"data": []}, vectors=((1, 2),)), [[1.0, 2.0]]),
        (Output(TENSORS, essence=[["predict", [2]], ["proba", [0.1, 0.9]]]), [2]),
        (Output({"predictions": [3.5]}, essence=[3.5]), [3.5]),
        (Output({"results": 1}), {"results": 1}),
        (Output(body=b'{"label": "cat"}'), {"label": "cat"}),
        (Output(body=b"cat\n"), "cat\n"),
    ],
)
def test_each_kind_of_answer_is_taken(output, answer):
    assert taken(output, "") == answer


def test_a_path_says_where_it_is():
    assert taken(Output(TENSORS), "outputs[?name=='proba'] | [0].data[1]") == 0.9
    assert taken(Output(body=b'{"label": "cat"}'), "label") == "cat"
    assert taken(Output(text='{"label": "dog"}'), "label") == "dog"
    with pytest.raises(Unreadable, match="finds nothing"):
        taken(Output(TENSORS), "nothing")


@pytest.mark.parametrize("output", [None, Output(), Output(body=b" \n")])
def test_no_answer_is_none(output):
    with pytest.raises(Unreadable):
        taken(output, "")


@pytest.mark.parametrize(
    ("answer", "expected", "wanted"),
    [
        ([[1]], 0, 1), ([1], [1], [1]), ([[1]], [1], [1]), ([1, 2], 1, [1, 2]), ([[1, 2]], 1, [1, 2]), ([], 1, []),
        ([[1, 2]], [1, 2], [1, 2]), ("a", [1], "a"),
    ],
)  # fmt: skip
def test_lists_of_one_are_taken_apart_as_far_as_expected(answer, expected, wanted):
    assert fitted(answer, expected) == wanted


def test_what_is_shown_is_short():
    assert len(cut("a" * 1000)) == 200
    assert cut("short") == "short"
