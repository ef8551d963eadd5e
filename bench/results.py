"""The results of all turns: medians, tables of loads by servers, and a plot."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan

from matplotlib.figure import Figure

from bench.timing import Timing
from bench.turn import OURS, Load, Turn

HEAD, WIDTH = 21, 17

PANELS = 4
"""Number of panels side by side in the plot."""


def median(turns: Sequence[Turn]) -> Turn:
    """The median of every figure over turns of one server; errors are added up."""
    timings = {name: _median([turn.timings[name] for turn in turns]) for name in turns[0].timings}
    return Turn(_median_of(turns, "startup"), _median_of(turns, "idle"), _median_of(turns, "connection"), timings)


def tables(turns: Mapping[str, Turn], loads: Sequence[Load]) -> str:
    """Tables of rows a second, latencies, speed-ups of ours and costs of a process; below them, errors."""

    def timings(cell: Callable[[Load, Timing], str]) -> dict[str, list[str]]:
        return {
            load.name: [cell(load, turn.timings.get(load.name, Timing())) for turn in turns.values()] for load in loads
        }

    def times(load: Load, timing: Timing) -> str:
        return _number(turns[OURS].timings[load.name].rate / timing.rate, ".2f")

    costs = {
        "start-up, s": [_number(turn.startup, ".2f") for turn in turns.values()],
        "idle, MiB": [_number(turn.idle / 2**20, ".0f") for turn in turns.values()],
        "a connection, bytes": [_number(turn.connection, ",.0f") for turn in turns.values()],
    }
    blocks = {
        "rows/s": timings(
            lambda load, timing: "refused" if timing.refused else _number(timing.rate * load.rows, ",.0f")
        ),
        "p50 / p99, ms": timings(lambda _, timing: f"{_number(timing.p50, '.2f')} / {_number(timing.p99, '.2f')}"),
        **({"ours is × as fast": timings(times)} if OURS in turns else {}),
        "process": costs,
    }
    return "\n\n".join([*(_table(title, list(turns), rows) for title, rows in blocks.items()), *_errors(turns)])


def plot(turns: Mapping[str, Turn], loads: Sequence[Load]) -> Figure:
    """Plot rows a second of every server, one panel for each load."""
    rows = -(-len(loads) // PANELS)
    figure = Figure((3.2 * PANELS, 0.5 + 1.9 * rows), dpi=100, layout="constrained")
    for index, load in enumerate(loads):
        axes = figure.add_subplot(rows, PANELS, index + 1)
        rates = {
            name: turn.timings[load.name].rate * load.rows for name, turn in turns.items() if load.name in turn.timings
        }
        rates = {name: rate for name, rate in rates.items() if not isnan(rate)}
        bars = axes.barh(
            list(rates), list(rates.values()), color=["#c44e52" if name == OURS else "#4c72b0" for name in rates]
        )
        axes.bar_label(bars, [f" {rate:,.0f}" for rate in rates.values()], fontsize=8)
        axes.set(title=f"{load.name}, rows/s", xticks=[])
        axes.margins(x=0.3)
        axes.invert_yaxis()
        axes.spines[["top", "right", "bottom"]].set_visible(False)
    return figure


def _median(timings: Sequence[Timing]) -> Timing:
    errors, refused = sum(timing.errors for timing in timings), max(timing.refused for timing in timings)
    rate, p50, p99 = (_median_of(timings, figure) for figure in ("rate", "p50", "p99"))
    return Timing(rate, p50, p99, errors, refused)


def _median_of(records: Iterable[object], figure: str) -> float:
    return float(statistics.median(getattr(record, figure) for record in records))


def _number(value: float, form: str) -> str:
    return "–" if isnan(value) else format(value, form)


def _table(title: str, names: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    lines = {title: names, **rows}
    return "\n".join(f"{head:<{HEAD}}" + "".join(f"{cell:>{WIDTH}}" for cell in cells) for head, cells in lines.items())


def _errors(turns: Mapping[str, Turn]) -> list[str]:
    """A sentence for every timing with errors."""
    return [
        f"{name}, {load}: {timing.errors} answers were errors."
        for name, turn in turns.items()
        for load, timing in turn.timings.items()
        if timing.errors
    ]
