import time

import pytest

from exporter.protocols.samples import LIMIT, sums

PAGE = b"""\
# HELP vllm:num_requests_running Number of requests.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a } b\\" # {c"} 3.0
vllm:num_requests_running{engine="1"}\t2
vllm:num_requests_running_by_reason{reason="x"} 100
 vllm:num_requests_running 100
vllm:num_requests_waiting{engine="0"} NaN
up 1 1700000000000
exemplar_total{a="b"} 5 # {trace_id="x"} 0.5
infinite +Inf
words many
vllm:num_requests_running{engine="open
vllm:num_requests_running 1e1\r
"""


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("vllm:num_requests_running", 15.0),
        ("vllm:num_requests_waiting", None),
        ("up", 1.0),
        ("exemplar_total", 5.0),
        ("infinite", None),
        ("words", None),
        ("absent", None),
        ("vllm.num_requests_running", None),  # a name is no pattern
    ],
)
def test_a_sample_is_summed_over_its_series(name, total):
    assert sums(PAGE, (name,)).get(name) == total


def test_several_names_in_one_pass():
    assert sums(PAGE, ("up", "exemplar_total")) == {"up": 1.0, "exemplar_total": 5.0}


def test_bytes_that_are_no_text():
    assert sums(b"\xff\xfe\nup 1\nup \xff\n", ("up",)) == {"up": 1.0}


def test_only_the_beginning_of_an_endless_page_is_read():
    assert sums(b"x 1\n" + b"#" * LIMIT + b"\nx 1\n", ("x",)) == {"x": 1.0}


def test_a_hostile_page_takes_no_more_time_than_a_large_one():
    """Time grows with the size, not with its square."""

    def took(size):
        page = b"a{" + b'"x",' * size + b"\n" + b'a{x="\\' * size
        began = time.thread_time()
        sums(page, ("a",))
        return time.thread_time() - began

    took(1000)
    assert min(took(80_000) for _ in range(3)) < 40 * min(took(10_000) for _ in range(3))
