"""Write Grafana's dashboard of a served model: its requests, its answers, and the state of its replicas."""

import argparse
import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableOption, VariableRefresh
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from tabserve.cli import run
from tabserve.destination import ending
from tabserve.files import whole

SOURCE = DataSourceRef("prometheus", "prometheus")
"""The data source of deploy/grafana/provisioning."""

Panel = stat.Panel | timeseries.Panel | heatmap.Panel | table.Panel
"""A panel of any kind."""

WIDE, TALL, SHORT = 12, 8, 4
"""Width and heights of panels, in units of Grafana's grid, which is 24 wide."""

CHOSEN = '{model=~"$model"}'
"""The series of the models that are chosen at the top of the dashboard."""

LATENCY = "histogram_quantile({}, sum by (protocol, le) (rate(tabserve_request_seconds_bucket[$__rate_interval])))"

MEAN = "sum by (instance) (rate({0}_sum[$__rate_interval])) / sum by (instance) (rate({0}_count[$__rate_interval]))"


def rate(series: str, by: str = "model") -> str:
    """The rate of a counter of the chosen models, summed over the replicas."""
    return f"sum by ({by}) (rate({series}{CHOSEN}[$__rate_interval]))"


def share(series: str, by: str, rows: str = "tabserve_batch_rows_sum") -> str:
    """The rate of a counter by its labels, as a share of the rows of its model."""
    return f"{rate(series, f'model, {by}')} / on (model) group_left () {rate(rows)}"


def amount(quantile: float) -> str:
    """A quantile of the amounts that each chosen model answered."""
    return f"histogram_quantile({quantile}, {rate('tabserve_amount_quantiles_bucket', 'model, le')})"


DISTANCE = (
    f"max by (model) (abs({share('tabserve_amount_quantiles_bucket', 'le', 'tabserve_amount_count')}"
    f" - on (model, le) max by (model, le) (tabserve_amount_holdout{CHOSEN})))"
)
"""The Kolmogorov-Smirnov statistic of each chosen model's amounts against those of its hold-out."""


def query(expression: str, legend: str = "") -> prometheus.Dataquery:
    """A query of Prometheus over the time range of the dashboard."""
    return prometheus.Dataquery().datasource(SOURCE).ref_id("A").expr(expression).legend_format(legend).range()


