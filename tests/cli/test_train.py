"""`tabserve train`: what it prints, writes and leaves undone."""

import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from tests.test_trained import customers

from tabserve.cli import main
from tabserve.model.model import load
from tabserve.score import score_file
from tabserve.training import bootstrap, default_candidates
from tabserve.training.default_candidates import Trees


class Ended(NamedTuple):
    """How a command ended."""

    code: int | str | None
    out: str
    err: str


Train = Callable[..., Ended]


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Train:
    """Run `tabserve train` in a folder with customers.csv, with few trees and draws."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bootstrap, "RESAMPLES", 10)
    monkeypatch.setattr(default_candidates, "USUAL", (Trees(2, 10, 0.3),))
    customers().to_csv("customers.csv", index=False)

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["tabserve", "train", *words])
        with pytest.raises(SystemExit) as ending:
            main.main()
        return Ended(ending.value.code, *capsys.readouterr())

    return run


def test_a_look_ends_before_training(train: Train) -> None:
    """It shows the plan and its cautions, and writes nothing."""
    ended = train("customers.csv", "--target", "left", "--look")
    assert (ended.code, ended.err) == (0, "")
    assert "Target left: binary" in ended.out
    assert "joined: random splits mix" in ended.out
    assert [path.name for path in Path().iterdir()] == ["customers.csv"]


def test_a_model_is_saved_under_the_name_of_the_table(train: Train) -> None:
    """After the candidates and the hold-out's figures, the command says where, and what to do with it."""
    ended = train("customers.csv", "--target", "left")
    assert ended.code == 0
    order = ("Target left", "Cautions", "Candidates: baseline, linear", "± ", "95 % interval", "in build/customers;")
    places = [ended.out.index(text) for text in order]
    assert places == sorted(places)
    assert load(Path("build/customers")).problem.target == "left"


def test_a_plan_makes_the_same_model(train: Train) -> None:
    """The manifest is the same, byte for byte."""
    options = (
        "--time",
        "joined",
        "--drop",
        "months",
        "--metric",
        "roc_auc",
        "--positive",
        "no",
        "--missing",
        "C0001,?",
        "n/a",
    )
    assert train("customers.csv", "--target", "left", *options, "--plan", "plan.toml", "--out", "first").code == 0
    assert train("plan.toml", "--out", "second").code == 0
    assert Path("first/manifest.json").read_bytes() == Path("second/manifest.json").read_bytes()
    assert load(Path("first")).problem.labels == ("yes", "no")


def test_a_column_may_have_a_comma_in_its_name(train: Train) -> None:
    """Its name is taken whole; otherwise commas separate names as spaces do."""
    customers().rename(columns={"joined": "joined, when"}).to_csv("customers.csv", index=False)
    names = ("joined, when", "months,charge", "contract")
    ended = train("customers.csv", "--target", "left", "--look", "--drop", *names)
    assert ended.code == 3
    assert all(f"{name!r}: as --drop says" in ended.err for name in ("joined, when", "months", "charge", "contract"))


def test_a_model_that_is_no_better_than_a_baseline_is_told(train: Train) -> None:
    """Misses are so dear that the best is to flag every row, as the baseline does."""
    for costs, told in (("1,1000", True), ("1,3", False)):
        ended = train("customers.csv", "--target", "left", "--costs", costs, "--minutes", "0.001")
        assert ended.code == 0
        assert ("linear is no better over the folds than baseline, which knows no column" in ended.out) == told


def test_a_caution_ends_a_strict_run(train: Train) -> None:
    """Nothing is written, also where the run would only look."""
    for words in (("--strict",), ("--strict", "--look")):
        ended = train("customers.csv", "--target", "left", *words)
        assert ended.code == 3
        assert ended.err.startswith("customers.csv calls for caution")
    assert not Path("build").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("customers.csv",), "--target NAME is missing; name one of the columns"),
        (("customers.csv", "--target", "lest"), "did you mean 'left'?"),
        (("customers.csv", "--target", "left", "--number", "contract"), "expected a number, found"),
        (("plan.toml", "--target", "left"), "--target stands in the plan plan.toml; edit it there."),
        (("nothing.csv", "--target", "left"), "nothing.csv cannot be read"),
        (("nothing.toml",), "nothing.toml cannot be read"),
        (("customers.csv", "--target", "left", "--out", "customers.csv"), "customers.csv cannot be written"),
    ],
)
def test_a_mistake_is_one_sentence(words: tuple[str, ...], sentence: str, train: Train) -> None:
    """With an exit code, and nothing written."""
    ended = train(*words)
    assert ended.code in {2, 3}
    assert sentence in ended.err
    assert ended.err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["customers.csv"]


