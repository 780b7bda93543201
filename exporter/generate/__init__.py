"""Files for Grafana that come with the package, for those who install no Helm chart."""

#: The dashboards, in the order in which one reads them.
DASHBOARDS = ("fleet", "model", "streams", "training", "internals")


def dashboard(name: str) -> str:
    """One of DASHBOARDS, as JSON that Grafana imports."""
    from importlib import resources  # 10 ms, and most commands need none

    return (resources.files(__name__) / "dashboards" / f"{name}.json").read_text("utf-8")


def title(name: str) -> str:
    """What a dashboard calls itself."""
    import json

    found: str = json.loads(dashboard(name))["title"]
    return found
