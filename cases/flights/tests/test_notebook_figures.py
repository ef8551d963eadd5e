"""The notebook's tables and plots are in Portuguese, and show what they are given."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from flights import figures


@pytest.mark.parametrize(
    ("value", "form", "text"), [(336_776, ",", "336.776"), (12.639, ".2f", "12,64"), (-1234.5, ",.1f", "-1.234,5")]
)
def test_a_number_is_written_in_portuguese(value: float, form: str, text: str) -> None:
    """A dot between thousands, a comma before decimals."""
    assert figures.number(value, form) == text


def test_a_table_has_portuguese_names_and_numbers() -> None:
    """Months and weekdays have names; years and numbers of flights have no dot; a missing number is a dash."""
    rows = pd.DataFrame({"year": [2013], "month": [2], "weekday": [7], "flight": [3535], "flights": [1_234]})
    shown = figures.table(rows.assign(wind_speed=[float("nan")], a_day=[871.0968], dest="ORD", other="x"))
    expected = {"ano": 2013, "mês": "fev", "dia da semana": "domingo", "voo": 3535, "voos": "1.234"}
    expected |= {"vento na origem (mph)": "–", "voos por dia": "871,10", "destino": "ORD", "other": "x"}
    assert shown.iloc[0].to_dict() == expected
    assert shown.index.tolist() == [1]


MEASURE = {"value": 0.0491, "low": 0.04, "high": 0.06}

BESIDE = {
    name: dict.fromkeys(figures.MEASURES, MEASURE) | {"mae": {"value": 22.844, "low": 22.6, "high": 23.05}}
    for name in ("the model", "median", "the model, random split")
}


def test_measures_have_their_intervals() -> None:
    """One line for each prediction, a column for each measure."""
    table = figures.measures(BESIDE)
    first = table.loc["modelo, divisão no tempo"]
    assert (first["MAE (min)"], first["R²"]) == ("22,84 (22,60 a 23,05)", "0,049 (0,040 a 0,060)")
    assert table.index[-1] == "modelo, divisão ao acaso"


def texts(figure: Figure) -> set[str]:
    """The labels of a plot's first axes and of its legend."""
    figure.draw_without_rendering()
    axes = figure.axes[0]
    legend = axes.get_legend()
    ticks = [*axes.get_xticklabels(), *axes.get_yticklabels(), *axes.texts, *(legend.get_texts() if legend else [])]
    return {axes.get_xlabel(), axes.get_ylabel(), *(tick.get_text() for tick in ticks)}


def test_every_plot_says_what_it_shows() -> None:
    """In Portuguese, with names of months and weekdays."""
    months = pd.DataFrame({"month": range(1, 13), "departed": np.linspace(9, 22, 12), "all": np.linspace(8, 21, 12)})
    assert {"jan", "dez", "dos que partiram", "de todos"} <= texts(figures.late_by_month(months))
    week = pd.DataFrame({"weekday": [4, 1, 5, 3, 7, 2, 6], "departure": range(7), "arrival": range(7)})
    assert {"segunda", "domingo", "na partida", "na chegada"} <= texts(figures.delay_by_weekday(week))
    assert {"mediana: -5 min", "média: 100,0 min"} <= texts(figures.arrival_delays([-10, -5, 315]))
    shown = texts(figures.r_squared({"antes": BESIDE}))
    assert {"antes: modelo, divisão no tempo", "0,049", "R²"} <= shown


def test_coverage_is_shown_by_month() -> None:
    """Beside what was asked for."""
    months = pd.DataFrame({"coverage": [0.91, 0.88]}, index=pd.Index(["2013-11", "2013-12"], name="month"))
    assert {"nov", "dez", "antes", "pedido: 90%"} <= texts(figures.coverage({"antes": months, "depois": months}))
