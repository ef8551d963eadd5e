"""Write Grafana's dashboard of a served model: its requests, its answers, and the state of its replicas."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from tabserve.cli import run
from tabserve.destination import ending
from tabserve.files import whole

SOURCE = DataSourceRef("prometheus", "prometheus")
"""The data source of deploy/grafana/provisioning."""

WIDE, TALL, SHORT = 12, 8, 4
"""Width and heights of panels, in units of Grafana's grid, which is 24 wide."""

LATENCY = "histogram_quantile({}, sum by (protocol, le) (rate(tabserve_request_seconds_bucket[$__rate_interval])))"

MEAN = "sum by (instance) (rate({0}_sum[$__rate_interval])) / sum by (instance) (rate({0}_count[$__rate_interval]))"

AMOUNT = "sum by (model) (rate(tabserve_amount_{}[$__rate_interval]))"

UNSEEN = (
    "sum by (model, column) (rate(tabserve_unseen_levels_total[$__rate_interval]))"
    " / on (model) group_left () sum by (model) (rate(tabserve_batch_rows_sum[$__rate_interval]))"
)


def query(expression: str, legend: str = "") -> prometheus.Dataquery:
    """A query of Prometheus over the time range of the dashboard."""
    return prometheus.Dataquery().datasource(SOURCE).ref_id("A").expr(expression).legend_format(legend).range()


def number(title: str, description: str, expression: str) -> stat.Panel:
    """A panel of one number: the latest value."""
    panel = stat.Panel().title(title).description(description).datasource(SOURCE).height(SHORT).span(WIDE // 2)
    return panel.with_target(query(expression).instant())


def lines(title: str, description: str, unit: str, queries: Mapping[str, str]) -> timeseries.Panel:
    """A panel of lines over time; `queries` has an expression for each legend."""
    panel = timeseries.Panel().title(title).description(description).datasource(SOURCE).unit(unit).min(0)
    for index, (legend, expression) in enumerate(queries.items()):
        panel.with_target(query(expression, legend).ref_id(chr(ord("A") + index)))
    return panel.height(TALL).span(WIDE)


def heat_map(title: str, description: str, histogram: str) -> heatmap.Panel:
    """A panel of a histogram over time."""
    panel = heatmap.Panel().title(title).description(description).datasource(SOURCE).height(TALL).span(WIDE)
    counts = query(f"sum by (le) (increase({histogram}_bucket[$__rate_interval]))", "{{le}}")
    return panel.with_target(counts.format(PromQueryFormat.HEATMAP))


def models() -> table.Panel:
    """A panel of the served models, one row for each replica."""
    panel = table.Panel().title("Models").description("The model of each replica; they differ during a rollout.")
    info = query("tabserve_model_info").instant().format(PromQueryFormat.TABLE)
    return panel.datasource(SOURCE).height(TALL).span(WIDE).with_target(info)


def build() -> dashboard.Dashboard:
    """Build the whole dashboard, panel by panel."""
    page = dashboard.Dashboard("tabserve").uid("tabserve").readonly().time("now-30m", "now").refresh("10s")
    for panel in (
        number("Replicas", "Replicas that answer Prometheus.", 'sum(up{job="tabserve"})'),
        number("Proxy", "1 if the proxy answers Prometheus, else 0.", 'sum(up{job="proxy"})'),
        number("Alerts", "Alerts that fire now.", 'count(ALERTS{alertstate="firing"}) or vector(0)'),
        number("Rows that wait", "Rows that wait for their scores, in all replicas.", "sum(tabserve_queue_rows)"),
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
        lines(
            "Rows in a batch",
            "Mean over all calls of the model, by replica.",
            "short",
            {"{{instance}}": MEAN.format("tabserve_batch_rows")},
        ),
        heat_map("Batches by their rows", "How many calls of the model had so many rows.", "tabserve_batch_rows"),
        lines(
            "Mean probability",
            "Of the positive class, or for texts of the answered label; it changes if the model or the requests do.",
            "percentunit",
            {"{{instance}}": MEAN.format("tabserve_probability")},
        ),
        heat_map("Probabilities", "How many rows got which of these probabilities.", "tabserve_probability"),
        lines(
            "Labels",
            "Rows per second that got each label, by model.",
            "short",
            {"{{model}} {{label}}": "sum by (model, label) (rate(tabserve_labels_total[$__rate_interval]))"},
        ),
        models(),
        lines(
            "Mean amount",
            "Predicted by models of an amount, by model; it changes if the model or the requests change.",
            "short",
            {"{{model}}": f"{AMOUNT.format('sum')} / {AMOUNT.format('count')}"},
        ),
        lines(
            "Unseen levels",
            "Share of rows with a level that was not in the training rows, by model and column of categories.",
            "percentunit",
            {"{{model}} {{column}}": UNSEEN},
        ),
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
    ):
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
