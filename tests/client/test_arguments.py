"""What is wrong is told before anything is sent."""

import subprocess
import sys
from typing import Any

import pytest

from exporter import ModelClient
from tests.client.conftest import Fake
from tests.client.test_client import X

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"url": "127.0.0.1:8000"}, "no scheme"),
        ({"url": "http://user:s3cr3t@h"}, "credentials"),
        ({"protocol": "opnai"}, "unknown protocol 'opnai'; known: "),
        ({"protocol": "mlflow", "url": "tcp://h:1"}, "does not go over tcp"),
        ({"done": "required"}, "done: depends on the protocol"),
        ({"protocol": "openai", "done": "maybe"}, "openai: done: "),
        ({"protocol": "openai", "dune": 1}, "dune: unknown; it takes "),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"retry": 0}, "retry"),
        ({"auth": "s3cr3t\n"}, "auth: found a control character"),
        ({"auth": ("user", "")}, "auth: found an empty secret"),
        ({"headers": {"X Y": "s3cr3t"}}, "headers"),
        ({"headers": {"a": "1", "A": "2"}}, "duplicate header"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        ModelClient(**{"url": "http://h", **arguments})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"inptus": [X]}, "inptus: unknown; it takes .*inputs"),
        ({"inputs": [{**X, "datatype": "FLOAT"}]}, r"inputs\.0\.datatype"),
        ({"inputs": [{**X, "shape": [2, 4]}]}, r"inputs\.0\.data: found 4 elements"),
        ({}, "inputs: missing"),
    ],
)
async def test_wrong_settings_are_told_before_anything_is_sent(fake: Fake, settings: dict[str, Any], said: str) -> None:
    async with ModelClient(fake.url, "open_inference", "m") as client:
        with pytest.raises(ValueError, match=f"open_inference infer: {said}"):
            await client.predict(**settings)
    assert not fake.requests


@pytest.mark.slow
def test_it_is_imported_when_it_is_asked_for_and_brings_nothing_heavy() -> None:
    code = """
import sys, exporter
assert exporter.__version__ and not any(name.startswith("exporter.") for name in sys.modules)
from exporter import ModelClient
import exporter.client
assert ModelClient is exporter.client.ModelClient
heavy = {"aiohttp", "prometheus_client", "click", "jinja2", "yaml", "grpc", "authlib", "botocore"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
try:
    exporter.Nonsense
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "module 'exporter' has no attribute 'Nonsense'\n"
