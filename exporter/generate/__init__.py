"""Files for Prometheus and Grafana that come with the package, for those who install no Helm chart."""

from collections.abc import Sequence

#: The dashboards, in the order in which one reads them.
DASHBOARDS = ("fleet", "model", "streams", "training", "internals")
#: The files of rules, in the order in which they are printed.
RULES = ("models.rules.yaml", "objectives.rules.yaml", "training.rules.yaml", "exporter.rules.yaml")

_SCRAPE = """\
scrape_configs:
  - job_name: model-exporter
    static_configs:
      - targets: [{address}]
"""
#: A probe per scrape, with the settings of a module.
_PROBE = """\
  - job_name: {job}
    metrics_path: {prefix}/probe
    params:
      module: [{module}]
    scrape_interval: 1m
    scrape_timeout: 30s
    static_configs:
      - targets: []  # urls of model servers; on_demand.allow has to cover them
    relabel_configs:
      - {{source_labels: [__address__], target_label: __param_target}}
      - {{source_labels: [__param_target], target_label: instance}}
      - {{target_label: __address__, replacement: {address}}}
"""


def dashboard(name: str) -> str:
    """One of DASHBOARDS, as JSON that Grafana imports."""
    return _text("dashboards", f"{name}.json")


def title(name: str) -> str:
    """What a dashboard calls itself."""
    import json

    found: str = json.loads(dashboard(name))["title"]
    return found


def rules() -> str:
    """The groups of all RULES as one file for `rule_files`."""
    texts = [_text("rules", name) for name in RULES]
    return texts[0] + "".join(text.partition("groups:\n")[2] for text in texts[1:])


def scrape_config(address: str, modules: Sequence[str] = (), prefix: str = "") -> str:
    """What Prometheus needs to scrape an exporter at `host:port`; a job for `/probe` with each of the modules."""
    import json

    parts = [_SCRAPE.format(address=json.dumps(address))]
    if prefix:
        parts.append(f"    metrics_path: {prefix}/metrics\n")
    for module in modules:
        job, quoted = json.dumps(f"model-exporter-{module}"), json.dumps(module)
        parts.append(_PROBE.format(job=job, module=quoted, address=json.dumps(address), prefix=prefix))
    return "".join(parts)


def _text(folder: str, name: str) -> str:
    from importlib import resources  # 10 ms, and most commands need none

    return (resources.files(__name__) / folder / name).read_text("utf-8")
