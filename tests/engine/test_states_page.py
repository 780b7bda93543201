"""docs/states.md says what the table does, and the runbooks lead to it."""

import re
from pathlib import Path

import pytest
import yaml

from exporter.engine.table import Case, Signs, Standing, decide
from exporter.model.failure import Evidence
from exporter.model.state import State

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "states.md").read_text()
RULES = [
    rule
    for path in sorted((DOCS.parent / "deploy" / "rules").glob("*.rules.yaml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]
#: Alerts about what is thought of targets while nobody looks.
BLIND = ("ModelExporterDown", "ModelExporterOverloaded", "ModelProbeStale")
#: The pages of those, and of alerts about the state of a target.
RUNBOOKS = sorted(
    {
        DOCS / "runbooks" / rule["annotations"]["runbook_url"].rpartition("/")[2]
        for rule in RULES
        if rule.get("alert") in BLIND or ("alert" in rule and re.search("model_probe_(state|verified)", rule["expr"]))
    }
)


def rows(head: str) -> list[list[str]]:
    """The rows of the table that begins with this cell."""
    lines = PAGE.split(f"\n| {head} |")[1].splitlines()
    found = [[head, *(cell.strip() for cell in lines[0].split("|")[:-1])]]
    for line in lines[2:]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def names(cell: str) -> list[Evidence]:
    return [Evidence(name) for name in cell.split(", ")]


def test_every_state_has_its_row():
    assert [row[0].strip("`") for row in rows("state")[1:]] == [str(state) for state in State]


def test_the_table_is_the_one_that_decides():
    head, *body = rows(r"cheap \ canary")
    seen = set()
    for cheap_names, *cells in body:
        for cheap in names(cheap_names) + ([Evidence.ABSENT] if cheap_names == "none" else []):
            for column, cell in zip(head[1:], cells, strict=True):
                for case in cases(cheap, column):
                    assert decide(case).state == meant(cell, case), (case, cell)
                    seen.add((case.cheap, case.canary, case.standing))
    assert len(seen) == len(Evidence) * (len(Evidence) - 2 + len(Standing) - 1)


def cases(cheap: Evidence, column: str) -> list[Case]:
    silent = {"none, passed over, too old": (Standing.ABSENT, Standing.SKIPPED, Standing.EXPIRED)}
    silent["pending"] = (Standing.PENDING,)
    spoken = [] if column in silent else names(column)
    found = [Case(cheap, Evidence.NONE, standing) for standing in silent.get(column, ())]
    for canary in spoken:
        for load in (Signs(), Signs(queue=True), Signs(progress=True)):
            for scope in {False, cheap is Evidence.LOADING}:
                loading = cheap is Evidence.LOADING
                found.append(Case(cheap, canary, Standing.CURRENT, True, loading, scope, load))
    return found


def meant(cell: str, case: Case) -> State | None:
    match cell:
        case "as before":
            return None
        case "healthy, not verified":
            return State.HEALTHY
        case "zombie, or saturated by its load":
            return State.SATURATED if case.load.working else State.ZOMBIE
        case "loading, or healthy when only the server says so":
            return State.LOADING if case.model_loading else State.HEALTHY
    return State(cell)


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_leads_to_the_page(path):
    links = re.findall(r"\]\(\.\./states\.md(?:#([a-z-]+))?\)", path.read_text())
    assert links
    headings = {
        re.sub(r"[^a-z -]", "", line[3:].lower()).replace(" ", "-") for line in PAGE.splitlines() if "## " in line
    }
    assert {link for link in links if link} <= headings


def test_what_the_page_names_exists():
    for link in re.findall(r"\]\((?!http)([^)#]+)", PAGE):
        assert (DOCS / link).is_file(), link
    known = (DOCS / "reference" / "metrics.md").read_text()
    for metric in re.findall(r"`(model_probe_\w+)", PAGE):
        assert f"`{metric}`" in known, metric