@pytest.mark.parametrize("costs", ["1", "1,b", "1,2,3", ""])
def test_costs_are_two_numbers(costs: str, train: Train) -> None:
    """Separated by a comma."""
    ended = train("customers.csv", "--target", "left", "--costs", costs)
    assert ended.code == 2
    assert "expected two costs such as 1,10" in ended.err


ROWS = 60


def table(**columns: Any) -> pd.DataFrame:  # noqa: ANN401  cells of any type
    """A small table of two features and a target `y` of two labels; columns replace those or are added."""
    rng = np.random.default_rng(0)
    amount = rng.normal(size=ROWS).round(3)
    labels = np.where(amount + rng.normal(size=ROWS) > 0, "yes", "no")
    return pd.DataFrame({"amount": amount, "city": rng.choice(["Bern", "Köln"], ROWS), "y": labels} | columns)


def csv(separator: str = ",", **columns: Any) -> str:  # noqa: ANN401  cells of any type
    """The table as the text of a csv."""
    return table(**columns).to_csv(index=False, sep=separator)


def once(cell: object, others: Iterable[Any] = range(ROWS)) -> list[Any]:
    """The other cells, with this one in row 8."""
    cells = [*others]
    return [*cells[:7], cell, *cells[8:]]


def words(rows: int = ROWS) -> list[str]:
    """Texts that are all different and tell the label of `table` by no word."""
    rng = np.random.default_rng(1)
    known = ["alpha", "beta", "gamma", "delta", "good", "bad", "slow", "fast", "long", "short"]
    return [f"{' '.join(rng.choice(known, 6))} u{row}" for row in range(rows)]


DAYS = [f"2026-01-{day % 28 + 1:02}" for day in range(ROWS)]

