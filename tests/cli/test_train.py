"""`tabserve train`: what it prints, writes and leaves undone."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.test_trained import customers

from tabserve.cli import main
from tabserve.model.model import load
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


def test_a_caution_ends_a_strict_run(train: Train) -> None:
    """Nothing is written."""
    ended = train("customers.csv", "--target", "left", "--strict")
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