def number(title: str, description: str, expression: str) -> stat.Panel:
    """A panel of one number: the latest value."""
    panel = stat.Panel().title(title).description(description).datasource(SOURCE).height(SHORT).span(WIDE // 2)
    return panel.with_target(query(expression).instant())


def lines(title: str, description: str, unit: str, queries: Mapping[str, str]) -> timeseries.Panel:
    """A panel of lines over time, none of which is ever below 0; `queries` has an expression for each legend."""
    return signed_lines(title, description, unit, queries).min(0)


def signed_lines(title: str, description: str, unit: str, queries: Mapping[str, str]) -> timeseries.Panel:
    """A panel of lines over time; `queries` has an expression for each legend."""
    panel = timeseries.Panel().title(title).description(description).datasource(SOURCE).unit(unit)
    for index, (legend, expression) in enumerate(queries.items()):
        panel.with_target(query(expression, legend).ref_id(chr(ord("A") + index)))
    return panel.height(TALL).span(WIDE)


def heat_map(title: str, description: str, histogram: str) -> heatmap.Panel:
    """A panel of a histogram over time."""
    panel = heatmap.Panel().title(title).description(description).datasource(SOURCE).height(TALL).span(WIDE)
    counts = query(f"sum by (le) (increase({histogram}_bucket{CHOSEN}[$__rate_interval]))", "{{le}}")
    return panel.with_target(counts.format(PromQueryFormat.HEATMAP))


def models() -> table.Panel:
    """A panel of the served models, one row for each replica."""
    panel = table.Panel().title("Models").description("The model of each replica; they differ during a rollout.")
    info = query("tabserve_model_info").instant().format(PromQueryFormat.TABLE)
    return panel.datasource(SOURCE).height(TALL).span(WIDE).with_target(info)


def choice() -> dashboard.QueryVariable:
    """The choice of models whose answers are shown."""
    variable = dashboard.QueryVariable("model").label("Model").query("label_values(tabserve_model_info, model)")
    variable.datasource(SOURCE).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    return (
        variable.multi(True).include_all(True).all_value(".*").current(VariableOption(text=["All"], value=["$__all"]))
    )


def state() -> list[Panel]:
    """Panels about what runs and what waits."""
    return [
        number("Replicas", "Replicas that answer Prometheus.", 'sum(up{job="tabserve"})'),
        number("Proxy", "1 if the proxy answers Prometheus, else 0.", 'sum(up{job="proxy"})'),
        number("Alerts", "Alerts that fire now.", 'count(ALERTS{alertstate="firing"}) or vector(0)'),
        number("Rows that wait", "Rows that wait for their scores, in all replicas.", "sum(tabserve_queue_rows)"),
    ]


def requests() -> list[Panel]:
    """Panels about requests: answered, refused, how fast, and how many wait."""
    return [
        lines(
            "Answers",
            "Requests that got a prediction, by protocol.",
            "reqps",
            {"{{protocol}}": "sum by (protocol) (rate(tabserve_request_seconds_count[$__rate_interval]))"},
        ),
        lines(
            "Refusals",
            "Requests that got none; 503 and UNAVAILABLE say that the queue is full.",
            "reqps",
            {"{{protocol}} {{status}}": "sum by (protocol, status) (rate(tabserve_rejected_total[$__rate_interval]))"},
        ),
        lines(
            "Latency",
            "Time in the server, from the last byte of a request to its answer.",
            "s",
            {f"p{quantile} {{{{protocol}}}}": LATENCY.format(quantile / 100) for quantile in (50, 95, 99)},
        ),
        lines(
            "Queue",
            "Rows that wait for their scores, by replica.",
            "short",
            {"{{instance}}": "tabserve_queue_rows"},
        ),
    ]


def batches() -> list[Panel]:
    """Panels about calls of the model."""
    return [
        lines(
            "Rows in a batch",
            "Mean over all calls of the model, by replica.",
            "short",
            {"{{instance}}": MEAN.format("tabserve_batch_rows")},
        ),
        heat_map("Batches by their rows", "How many calls of the model had so many rows.", "tabserve_batch_rows"),
    ]


def labels() -> list[Panel]:
    """Panels about what models of classes answer."""
    return [
        lines(
            "Labels",
            "Share of the rows that got each label, by model.",
            "percentunit",
            {"{{model}} {{label}}": share("tabserve_labels_total", "label")},
        ),
        lines(
            "Unseen levels",
            "Share of rows with a level that was not in the training rows, by model and column of categories.",
            "percentunit",
            {"{{model}} {{column}}": share("tabserve_unseen_levels_total", "column")},
        ),
        lines(
            "Mean probability",
            "Of the positive class, or of several the answered one; it changes if the model or the requests do.",
            "percentunit",
            {"{{model}}": f"{rate('tabserve_probability_sum')} / {rate('tabserve_probability_count')}"},
        ),
        heat_map("Probabilities", "How many rows got which of these probabilities.", "tabserve_probability"),
    ]


def amounts() -> list[Panel]:
    """Panels about what models of amounts answer."""
    return [
        signed_lines(
            "Amounts",
            "Mean and quantiles of the predicted amounts, by model; quantiles are interpolated between the hold-out's.",
            "short",
            {"{{model}} mean": f"{rate('tabserve_amount_sum')} / {rate('tabserve_amount_count')}"}
            | {f"{{{{model}}}} p{quantile}": amount(quantile / 100) for quantile in (10, 50, 90)},
        ),
        heat_map(
            "Amounts by the hold-out's quantiles",
            "How many rows got which of these amounts; as many in each row of the map if all is as in the hold-out.",
            "tabserve_amount_quantiles",
        ),
        lines(
            "Amounts against the hold-out",
            "The largest distance of the shares of rows at or below a quantile of the hold-out (Kolmogorov-Smirnov).",
            "percentunit",
            {"{{model}}": DISTANCE},
        ),
    ]


def replicas() -> list[Panel]:
    """Panels about the replicas: their models, memory and processors."""
    return [
        models(),
        lines(
            "Memory",
            "Resident memory of each replica's process.",
            "bytes",
            {"{{instance}}": 'process_resident_memory_bytes{job="tabserve"}'},
        ),
        lines(
            "CPU",
            "Cores that each replica's process uses.",
            "short",
            {"{{instance}}": 'rate(process_cpu_seconds_total{job="tabserve"}[$__rate_interval])'},
        ),
    ]


def build() -> dashboard.Dashboard:
    """Build the whole dashboard, panel by panel."""
    page = dashboard.Dashboard("tabserve").uid("tabserve").readonly().time("now-30m", "now").refresh("10s")
    page.with_variable(choice())
    for panel in chain(state(), requests(), batches(), labels(), amounts(), replicas()):
        page.with_panel(panel)
    return page


def main() -> None:
    """Write the dashboard; the output is always the same, byte for byte."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="exit codes: 0 written, 2 wrong option, 3 not written")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("deploy/grafana/dashboards/tabserve.json"),
        metavar="FILE",
        help="JSON to write (default: %(default)s)",
    )
    out = parser.parse_args().out
    ending(out, [".json"])
    with whole(out) as temporary:
        temporary.write_text(json.dumps(build().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    run.run(main)