REFUSED: dict[str, tuple[str | bytes, str, int, str]] = {
    "no such target": (csv(), "--target yy", 2, "'yy', which is no column of the table; did you mean 'y'?"),
    "a constant target": (csv(y="yes"), "", 3, "Column 'y' holds 'yes' in every row"),
    "an empty target": (csv(y=None), "--drop-empty-target", 3, "Column 'y' is empty throughout"),
    "texts as target": (csv(y=words()), "", 3, "pool rare classes of several by --other-label other"),
    "few rows of a class": (csv(y=["a"] * 3 + ["b", "c", "b"] * 19), "", 3, "'y' has the value 'a' in 3 rows"),
    "a target once empty": (csv(y=once(None, ["a", "b"] * 30)), "", 3, "row 8: expected a target, found an empty cell"),
    "every column left out": (csv(amount=1, city="Bern"), "", 3, "No column is left to learn from ('amount': the same"),
    "every column dropped": (csv(), "--drop amount city", 3, "'amount': as --drop says; 'city': as --drop says"),
    "the target dropped": (csv(), "--drop y", 2, "named by both --target and --drop"),
    "one row": ("a,y\n1,x\n", "", 3, "The table has one row; rows of different targets are needed"),
    "a header alone": ("a,y\n", "", 3, "has a header and no rows; a table needs at least one row"),
    "an empty file": ("", "", 3, "it is empty; it needs a header, and a row for each example"),
    "one name twice": ("a,a,y\n1,2,x\n", "", 3, "has the column 'a' more than once"),
    "a short row": ("a,b,y\n1,2,x\n1,2\n", "", 3, "t.csv, row 2: expected 3 columns, found 2"),
    "a stray word": (csv(amount=once("oops")), "", 3, "row 8: expected a number, as in most of its rows, found"),
    "infinity": (csv(amount=once("inf")), "", 3, "row 8: expected a number, as in most of its rows, found"),
    "a large number": (
        csv(amount=once("1e300", [0.5] * ROWS)),
        "",
        3,
        "row 8, column 'amount': expected a number that",
    ),
    "a large amount": (
        csv(y=once("1e300", [row / 7 for row in range(ROWS)])),
        "",
        3,
        "row 8, column 'y': expected a finite number",
    ),
    "two formats of dates": (csv(day=once("28/01/2026", DAYS)), "", 3, "write all alike, or leave the column out"),
    "a day that is none": (csv(day=once("2026-02-30", DAYS)), "", 3, "row 8, column 'day': expected a day that the"),
    "numbers as time": (csv(n=range(ROWS)), "--time n", 3, "no cell of the column is such a date; write dates in this"),
    "UTF-16": (csv().encode("utf-16"), "", 3, "it is UTF-16 text; save it as UTF-8"),
    "no such group": (csv(), "--group shop", 2, "--group names 'shop', which is no column of the table"),
    "the target as time": (csv(), "--time y", 2, "named by both --target and --time"),
    "one group": (csv(shop="A"), "--group shop", 3, "t.csv: The smallest class has 1 group; 5 folds"),
    "an id twice": (csv(key=once(3)), "--id key", 3, "Column 'key' has the same id in several rows"),
    "no such positive label": (csv(), "--positive YES", 2, "--positive must be a value of column 'y'"),
    "a metric of amounts": (csv(), "--metric rmse", 2, "'rmse' does not fit a binary task; choose"),
    "negative costs": (csv(), "--costs 1,-1", 2, "Both costs must be numbers above 0, not -1.0"),
    "a name that is a path": (csv(), "--name ../t", 2, "--name needs a name without a slash"),
    "a plan of another ending": (csv(), "--plan plan.txt", 2, "expected the name of a plan, which ends in .toml"),
    "another table's folder": (csv(), "--out t.csv/model", 3, "it lies in t.csv, which is read as well"),
    "amounts of texts": (csv(amount=None, city=words(), y=np.arange(ROWS) / 7), "", 2, "use that task for labels"),
}
"""Tables and options that are refused, with the exit code and a part of the sentence."""


