"""`check --cost`: what a config will use in a day, and which budgets have a say in that."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Invoke = Callable[..., Result]
Cost = Callable[[str], list[str]]

#: 32 bytes of JSON and a bound: 11 + 10 tokens.
BODY = "body: {inputs: aaaa, max_tokens: 10}"
NOTE = "While a canary fails it is asked sooner: only a budget bounds that."


@pytest.fixture
def cost(invoke: Invoke, tmp_path: Path) -> Cost:
    def run(text: str) -> list[str]:
        path = tmp_path / "models.yml"
        path.write_text(text)
        result = invoke(["check", "--cost", path])
        assert result.exit_code == 0, result.output
        return [line.replace(f"{path}:", "") for line in result.stdout.splitlines()]

    return run


def config(*targets: str, more: str = "") -> str:
    listed = "".join(f"  - {{url: 'http://127.0.0.1:8000', protocol: tgi, {target}}}\n" for target in targets)
    return f"{more}\ntargets:\n{listed}"


def infer(every: str, more: str = "") -> str:
    return f"probes: {{health: {{}}, infer: {{interval: {every}, {BODY}{more}}}}}"


def test_a_table_and_the_sums(cost: Cost) -> None:
    told = cost(config(f"name: a, {infer('1h')}", f"name: b, {infer('1m', ', retry: {attempts: 2}')}"))
    assert told == [
        "TARGET  PROBE  RUNS/DAY  TOKENS/RUN  TOKENS/DAY  REQUESTS/DAY  CAPPED BY",
        "a       infer        24          21         504            24",
        "b       infer     1,440          42      60,480         2,880",
        "2 canaries, a day: 60,984 tokens, 2,904 requests",
        NOTE,
        "good: 2 targets, 4 probes",
    ]


def test_budgets_that_are_too_small_for_it_are_named(cost: Cost) -> None:
    told = cost(
        config(
            f"name: a, {infer('1m')}, budget: {{tokens: 1000, per: 1h}}",
            f"name: b, {infer('1h')}, budget: {{tokens: 1000, requests: 30}}",
            f"name: c, {infer('1h')}",
            more="limits: {budget: {requests: 500}}",
        )
    )
    assert [line.split("  ")[-1] for line in told[1:4]] == [
        "its budget: 1,000 tokens per 1h",
        "limits.budget: 500 requests per 1d",
        "limits.budget: 500 requests per 1d",
    ]
    assert told[4:6] == [
        "3 canaries, a day: 31,248 tokens, 1,488 requests",
        "with budgets: at most 25,008 tokens, 500 requests",
    ]


def test_replicas_cost_each(cost: Cost) -> None:
    told = cost(config(f"name: a, {infer('1h')}, replicas: [10.0.0.1, 10.0.0.2]"))
    assert told[1].split() == ["a", "(2", "addresses)", "infer", "48", "21", "1,008", "48"]
    told = cost(config(f"name: a, {infer('1h')}, replicas: dns").replace("127.0.0.1", "localhost"))
    assert told[1].split() == ["a", "(each", "address)", "infer", "24", "21", "504", "24"]


@pytest.mark.parametrize(("expected", "names"), [("", ["gw/MODEL"]), (", expected: [x, y]", ["gw/x", "gw/y"])])
def test_models_that_a_catalogue_will_list(cost: Cost, expected: str, names: list[str]) -> None:
    told = cost(
        f"modules: {{m: {{protocol: tgi, {infer('1h')}}}}}\n"
        f"discovery: [{{name: gw, module: m, catalogue: {{url: 'http://127.0.0.1:4000', protocol: tgi{expected}}}}}]\n"
    )
    assert [line.split(" infer")[0].strip() for line in told if "infer" in line] == [
        f"{name} (each model)" for name in names
    ]


def test_a_config_without_a_canary(cost: Cost) -> None:
    assert cost("targets: [{url: 'http://127.0.0.1:8000'}]\n") == [
        "no canary: nothing that is asked costs tokens or makes a model work",
        "good: 1 target, 1 probe",
    ]


def test_a_budget_without_room_for_one_run_is_a_warning(cost: Cost) -> None:
    told = cost(
        config(
            f"name: a, {infer('1m')}, budget: {{tokens: 20}}",
            f"name: b, {infer('1m', ', retry: {attempts: 3}')}",
            more="limits: {budget: {requests: 2}}",
        )
    )
    assert told[0] == "1:18: limits.budget: less than one run of infer may use (63 tokens, 3 requests): it never runs"
    assert told[1].endswith(
        "targets[0].budget: less than one run of infer may use (21 tokens, 1 request): it never runs"
    )
    assert told[-1] == "good: 2 targets, 4 probes, 2 warnings"


def test_without_the_option_there_is_no_table(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "models.yml"
    path.write_text(config(f"name: a, {infer('1h')}"))
    assert invoke(["check", path]).output == "good: 1 target, 2 probes\n"
