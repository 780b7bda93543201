"""What `probe --json` prints."""

import json

from exporter.cli.probe_json import document, healthy
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from tests.cli.make import report, result, streamed


def test_the_shape_is_stable() -> None:
    metadata = result(
        Kind.METADATA, seen=Observation(info={"model_id": "tiny"}, facts={"max_model_len": 8192.0}), address="127.0.0.1"
    )
    stream = result(Kind.STREAM, duration=0.72, seen=streamed(0.1), response_bytes=900)
    assert json.loads(json.dumps(document([report(metadata, stream)]))) == {
        "url": "http://127.0.0.1:8000",
        "healthy": True,
        "detection": {
            "protocol": "openai",
            "server": "vllm",
            "probes": ["health", "ready", "metadata"],
            "why": "GET /v1/models lists a model owned by vllm",
        },
        "info": {"model_id": "tiny"},
        "facts": {"max_model_len": 8192.0},
        "probes": [
            {
                "probe": "metadata",
                "kind": "metadata",
                "runs": [
                    {
                        "at": 1790000000.0,
                        "status": "healthy",
                        "reason": None,
                        "detail": "",
                        "attempts": 1,
                        "failures": [],
                        "duration_seconds": 0.0031,
                        "phases_seconds": {"connect": 0.0003, "first_byte": 0.0022, "transfer": 0.0001},
                        "http_status": 200,
                        "response_bytes": None,
                        "address": "127.0.0.1",
                        "certificate_not_after": None,
                        "trace_id": "0af7651916cd43dd8448eb211c80319c",
                        "suspect": False,
                        "stamps": "loop",
                        "answer": "",
                        "stream": None,
                        "server_seconds": {},
                        "tokens": None,
                    }
                ],
                "summary": {
                    "runs": 1,
                    "healthy": 1,
                    "duration_seconds": {"min": 0.0031, "median": 0.0031, "max": 0.0031},
                    "ttft_seconds": None,
                    "output_tokens_per_second": None,
                },
            },
            {
                "probe": "stream",
                "kind": "stream",
                "runs": [
                    {
                        "at": 1790000000.0,
                        "status": "healthy",
                        "reason": None,
                        "detail": "",
                        "attempts": 1,
                        "failures": [],
                        "duration_seconds": 0.72,
                        "phases_seconds": {"connect": 0.0003, "first_byte": 0.0022, "transfer": 0.0001},
                        "http_status": 200,
                        "response_bytes": 900,
                        "address": "",
                        "certificate_not_after": None,
                        "trace_id": "0af7651916cd43dd8448eb211c80319c",
                        "suspect": False,
                        "stamps": "loop",
                        "answer": "OK. All tokens are in the right place.",
                        "stream": {
                            "outcome": "complete",
                            "ttft_seconds": {"reasoning": 0.1, "content": 0.2},
                            "max_gap_seconds": 0.04,
                            "token_events": 13,
                            "time_per_output_token_seconds": 0.025,
                            "output_tokens_per_second": 40.0,
                        },
                        "server_seconds": {"prefill": 0.09, "decode": 0.3},
                        "tokens": {"input": 6, "output": 9, "reasoning": 4, "cached": 0},
                    }
                ],
                "summary": {
                    "runs": 1,
                    "healthy": 1,
                    "duration_seconds": {"min": 0.72, "median": 0.72, "max": 0.72},
                    "ttft_seconds": {"min": 0.1, "median": 0.1, "max": 0.1},
                    "output_tokens_per_second": {"min": 40.0, "median": 40.0, "max": 40.0},
                },
            },
        ],
    }


def test_one_bad_run_in_any_round_is_not_healthy() -> None:
    good, bad = report(result()), report(result(reason=Reason.TIMEOUT, duration=None))
    assert healthy([good, good])
    assert not healthy([good, bad, good])
    assert not healthy([report()])
    summary = document([good, bad, good])["probes"][0]["summary"]
    assert (summary["runs"], summary["healthy"]) == (3, 2)
    assert summary["duration_seconds"] == {"min": 0.0031, "median": 0.0031, "max": 0.0031}


def test_a_model_that_was_left_asleep_is_no_bad_answer() -> None:
    asleep = report(result(Kind.INFER, detail="not loaded", skipped="asleep"))
    assert healthy([asleep, report(result())])
    probe = document([asleep])["probes"][0]
    assert (probe["runs"][0]["status"], probe["runs"][0]["detail"]) == ("asleep", "not loaded")
    assert (probe["summary"]["runs"], probe["summary"]["healthy"]) == (0, 0)


def test_a_server_that_was_not_recognised() -> None:
    written = document([report(result(reason=Reason.AUTH, protocol="auto"), found=None)])
    assert written["detection"] is None
    assert written["probes"][0]["runs"][0]["reason"] == "auth"
