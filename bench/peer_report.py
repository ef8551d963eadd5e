"""The results of `peers` as Markdown: scores, seconds of training, milliseconds of one row, and what they say."""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.peer_runs import MEASURES, Comparison, Scored
from tabserve.problem.metric import goodness

OURS, BASELINE = "tabserve", "linear"

TITLES = {measure.name: measure.title for measure in MEASURES.values()}


def markdown(comparisons: Sequence[Comparison], peers: Sequence[str]) -> str:
    """Three tables, each with a line for each table and a column for each library, and sentences below."""
    libraries = [OURS, *peers]
    blocks = [
        _table(
            "Score of the hold-out",
            comparisons,
            ["metric", "tabserve, folds", *libraries],
            lambda one: _scores(one, peers),
        ),
        _table("Seconds of training", comparisons, libraries, lambda one: _cells(one, libraries, _seconds)),
        _table(
            "Milliseconds of one row (× tabserve's)",
            comparisons,
            [OURS, "tabserve, REST", *peers],
            lambda one: [f"{one.scored[OURS].milliseconds:.3f}", f"{one.rest:.3f}", *_cells(one, peers, _milliseconds)],
        ),
        "\n".join(f"- {sentence}" for sentence in sentences(comparisons, peers)),
    ]
    return "\n\n".join(blocks) + "\n"


def document(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The same for JSON, without the answers themselves."""
    return [
        {
            **one._asdict(),
            "own": {name: getattr(one.own, name) for name in ("winner", "mean", "deviation")},
            "scored": {name: scored._asdict() for name, scored in one.scored.items()},
        }
        for one in comparisons
    ]


def sentences(comparisons: Sequence[Comparison], peers: Sequence[str]) -> Iterator[str]:
    """On how many tables tabserve is near the best, each loss, tables below the linear model, speed, and failures."""
    behind = {one.table: _behind(one) for one in comparisons}
    near = [one.table for one in comparisons if behind[one.table] <= one.own.deviation]
    best = [name for name, distance in behind.items() if distance == 0]
    yield f"tabserve is within one fold's standard deviation of the best on {len(near)} of {len(behind)} tables."
    yield f"It is the best on {len(best)}: {', '.join(best) or 'none'}."
    for one in comparisons:
        if one.table not in near:
            yield (
                f"{one.table}: {_best(one)} is better by {behind[one.table]:.4f} {TITLES[one.measure]};"
                f" one fold's standard deviation is {one.own.deviation:.4f}."
            )
    if BASELINE in peers:
        below = [f"{one.table} (by {gap:.4f})" for one in comparisons if (gap := _gap(one, BASELINE)) > 0]
        yield f"Below the linear baseline: {', '.join(below) or 'nowhere'}."
    for name in peers:
        ratios = [scored.milliseconds / one.scored[OURS].milliseconds for one, scored in _of(comparisons, name)]
        if ratios:
            yield f"One row: {name} takes {statistics.median(ratios):.1f} × the time of tabserve (median over tables)."
    for one in comparisons:
        yield from (f"{one.table}: {name} failed: {reason}." for name, reason in one.failed.items())


def _gap(one: Comparison, name: str) -> float:
    """By how much a library is better than tabserve; negative if it is worse or failed."""
    if name not in one.scored:
        return -math.inf
    return goodness(one.measure, one.scored[name].score) - goodness(one.measure, one.scored[OURS].score)


def _best(one: Comparison) -> str:
    return max(one.scored, key=lambda name: _gap(one, name))


def _behind(one: Comparison) -> float:
    """The distance of tabserve from the best library; 0 if it is the best itself."""
    return _gap(one, _best(one))


def _of(comparisons: Sequence[Comparison], name: str) -> list[tuple[Comparison, Scored]]:
    return [(one, one.scored[name]) for one in comparisons if name in one.scored]


def _scores(one: Comparison, peers: Sequence[str]) -> list[str]:
    best = one.scored[_best(one)].score

    def spell(_: Comparison, scored: Scored) -> str:
        return f"**{scored.score:.4f}**" if scored.score == best else f"{scored.score:.4f}"

    folds = f"{one.own.mean:.4f} ± {one.own.deviation:.4f}"
    return [TITLES[one.measure], folds, *_cells(one, [OURS, *peers], spell)]


def _seconds(_: Comparison, scored: Scored) -> str:
    return f"{scored.seconds:.1f}"


def _milliseconds(one: Comparison, scored: Scored) -> str:
    return f"{scored.milliseconds:.3f} ({scored.milliseconds / one.scored[OURS].milliseconds:.1f} ×)"


def _cells(one: Comparison, names: Sequence[str], spell: Callable[[Comparison, Scored], str]) -> list[str]:
    return [spell(one, one.scored[name]) if name in one.scored else "failed" for name in names]


def _table(
    title: str, comparisons: Sequence[Comparison], head: Sequence[str], line: Callable[[Comparison], Sequence[str]]
) -> str:
    rows = [[f"{one.table}, {one.shape[0]:,} × {one.shape[1]}", *line(one)] for one in comparisons]
    lines = [[title, *head], ["---", *["---:"] * len(head)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
