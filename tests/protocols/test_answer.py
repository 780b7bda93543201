import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.contracts import Headers, Response
from exporter.model.failure import Evidence, Failure, Reason
from exporter.protocols.answer import error_text, judge, message, require, retry_after


def reason(status, body=b"", headers=(), **more):
    failure = judge(status, Headers(headers), body, **more)
    return failure and failure.reason


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (200, b"", (), None),
        (204, b"", (), None),
        (299, b"loading", (), None),
        (101, b"", (), Reason.PROTOCOL),
        (301, b"", (("Location", "/x"),), Reason.REDIRECT),
        (304, b"", (), Reason.REDIRECT),
        (400, b"", (), Reason.HTTP_STATUS),
        (401, b"", (), Reason.AUTH),
        (403, b"", (), Reason.AUTH),
        (404, b"", (), Reason.HTTP_STATUS),
        (408, b"", (), Reason.HTTP_STATUS),
        (422, b"", (), Reason.HTTP_STATUS),
        (425, b"", (), Reason.HTTP_STATUS),
        (429, b"", (), Reason.RATE_LIMITED),
        (429, b'{"error":{"code":"insufficient_quota"}}', (), Reason.AUTH),
        (429, b'{"error":{"type":"billing_hard_limit_reached"}}', (), Reason.AUTH),
        (429, b"read about billing on our page", (), Reason.RATE_LIMITED),
        (500, b"loading", (), Reason.HTTP_STATUS),
        (503, b"", (), Reason.HTTP_STATUS),
        (503, b"Prediction failed", (("Retry-After", "5"),), Reason.HTTP_STATUS),
        (503, b'{"error":{"message":"Loading model"}}', (), Reason.NOT_READY),
        (503, b"not ready", (), Reason.NOT_READY),
        (503, b"NOT_READY", (), Reason.NOT_READY),
        (503, b"warming up", (), Reason.NOT_READY),
        (503, b"Server is starting", (), Reason.NOT_READY),
        (503, b"Exceeds maximum queue size", (), Reason.OVERLOADED),
        (503, b"overloaded", (), Reason.OVERLOADED),
        (503, b"server busy", (), Reason.OVERLOADED),
        (503, b"no capacity", (), Reason.OVERLOADED),
        (503, b"Too Many Requests", (), Reason.OVERLOADED),
        (503, b"no free slots", (), Reason.OVERLOADED),
        (503, b"maximum pending requests exceeded", (), Reason.OVERLOADED),
        (503, b"backpressure", (), Reason.OVERLOADED),
        (503, b"x", (("x-envoy-overloaded", "true"),), Reason.OVERLOADED),
        (503, b" " * 4096 + b"queue", (), Reason.HTTP_STATUS),  # beyond what is looked at
        (504, b"", (), Reason.HTTP_STATUS),
        (529, b"", (), Reason.OVERLOADED),
    ],
)
def test_status_rules(status, body, headers, expected):
    assert reason(status, body, headers) is expected


@pytest.mark.parametrize(
    ("body", "path", "model", "expected"),
    [
        (b"Model fraud not found", "/x", "fraud", Reason.MODEL_NOT_FOUND),
        (b'{"error":"model \\"Fraud\\" not found"}', "/x", "fraud", Reason.MODEL_NOT_FOUND),
        (b"nothing here", "/v2/models/fraud/infer", "fraud", Reason.MODEL_NOT_FOUND),
        (b"nothing here", "/v2/models/org%2Fm/infer?k=1", "org/m", Reason.MODEL_NOT_FOUND),
        (b"nothing here", "/v2/models/fraud2/infer", "fraud", Reason.HTTP_STATUS),
        (b"fraud-2 is unknown", "/x", "fraud", Reason.HTTP_STATUS),
        (b"antifraud is unknown", "/x", "fraud", Reason.HTTP_STATUS),
        (b'{"detail":"Not Found"}', "/v1/chat/completions", "m", Reason.HTTP_STATUS),
        (b"anything", "/anything", "", Reason.HTTP_STATUS),
    ],
)
def test_a_missing_model_is_told_from_a_missing_route(body, path, model, expected):
    assert reason(404, body, path=path, model=model) is expected


@pytest.mark.parametrize(
    ("status", "evidence"),
    [(400, Evidence.REFUSED), (408, Evidence.SLOW), (425, Evidence.BUSY), (500, Evidence.BROKEN), (504, Evidence.SLOW)],
)
def test_http_status_keeps_its_code(status, evidence):
    failure = judge(status, Headers(), b"")
    assert failure.http_status == status
    assert failure.row.evidence is evidence


@given(st.integers(100, 999), st.binary(max_size=64))
def test_every_status_has_one_answer(status, body):
    failure = judge(status, Headers(), body, model="m", path="/m")
    assert (failure is None) == (200 <= status < 300)
    assert failure is None or failure.http_status == status


def test_require_raises():
    response = Response(500, Headers(), b"boom", 0.0)
    with pytest.raises(Failure, match="HTTP 500: boom"):
        require(response)
    require(Response(200, Headers(), b"", 0.0))


def test_a_redirect_names_its_place_and_no_secret():
    failure = judge(302, Headers([("location", "https://u:s3cr3t@h:8443/login?token=s3cr3t#x")]), b"")
    assert failure.detail == "HTTP 302 to https://h:8443/login"
    assert judge(302, Headers([("location", "http://[::1/")]), b"").detail == "HTTP 302"
    assert judge(302, Headers([("location", "/in")]), b"").detail == "HTTP 302 to /in"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":{"message":"no such model","code":404}}', "no such model"),
        (b'{"error":"text"}', "text"),
        (b'{"error":{"code":"x"}}', "x"),
        (b'{"error":{}}', '{"error":{}}'),
        (b'{"object":"error","message":"flat"}', "flat"),
        (b'{"error_code":"BAD","message":"mlflow","stack_trace":"long"}', "mlflow"),
        (b'{"detail":"Not Found"}', "Not Found"),
        (b'{"detail":[{"loc":["body","inputs"],"msg":"missing"}]}', "body.inputs: missing"),
        (b"<h1>plain</h1>", "<h1>plain</h1>"),
        (b"{broken", "{broken"),
        (b"", ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'{"error":' + b"[" * 2000, None),
    ],
)
def test_message_is_for_people(body, text):
    found = message(body)
    assert len(found) <= 200
    if text is not None:
        assert found == text


def test_what_is_no_error_has_no_error_text():
    for value in ({}, {"error": None}, {"error": False}, {"detail": "x", "data": []}, [], "error", {"message": "hi"}):
        assert error_text(value) == ""


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "9" * 40}, None),
        ({"retry-after": "Mon, 23 Nov 2026 08:00:30 GMT", "date": "Mon, 23 Nov 2026 08:00:00 GMT"}, 30.0),
        ({"retry-after": "Mon, 23 Nov 2026 07:00:00 GMT", "date": "Mon, 23 Nov 2026 08:00:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 23 Nov 2026 08:00:30 GMT"}, 40.0),
        ({"retry-after": "Mon, 99 Nov 2026 08:00:30 GMT"}, None),
    ],
)
def test_retry_after(headers, seconds):
    now = 1795420830.0 - 40.0  # 40 s before 08:00:30
    assert retry_after(Headers(list(headers.items())), now) == seconds
