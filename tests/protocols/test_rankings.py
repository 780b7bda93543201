import math

import pytest
from pydantic import ValidationError

from exporter.model.failure import Failure, Reason
from exporter.protocols.rankings import RankExpect, check_ranking, read_scores


def test_scores_are_read_by_the_place_of_their_text():
    assert read_scores([{"index": 1, "score": 0.9}, {"index": 0, "score": 2}]) == {1: 0.9, 0: 2.0}
    assert read_scores([{"index": 0, "relevance_score": 0.5, "document": {"text": "x"}}], 1) == {0: 0.5}


@pytest.mark.parametrize(
    ("results", "reason", "detail"),
    [
        ([], Reason.EMPTY, "ranks no text"),
        (None, Reason.MALFORMED, "not a list of objects"),
        ({"index": 0}, Reason.MALFORMED, "not a list of objects"),
        ([0.5], Reason.MALFORMED, "not a list of objects"),
        ([{"score": 0.5}], Reason.MALFORMED, "index that no text has"),
        ([{"index": True, "score": 0.5}], Reason.MALFORMED, "index that no text has"),
        ([{"index": -1, "score": 0.5}], Reason.MALFORMED, "index that no text has"),
        ([{"index": 2, "score": 0.5}], Reason.MALFORMED, "index that no text has"),
        ([{"index": 0, "score": 1}, {"index": 0, "score": 1}], Reason.MALFORMED, "ranked twice"),
        ([{"index": 0}], Reason.MALFORMED, "the score of text 0 is null"),
        ([{"index": 0, "score": math.nan}], Reason.MALFORMED, "the score of text 0 is NaN"),
        ([{"index": 0, "score": "1"}], Reason.MALFORMED, "the score of text 0 is a string"),
    ],
)
def test_what_is_no_ranking(results, reason, detail):
    with pytest.raises(Failure) as caught:
        read_scores(results, 2)
    assert caught.value.reason is reason
    assert detail in caught.value.detail


@pytest.mark.parametrize(
    ("own", "complaint"),
    [
        ({}, None),
        ({"order": [2, 0, 1]}, None),
        ({"order": [2]}, None),
        ({"order": [0]}, "text 2 (0.9) is ranked above text 0 (0.5)"),
        ({"order": [0, 2, 1]}, "text 2 (0.9) is ranked above text 0 (0.5)"),
        ({"order": [2, 1, 0], "top": 1}, None),
        ({"order": [2, 1, 0], "top": 2}, "text 0 (0.5) is ranked above text 1 (0.1)"),
        ({"order": [3]}, "text 3 is not ranked"),
        ({"scores": [{"min": 0.4, "max": 0.6}, {"max": 0.2}, {"min": 0.8}]}, None),
        ({"scores": [{}, {}, {"min": 0.95}]}, "the score of text 2 is 0.9, expected at least 0.95"),
        ({"scores": [{}, {}, {}, {}]}, "text 3 is not ranked"),
    ],
)
def test_checks(own, complaint):
    assert check_ranking(RankExpect.model_validate(own), {0: 0.5, 1: 0.1, 2: 0.9}) == complaint


def test_equal_scores_are_in_any_order():
    for order in ([0, 1], [1, 0], [0], [1]):
        assert check_ranking(RankExpect(order=order), {0: 0.5, 1: 0.5}) is None


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"order": [0, 0]}, "the same text twice"),
        ({"order": [-1]}, "greater than or equal to 0"),
        ({"order": []}, "at least 1"),
        ({"top": 1}, "found top 1; allowed: at most as many as order names"),
        ({"order": [0], "top": 2}, "found top 2"),
        ({"scores": [{"min": 1, "max": 0}]}, "above max"),
    ],
)
def test_settings(own, message):
    with pytest.raises(ValidationError) as caught:
        RankExpect.model_validate(own)
    assert any(message in error["msg"] for error in caught.value.errors())
