"""One dashboard in the making: rows of panels that look and behave alike.

In a query `{*` stands for the matchers of the dashboard's variables: `up{*}`, `up{*, state="healthy"}`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

from grafana_foundation_sdk.builders import bargauge, common, heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

TAG = "model-exporter"
SOURCE = models.DataSourceRef("prometheus", "${datasource}")

#: Colours of limits: the first holds from the start, each other from its value on.
Steps = Sequence[tuple[float | None, str]]
#: Number -> text and colour shown in its place.
Names = Mapping[int, tuple[str, str]]

NEUTRAL: Steps = ((None, "blue"),)
NONE_IS_GOOD: Steps = ((None, "green"), (1, "red"))
ONE_IS_GOOD: Steps = ((None, "red"), (1, "green"))
RATIO: Steps = ((None, "red"), (0.95, "orange"), (0.99, "green"))

#: Name and title of each dashboard.
TITLES = {
    "fleet": "Fleet",
    "model": "One model",
    "streams": "LLM streams",
    "training": "Training and evaluation",
    "internals": "Exporter internals",
}
#: What is chosen here is chosen there: of links from one dashboard to another.
_CHOSEN = "?${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
#: From a target in a table or legend to its own dashboard.
_TO_MODEL = f"/d/{TAG}-model{_CHOSEN}&${{__url_time_range}}&var-target="

_REFS = "ABCDEFGH"

#: Between two points of what is counted: canaries run once a minute by default, and a rate wants two runs.
_STEP = "2m"
#: Milliseconds without runs, of probes that run less often, over which a line goes on.
_BRIDGED = 15 * 60_000

_Panel = stat.Panel | timeseries.Panel | table.Panel | heatmap.Panel | statetimeline.Panel | bargauge.Panel


class Q(NamedTuple):
    """A PromQL expression and the legend of its series."""

    expr: str
    legend: str = "__auto"


class Variable(NamedTuple):
    """A choice of label values, all by default. With `every` None exactly one is chosen."""

    name: str
    label: str
    query: str
    every: str | None = ".+"

    @property
    def matcher(self) -> str:
        """How a selector asks for what was chosen."""
        return f'{self.name}="${self.name}"' if self.every is None else f'{self.name}=~"${self.name}"'


#: Which exporter: every dashboard asks this first.
JOB = Variable("job", "Job", "label_values(model_exporter_build_info, job)")
INSTANCE = Variable("instance", "Instance", 'label_values(model_exporter_build_info{job=~"$job"}, instance)')


class Board:
    """Panels are added in reading order; 24 columns are a line. `selected` narrows every `{*`, others stand in queries
    by name.
    """

    def __init__(
        self,
        name: str,
        description: str,
        *,
        selected: Sequence[Variable] = (),
        others: Sequence[Variable] = (),
        since: str = "now-6h",
    ) -> None:
        chosen = (JOB, INSTANCE, *selected)
        self._matchers = ", ".join(variable.matcher for variable in chosen)
        self._panels = 0
        self._board = (
            builders.Dashboard(f"Model exporter / {TITLES[name]}")
            .uid(f"{TAG}-{name}")
            .description(description)
            .tags([TAG])
            .readonly()
            .timezone("browser")
            .time(since, "now")
            .refresh("1m")
            .tooltip(models.DashboardCursorSync.CROSSHAIR)
            .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        )
        for variable in (*chosen, *others):
            self._board.with_variable(_choice(variable))
        for other, title in TITLES.items():
            if other != name:
                # A target of the fleet or of its own dashboard is the one whose streams are asked for.
                target = "&${target:queryparam}" if other == "streams" and "target" in self._matchers else ""
                link = builders.DashboardLink(title).type(models.DashboardLinkType.LINK).keep_time(True)
                self._board.link(link.url(f"/d/{TAG}-{other}{_CHOSEN}{target}"))

    def json(self) -> str:
        """The dashboard as Grafana imports it."""
        return JSONEncoder(indent=2, sort_keys=True).encode(self._board.build()) + "\n"

    def row(self, title: str) -> Self:
        """A heading; the panels that follow stand under it."""
        self._panels += 1
        self._board.with_row(builders.Row(title).id(self._panels))
        return self

    def stat(
        self,
        title: str,
        text: str,
        *queries: Q,
        unit: str = "short",
        steps: Steps = NEUTRAL,
        names: Names | None = None,
        width: int = 4,
        colors: Mapping[str, str] | None = None,
    ) -> Self:
        """The number of now, large."""
        panel = (
            stat.Panel()
            .color_mode(look.BigValueColorMode.BACKGROUND_SOLID if names else look.BigValueColorMode.VALUE)
            .graph_mode(look.BigValueGraphMode.NONE)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .thresholds(_thresholds(steps))
        )
        if names:
            panel.mappings([_mapping(names)])
        for name, color in (colors or {}).items():
            panel.override_by_name(name, [_color(color)])
        return self._add(panel, title, text, queries, unit, width, 4, instant=True)

    def graph(
        self,
        title: str,
        text: str,
        *queries: Q,
        unit: str = "short",
        width: int = 12,
        stacked: bool = False,
        bottom: float | None = 0,
        top: float | None = None,
        colors: Mapping[str, str] | None = None,
        link: bool = False,
        dashed: str = "",
    ) -> Self:
        """Lines over time. `bottom` and `top` end the axis; `dashed` is a regular expression for legends of limits."""
        panel = (
            timeseries.Panel()
            .fill_opacity(30 if stacked else 8)
            .show_points(look.VisibilityMode.AUTO)
            .legend(
                common.VizLegendOptions()
                .show_legend(True)
                .display_mode(look.LegendDisplayMode.TABLE)
                .placement(look.LegendPlacement.BOTTOM)
                .calcs(["lastNotNull", "max"])
            )
            .tooltip(common.VizTooltipOptions().mode(look.TooltipDisplayMode.MULTI).sort(look.SortOrder.DESCENDING))
        )
        if stacked:
            panel.stacking(common.StackingConfig().mode(look.StackingMode.NORMAL))
        if any("$__rate_interval" in query.expr for query in queries):
            panel.interval(_STEP).span_nulls(_BRIDGED)
        if bottom is not None:
            panel.min(bottom)
        if top is not None:
            panel.max(top)
        for name, color in (colors or {}).items():
            panel.override_by_name(name, [_color(color)])
        if dashed:
            style = {"fill": "dash", "dash": [8, 8]}
            panel.override_by_regexp(
                dashed,
                [
                    models.DynamicConfigValue("custom.lineStyle", style),
                    models.DynamicConfigValue("custom.fillOpacity", 0),
                ],
            )
        if link:
            panel.data_links([_link("${__field.labels.target:percentencode}")])
        return self._add(panel, title, text, queries, unit, width, 9)

    def timeline(self, title: str, text: str, query: Q, names: Names, *, height: int = 8, link: bool = False) -> Self:
        """A band per series, coloured by `names`."""
        panel = (
            statetimeline.Panel()
            .mappings([_mapping(names)])
            .thresholds(_thresholds(((None, "text"),)))
            .show_value(look.VisibilityMode.AUTO)
            .merge_values(True)
            .row_height(0.8)
            .fill_opacity(85)
            .legend(
                common.VizLegendOptions()
                .show_legend(False)
                .display_mode(look.LegendDisplayMode.LIST)
                .placement(look.LegendPlacement.BOTTOM)
                .calcs([])
            )
        )
        if link:
            panel.data_links([_link("${__field.labels.target:percentencode}")])
        return self._add(panel, title, text, [query], "none", 24, height)

    def heat(self, title: str, text: str, query: Q, *, unit: str = "s", width: int = 12) -> Self:
        """A histogram over time: give it the increase of its buckets by `le`."""
        panel = (
            heatmap.Panel()
            .calculate(False)
            .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Turbo"))
            .y_axis(heatmap.YAxisConfig().unit(unit))
            .cell_gap(1)
            .show_legend()
            .interval(_STEP)
        )
        return self._add(panel, title, text, [query._replace(legend="{{le}}")], unit, width, 9, PromQueryFormat.HEATMAP)

    def bars(
        self, title: str, text: str, query: Q, *, unit: str, steps: Steps, width: int = 8, top: float | None = None
    ) -> Self:
        """A bar per series, of now."""
        panel = (
            bargauge.Panel()
            .orientation(look.VizOrientation.HORIZONTAL)
            .display_mode(look.BarGaugeDisplayMode.BASIC)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .thresholds(_thresholds(steps))
            .min(0)
        )
        if top is not None:
            panel.max(top)
        return self._add(panel, title, text, [query], unit, width, 9, instant=True)

    def table(
        self,
        title: str,
        text: str,
        columns: Mapping[str, Q],
        *,
        width: int = 24,
        units: Mapping[str, str] | None = None,
        names: Mapping[str, Names] | None = None,
        height: int = 9,
    ) -> Self:
        """A row for each set of labels, of now. Each query is a column of that name; without a name it gives labels
        alone.
        """
        panel = table.Panel().thresholds(_thresholds(((None, "text"),)))
        panel.with_transformation(models.DataTransformerConfig("merge", options={}))
        fields = ["Value"] if len(columns) == 1 else [f"Value #{ref}" for ref in _REFS]
        named = dict(zip(fields, columns, strict=False))
        dropped = ["Time", *(field for field, name in named.items() if not name)]
        renamed = {field: name for field, name in named.items() if name}
        options = {"excludeByName": dict.fromkeys(dropped, True), "renameByName": renamed}
        panel.with_transformation(models.DataTransformerConfig("organize", options=options))
        for name, unit in (units or {}).items():
            panel.override_by_name(name, [models.DynamicConfigValue("unit", unit)])
        for name, mapped in (names or {}).items():
            cell = models.DynamicConfigValue("custom.cellOptions", {"type": "color-background", "mode": "basic"})
            panel.override_by_name(name, [models.DynamicConfigValue("mappings", [_mapping(mapped)]), cell])
        if any("by (target" in query.expr for query in columns.values()):
            link = _link("${__value.raw:percentencode}").build()
            panel.override_by_name("target", [models.DynamicConfigValue("links", [link])])
        return self._add(
            panel, title, text, columns.values(), "short", width, height, PromQueryFormat.TABLE, instant=True
        )

    def _add(
        self,
        panel: _Panel,
        title: str,
        text: str,
        queries: Iterable[Q],
        unit: str,
        width: int,
        height: int,
        shape: PromQueryFormat = PromQueryFormat.TIME_SERIES,
        *,
        instant: bool = False,
    ) -> Self:
        self._panels += 1
        panel.id(self._panels).title(title).description(text).datasource(SOURCE).unit(unit).span(width).height(height)
        for ref, query in zip(_REFS, queries, strict=False):
            expr = query.expr.strip().replace("{*", f"{{{self._matchers}")
            asked = Dataquery().expr(expr).legend_format(query.legend).format(shape).ref_id(ref).datasource(SOURCE)
            panel.with_target(asked.instant() if instant else asked.range())
        self._board.with_panel(panel)
        return self


def _choice(variable: Variable) -> builders.QueryVariable:
    choice = (
        builders.QueryVariable(variable.name)
        .label(variable.label)
        .query({"query": variable.query, "refId": f"variable-{variable.name}"})
        .datasource(SOURCE)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
    )
    if variable.every is None:
        return choice
    everything = models.VariableOption(selected=True, text="All", value="$__all")
    return choice.multi(True).include_all(True).all_value(variable.every).current(everything)


def _thresholds(steps: Steps) -> builders.ThresholdsConfig:
    found = [models.Threshold(value, color) for value, color in steps]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def _mapping(names: Names) -> models.ValueMap:
    shown = {str(code): models.ValueMappingResult(text, color) for code, (text, color) in names.items()}
    return models.ValueMap(shown)


def _color(color: str) -> models.DynamicConfigValue:
    return models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})


def _link(target: str) -> builders.DashboardLink:
    return builders.DashboardLink("This model").type(models.DashboardLinkType.LINK).url(_TO_MODEL + target)