@pytest.mark.parametrize(("content", "options", "code", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_table_that_cannot_be_used_is_refused(
    content: str | bytes, options: str, code: int, sentence: str, train: Train
) -> None:
    """In one sentence, before any fit; nothing is left behind."""
    Path("t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    before = {*Path().rglob("*")}
    ended = train("t.csv", "--target", "y", *options.split())
    assert ended.code == code
    assert sentence in ended.err
    assert "Traceback" not in ended.err
    assert {*Path().rglob("*")} == before


@pytest.mark.parametrize("sign", ["--delimiter", "--decimal"])
def test_a_sign_of_csv_files_is_refused_for_others(sign: str, train: Train) -> None:
    """It would be without effect."""
    table().to_parquet("t.parquet")
    ended = train("t.parquet", "--target", "y", sign, ",", "--look")
    assert (ended.code, ended.err) == (2, f"{sign} is a sign of csv files, and t.parquet is none; leave it out.\n")


FOREIGN = {
    "lists": pa.array([[1]] * ROWS),
    "bytes": pa.array([b"\xff"] * ROWS),
    "records": pa.array([{"a": 1}] * ROWS),
    "durations": pa.array([1] * ROWS, pa.duration("s")),
}
"""Columns of types that are not read."""


@pytest.mark.parametrize("option", ["--category", "--group", "--id", "--time", "--target"])
@pytest.mark.parametrize("name", FOREIGN)
def test_a_column_of_a_type_that_is_not_read_is_named(name: str, option: str, train: Train) -> None:
    """Whatever it is to be; it is left out where nothing names it."""
    pa.parquet.write_table(pa.table({"y": table()["y"], "amount": table()["amount"], **FOREIGN}), "t.parquet")
    named = ("--target", "y", option, name) if option != "--target" else (option, name)
    ended = train("t.parquet", *named, "--look")
    assert ended.code == 3
    assert f"{option} names column '{name}', whose cells are of the type" in ended.err
    assert train("t.parquet", "--target", "y", "--look").code == 0


ODD_NAMES = ['a "quoted", name', "[brackets]<", "😀", "x" * 300, "target", "row", "label", "probability", "..", "None"]

TRAINED: dict[str, Callable[[], pd.DataFrame]] = {
    "odd names": lambda: table(**{name: np.arange(ROWS) % 7 / (i + 2) for i, name in enumerate(ODD_NAMES)}),
    "an id that repeats alone": lambda: table(shop_id=[f"S{row % 25}" for row in range(ROWS)])[["shop_id", "y"]],
    "an id that repeats": lambda: table(shop_id=[row % 25 for row in range(ROWS)]),
    "an empty column": lambda: table(nothing=None),
    "a cell once empty": lambda: table(city=once(None, ["Bern", "Köln"] * 30), amount=once(None)),
    "a column constant in most folds": lambda: table(rare=once(1, [0] * ROWS), word=once("odd", ["even"] * ROWS)),
    "labels with spaces": lambda: table(y=[" Very good ", "not  so good"] * 30),
    "booleans": lambda: table(y=table()["y"] == "yes", open=np.arange(ROWS) % 3 == 0),
    "one and two": lambda: table(y=[1, 2] * 30),
    "negative amounts": lambda: table(y=-np.arange(ROWS) / 7),
    "texts of two labels": lambda: pd.DataFrame({"title": words(), "y": ["good" in text for text in words()]}),
    "days in timestamps": lambda: table(day=pd.to_datetime(DAYS)),
    "decimals and a dictionary": lambda: table(
        price=[Decimal(row) / 4 for row in range(ROWS)], city=pd.Categorical(["Bern", "Köln"] * 30)
    ),
}
"""Odd tables that can be learned from."""


@pytest.mark.parametrize("make", TRAINED.values(), ids=TRAINED)
def test_an_odd_table_is_trained_on_and_scored(make: Callable[[], pd.DataFrame], train: Train) -> None:
    """From parquet; the model then answers the same rows as a csv."""
    make().to_parquet("t.parquet")
    make().to_csv("new.csv", index=False)
    ended = train("t.parquet", "--target", "y")
    assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err
    assert score_file(load(Path("build/t")), Path("new.csv"), Path("scores.csv")) == ROWS


MOMENTS = [
    "tabserve.plan.plan.profile",
    "tabserve.trained.read",
    "tabserve.plan.examination.explained_shares",
    "tabserve.training.candidate._fit",
    "tabserve.stations.baselines",
    "tabserve.reports.html.report.render",
    "tabserve.model.model.seal",
    "tabserve.model.model.load",
]
"""Functions that look, read, examine, fit, evaluate, report, write, and verify what was written."""


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_leaves_nothing_behind(moment: str, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any moment of the run."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(moment, interrupt)
    ended = train("customers.csv", "--target", "left")
    assert ended.code == 130
    assert ended.err.endswith("Interrupted; nothing was left behind.\n")
    assert [path.name for path in Path().iterdir()] == ["customers.csv"]


@pytest.mark.slow
def test_a_signal_ends_the_command_between_fits(tmp_path: Path) -> None:
    """In a process of its own, once it has named its candidates."""
    customers().to_csv(tmp_path / "customers.csv", index=False)
    command = [sys.executable, "-m", "tabserve", "train", "customers.csv", "--target", "left"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert any(line.startswith("Candidates: ") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "Interrupted; nothing was left behind."
    assert [path.name for path in tmp_path.iterdir()] == ["customers.csv"]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file grows beyond so many bytes in the block, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_earlier_model(train: Train) -> None:
    """And no part of a later one."""
    assert train("customers.csv", "--target", "left").code == 0
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    with largest_file(2_000):
        ended = train("customers.csv", "--target", "left", "--seed", "1")
    assert ended.code == 4
    assert ended.err.endswith("build/customers cannot be written: File too large; nothing was changed there.\n")
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
