"""Tables and plots of the notebook, in Portuguese."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tabserve.reports.figures import blank

GREY, BLUE, RED = "#b0b0b0", "#4878a8", "#c44e52"

WEEKDAYS = ("segunda", "terça", "quarta", "quinta", "sexta", "sábado", "domingo")

MONTHS = ("jan", "fev", "mar", "abr", "mai", "jun", "jul", "ago", "set", "out", "nov", "dez")

HEADINGS = {
    "a_day": "voos por dia",
    "air_time": "tempo no ar (min)",
    "all": "de todos (%)",
    "arr_delay": "atraso na chegada (min)",
    "arrival": "na chegada (min)",
    "carrier": "código",
    "column": "coluna",
    "day": "dia",
    "departed": "dos que partiram (%)",
    "departure": "na partida (min)",
    "dest": "destino",
    "flight": "voo",
    "flights": "voos",
    "missing": "sem valor",
    "month": "mês",
    "name": "companhia",
    "origin": "origem",
    "population": "desvio populacional (min)",
    "range": "amplitude (min)",
    "sample": "desvio amostral (min)",
    "timed": "voos com tempo",
    "weekday": "dia da semana",
    "wind_at_destination": "vento no destino, média do dia (m/s)",
    "wind_at_origin": "vento na origem, hora prevista (m/s)",
    "wind_speed": "vento na origem (mph)",
    "year": "ano",
}

WORDS = {"month": MONTHS, "weekday": WEEKDAYS}
"""The names of numbered months and weekdays."""

MEASURES = {
    "mae": "MAE (min)",
    "rmse": "RMSE (min)",
    "r2": "R²",
    "roc_auc": "AUC",
    "average_precision": "AP",
}

PREDICTIONS = {
    "the model": "modelo, divisão no tempo",
    "median": "constante: a mediana",
    "mean": "constante: a média",
    "subtraction": "sem modelo: atraso na partida menos uma constante",
    "the model, random split": "modelo, divisão ao acaso",
}


def number(value: float, form: str = ",") -> str:
    """Format a number in Portuguese: a dot between thousands, a comma before decimals."""
    return format(value, form).translate(str.maketrans(",.", ".,"))


def table(rows: pd.DataFrame, decimals: int = 2) -> pd.DataFrame:
    """A table of answers for people: Portuguese headings, names of months and weekdays, Portuguese numbers."""
    shown = {HEADINGS.get(str(name), str(name)): _cells(str(name), column, decimals) for name, column in rows.items()}
    return pd.DataFrame(shown, range(1, len(rows) + 1), dtype=object)


def measures(beside: Mapping[str, Mapping[str, Mapping[str, float]]]) -> pd.DataFrame:
    """One line for each prediction: its measures, each with its 95 % interval."""
    lines = {
        PREDICTIONS[name]: {MEASURES[key]: _interval(value, key) for key, value in measured.items()}
        for name, measured in beside.items()
    }
    return pd.DataFrame(lines).T


def late_by_month(shares: pd.DataFrame) -> Figure:
    """Plot the two shares of question 8."""
    figure, axes = blank(7, 2.8)
    for name, color in (("departed", RED), ("all", GREY)):
        axes.plot(MONTHS, shares[name], "o-", color=color, label=HEADINGS[name].removesuffix(" (%)"))
    axes.set(ylabel="saíram mais de 30 min atrasados, %", ylim=(0, None))
    axes.legend()
    return figure


def delay_by_weekday(delays: pd.DataFrame) -> Figure:
    """Plot the mean delays of question 10, in the order of the week."""
    figure, axes = blank(7, 2.8)
    week = delays.sort_values("weekday")
    for shift, (name, color) in zip((-0.2, 0.2), (("departure", BLUE), ("arrival", RED)), strict=True):
        axes.bar(np.arange(7) + shift, week[name], 0.4, color=color, label=HEADINGS[name].removesuffix(" (min)"))
    axes.axhline(0, color=GREY)
    axes.set(ylabel="atraso médio, min", xticks=range(7), xticklabels=WEEKDAYS)
    _decimals(axes, "yaxis")
    axes.legend()
    return figure


def arrival_delays(delays: Sequence[float]) -> Figure:
    """Plot the distribution of arrival delays; the few beyond the last bin are counted in it."""
    figure, axes = blank(7, 2.6)
    shown = np.clip(delays, -80, 240)
    axes.hist(shown, np.arange(-80, 245, 5).tolist(), color=BLUE)
    axes.axvline(float(np.median(delays)), color=RED, label=f"mediana: {number(float(np.median(delays)), '.0f')} min")
    axes.axvline(float(np.mean(delays)), color=GREY, label=f"média: {number(float(np.mean(delays)), '.1f')} min")
    axes.set(xlabel="atraso na chegada, min (mais de 240 na última faixa)", ylabel="voos")
    axes.yaxis.set_major_formatter(lambda value, _: number(value, ",.0f"))
    axes.legend()
    return figure


def r_squared(asked: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]) -> Figure:
    """Plot R² with its interval, for each prediction at each moment at which it is asked."""
    figure, axes = blank(7.5, 3.2)
    lines = [
        (f"{moment}: {PREDICTIONS[name]}", measured["r2"])
        for moment, beside in asked.items()
        for name, measured in beside.items()
    ]
    for position, (_, r2) in enumerate(lines):
        ends = [[r2["value"] - r2["low"]], [r2["high"] - r2["value"]]]
        axes.barh(position, r2["value"], color=BLUE)
        axes.errorbar(r2["value"], position, xerr=ends, color=RED, capsize=3)
        axes.annotate(
            number(r2["value"], ".3f"), (max(r2["high"], 0), position), (5, 0), textcoords="offset points", va="center"
        )
    axes.set(xlabel="R²", yticks=range(len(lines)), yticklabels=[label for label, _ in lines], xlim=(None, 1))
    axes.invert_yaxis()
    _decimals(axes, "xaxis")
    return figure


def coverage(asked: Mapping[str, pd.DataFrame], wanted: float = 0.9) -> Figure:
    """Plot how often the interval holds the true delay, in each month that was measured."""
    figure, axes = blank(7, 2.8)
    for (moment, months), color in zip(asked.items(), (BLUE, RED), strict=True):
        names = [MONTHS[int(month[-2:]) - 1] for month in months.index.get_level_values("month")]
        axes.plot(names, months["coverage"], "o-", color=color, label=moment)
    axes.axhline(wanted, color=GREY, linestyle=":", label=f"pedido: {number(wanted, '.0%')}")
    axes.set(ylabel="atrasos dentro do intervalo", ylim=(0.6, 1))
    axes.yaxis.set_major_formatter(lambda value, _: number(value, ".0%"))
    axes.legend()
    return figure


def _cells(name: str, column: "pd.Series[Any]", decimals: int) -> list[object]:
    """The cells of a column for people; years and numbers of flights have no dots."""
    cells: list[Any] = column.tolist()
    if name in WORDS:
        return [WORDS[name][position - 1] for position in cells]
    if pd.api.types.is_float_dtype(column):
        return [number(cell, f",.{decimals}f") if np.isfinite(cell) else "–" for cell in cells]
    whole = pd.api.types.is_integer_dtype(column) and name not in ("year", "flight")
    return [number(cell) for cell in cells] if whole else cells


def _interval(value: Mapping[str, Any], measure: str) -> str:
    """A measure and its interval: minutes with two decimals, others with three."""
    form = ".2f" if measure in ("mae", "rmse") else ".3f"
    middle, low, high = (number(value[name], form) for name in ("value", "low", "high"))
    return f"{middle} ({low} a {high})"


def _decimals(axes: Axes, axis: str) -> None:
    getattr(axes, axis).set_major_formatter(lambda value, _: number(value, ".1f"))
