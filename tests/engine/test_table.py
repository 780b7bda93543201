"""The table is total, and says what is printed here for every combination of evidence."""

import itertools
from dataclasses import replace

from exporter.engine.table import Case, Signs, Standing, decide
from exporter.model.failure import Evidence
from exporter.model.state import State

# Canary current, an ok cheap side confirmed. "held": the state stays. "zombie*": saturated when the load reading shows
# a queue or progress. "loading~": only where ready says so of the model itself, else healthy. A healthy that rests on a
# canary is saturated from a queue on that the operator takes for too much.
MATRIX = """
K \\ C   | ok       | busy      | loading | refused   | wrong     | broken    | slow      | dead      | silent    | pending
ok      | healthy  | saturated | loading | unhealthy | unhealthy | zombie    | zombie*   | zombie    | healthy   | held
busy    | healthy  | saturated | loading | unhealthy | unhealthy | unhealthy | saturated | unhealthy | saturated | saturated
loading | loading~ | saturated | loading | loading   | loading   | loading   | loading   | loading   | loading   | loading
refused | healthy  | saturated | loading | unhealthy | unhealthy | unhealthy | unhealthy | unhealthy | unhealthy | unhealthy
wrong   | healthy  | saturated | loading | unhealthy | unhealthy | unhealthy | unhealthy | unhealthy | unhealthy | unhealthy
broken  | healthy  | saturated | loading | unhealthy | unhealthy | unhealthy | unhealthy | unhealthy | unhealthy | unhealthy
slow    | healthy  | saturated | loading | unhealthy | unhealthy | unhealthy | error     | error     | error     | error
dead    | healthy  | error     | error   | error     | error     | error     | error     | error     | error     | error
none    | healthy  | saturated | loading | unhealthy | unhealthy | unhealthy | error     | error     | unknown   | unknown
absent  | healthy  | saturated | loading | unhealthy | unhealthy | unhealthy | error     | error     | unknown   | unknown
"""  # noqa: E501
WORSE_THAN_LOADING = {Evidence.DEAD, Evidence.SLOW, Evidence.BROKEN, Evidence.REFUSED, Evidence.WRONG}
SPOKEN = [evidence for evidence in Evidence if evidence not in (Evidence.NONE, Evidence.ABSENT)]


def matrix():
    head, *rows = (line for line in MATRIX.splitlines() if line.strip())
    columns = [cell.strip() for cell in head.split("|")][1:]
    table = {}
    for row in rows:
        name, *cells = (cell.strip() for cell in row.split("|"))
        table[Evidence(name)] = dict(zip(columns, cells, strict=True))
    return table


TABLE = matrix()


def combinations():
    """Every combination that can be: a cheap probe says loading where K is loading, and maybe where K is worse."""
    canaries = [(evidence, Standing.CURRENT) for evidence in SPOKEN]
    canaries += [(Evidence.NONE, standing) for standing in Standing if standing is not Standing.CURRENT]
    loads = [Signs(*each) for each in itertools.product((False, True), repeat=3)]
    flags = itertools.product((False, True), repeat=2)
    for cheap, (canary, standing), confirmed, load, (says, model), maintenance in itertools.product(
        Evidence, canaries, (False, True), loads, list(flags), (False, True)
    ):
        if (model and not says) or (says and cheap not in WORSE_THAN_LOADING | {Evidence.LOADING}):
            continue
        if cheap is Evidence.LOADING and not says:
            continue
        yield Case(cheap, canary, standing, confirmed, says, model, load, maintenance)


def expected(case):
    """The matrix, and what it leaves to the rows: ready loading beside a worse health, and the unconfirmed."""
    if case.maintenance:
        return None
    if case.standing is not Standing.CURRENT:
        column = "pending" if case.standing is Standing.PENDING else "silent"
        cell = TABLE[case.cheap][column]
        return None if cell == "held" else State(cell)
    if case.says_loading and case.cheap is not Evidence.LOADING:
        if case.canary is Evidence.OK and case.model_loading:
            return State.LOADING
        gone = case.cheap is Evidence.SLOW and case.canary in (Evidence.SLOW, Evidence.DEAD)
        if case.canary not in (Evidence.OK, Evidence.BUSY) and case.cheap is not Evidence.DEAD and not gone:
            return State.LOADING
    cell = TABLE[case.cheap][case.canary.value]
    if cell == "loading~":
        cell = "loading" if case.model_loading else "healthy"
    if cell == "healthy" and case.load.over:
        return State.SATURATED
    if cell.startswith("zombie"):
        if cell == "zombie*" and (case.load.queue or case.load.progress):
            return State.SATURATED
        return State.ZOMBIE if case.confirmed else None
    return State(cell)


def test_every_combination():
    cases = list(combinations())
    assert len(cases) > 6000
    for case in cases:
        assert decide(case).state == expected(case), case


def test_every_row_is_reached():
    assert {decide(case).row for case in combinations()} == set(range(1, 21))


def test_a_state_is_held_only_while_a_run_will_end_it():
    for case in combinations():
        if decide(case).state is None and not case.maintenance:
            assert case.cheap is Evidence.OK
            assert case.standing is Standing.PENDING or not case.confirmed


def test_load_alone_neither_heals_nor_breaks():
    """What was read of the load tells saturated from healthy and from zombie, and decides nothing else."""
    for case in combinations():
        plain, read = decide(replace(case, load=Signs())).state, decide(case).state
        if plain is not read:
            assert read is State.SATURATED
            assert plain in (State.HEALTHY, State.ZOMBIE, None)


def test_a_refusal_is_never_a_zombie():
    for case in combinations():
        if case.canary in (Evidence.REFUSED, Evidence.WRONG):
            assert decide(case).state is not State.ZOMBIE
