"""The config that `init` writes."""

from typing import Any

import yaml

from exporter.cli.propose import Canary, Entry, write

KINDS = ("health", "ready", "metadata")
CHAT = {"interval": "1m", "timeout": "30s", "prompt": "Say OK.", "max_tokens": 16}


def entry(url: str = "http://127.0.0.1:8000", **more: Any) -> Entry:
    values: dict[str, Any] = {
        "url": url, "protocol": "openai", "server": "vllm", "why": "it says so", "model": "tiny", "others": (),
        "probes": KINDS, "canary": None,
    }  # fmt: skip
    return Entry(**(values | more))


def test_a_target_with_a_canary_that_passed() -> None:
    text = write([entry(canary=Canary("stream", CHAT, "does it speak? It costs"))])
    assert yaml.safe_load(text) == {
        "targets": [
            {
                "name": "tiny",
                "url": "http://127.0.0.1:8000",
                "protocol": "openai",
                "model": "tiny",
                "probes": {
                    "health": {},
                    "ready": {},
                    "metadata": {},
                    "stream": {"interval": "1m", "timeout": "30s", "prompt": "Say OK.", "max_tokens": 16},
                },
            }
        ]
    }
    assert "# openai (vllm)" in text
    assert "# it says so" in text
    assert "# The real question: does it speak? It costs.\n" in text


def test_a_canary_that_did_not_pass_is_a_comment_that_can_be_taken_back() -> None:
    settings = {
        "interval": "1m",
        "inputs": [
            {"name": "1m", "shape": [1, 2], "datatype": "FP32", "data": [0.0, 0.0]},
            {"name": "no", "shape": [1], "datatype": "BYTES", "data": ["text"]},
        ],
    }
    trouble = "http_status: \x1bHTTP 400\nno"
    text = write([entry(canary=Canary("infer", settings, "Zeros.", trouble, misfit=True))])
    assert set(yaml.safe_load(text)["targets"][0]["probes"]) == set(KINDS)
    assert "Left out, for when it was tried: http_status: HTTP 400 no" in text
    marked = ("      # infer", "      #   ")
    back = "\n".join(line.replace("# ", "", 1) if line.startswith(marked) else line for line in text.splitlines())
    assert yaml.safe_load(back)["targets"][0]["probes"]["infer"] == settings


def test_a_canary_that_only_came_at_a_bad_moment_stays() -> None:
    text = write([entry(canary=Canary("stream", CHAT, "It costs.", "timeout: no end within 30 s"))])
    assert "stream" in yaml.safe_load(text)["targets"][0]["probes"]
    assert "It did not pass when it was tried just now: timeout: no end within 30 s" in text


def test_names_are_unique() -> None:
    text = write([entry(), entry("http://127.0.0.1:8001"), entry("http://127.0.0.1:8001?a=b"), entry(model="")])
    names = [target["name"] for target in yaml.safe_load(text)["targets"]]
    assert names == ["tiny", "127.0.0.1:8001/tiny", "127.0.0.1:8001/tiny-2", "127.0.0.1:8000"]


def test_a_server_that_did_not_tell_is_asked_again_later() -> None:
    text = write([entry(protocol="", server="", why="connect_refused: nobody", model="", probes=())])
    assert yaml.safe_load(text)["targets"] == [
        {"name": "127.0.0.1:8000", "url": "http://127.0.0.1:8000", "protocol": "auto"}
    ]
    assert "# connect_refused: nobody" in text


def test_what_servers_say_stays_in_its_place() -> None:
    evil = 'x"\n  - {url: "http://evil"}\u2028#'
    text = write([entry(model=evil, server=evil, why=evil, others=(evil,), url="http://h:1/p?q='\"")])
    targets = yaml.safe_load(text)["targets"]
    assert len(targets) == 1
    assert targets[0]["model"] == evil
    assert targets[0]["url"] == "http://h:1/p?q='\""


def test_models_beyond_the_first_few_are_named() -> None:
    text = write([entry(others=("b", "c\u2028d"))])
    assert "# also served here, each to be a target of its own: b, c d\n" in text
    assert len(yaml.safe_load(text)["targets"]) == 1


def test_a_canary_nobody_can_guess_is_asked_for() -> None:
    text = write([entry(wanting=("infer", "stream"))])
    assert "# The real question is missing: add infer or stream with a request that this server answers." in text
    assert "missing" not in write([entry(wanting=("infer",), canary=Canary("infer", CHAT, "?"))])
    assert "missing" not in write([entry()])


def test_whatever_a_server_calls_its_parameters_the_file_can_be_read() -> None:
    body = {
        "a: {b": "x",
        "no": 'y"\u2028\x85\x07 \U0001f600',
        "plain_key": [True, None, {"1": 2.5, "": []}],
        "~": {},
    }
    text = write([entry(canary=Canary("infer", {"body": body}, "Odd."))])
    assert yaml.safe_load(text)["targets"][0]["probes"]["infer"]["body"] == body
