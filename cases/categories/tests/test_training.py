"""The training command, the notebook and the committed model agree, without real products."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from categories import candidates, sample
from categories.dataset import Dataset, by_product, by_row, dataset, first_of_each
from categories.problem import PROBLEM
from categories.training import WORDS
from tabserve.model.model import CARD, load
from tabserve.reports import card
from tabserve.stations import TrainingData
from tabserve.training.selection import select
from tabserve.training.split import describe_split, fold_numbers

CASE = Path(__file__).parents[1]
ROOT = CASE.parents[1]
NOTEBOOK = CASE / "treinamento.ipynb"


@pytest.fixture(scope="module")
def small() -> Dataset:
    """A small synthetic sample."""
    return dataset(rows=2_000)


def train(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the training command in the repository's root."""
    command = [sys.executable, str(CASE / "scripts/train.py"), *words]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, timeout=240, check=False
    )


def test_products_repeat_as_in_the_challenges_table(small: Dataset) -> None:
    """Rows are clicks: each product has at least one row, and is used once."""
    assert len(small.products) == 2_000 < len(small.clicks)
    assert set(small.clicks.ids) == set(small.products.ids)


def test_each_split_separates_what_it_says(small: Dataset) -> None:
    """The problem's split separates sellers, the next one products, the last one nothing."""

    def shared(values: np.ndarray, fold: np.ndarray) -> int:
        return sum(len(set(fold[values == value])) > 1 for value in set(values))

    clicks, sellers = small.clicks, small.clicks.group
    assert sellers is not None
    assert shared(sellers, fold_numbers(clicks)) == 0
    assert shared(clicks.ids, fold_numbers(by_product(clicks))) == 0
    assert shared(clicks.ids, fold_numbers(by_row(clicks))) > 100


def test_a_model_is_trained_saved_and_measured(tmp_path: Path) -> None:
    """The challenge's variables name the files; the folder is verified, and the metrics have every category."""
    names = {"MODEL_PATH": str(tmp_path / "model"), "METRICS_PATH": str(tmp_path / "metrics.json")}
    ended = train("--rows", "2000", "--candidates", "majority,naive-bayes-words,linear-svm-words", **names)
    assert (ended.returncode, "Saved linear-svm-words in" in ended.stdout) == (0, True), ended.stderr
    model = load(tmp_path / "model")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics == model.metrics["classes"]
    assert tuple(metrics) == PROBLEM.labels
    assert all({"precision", "recall", "f1", "rows"} == set(figures) for figures in metrics.values())
    folds, splits = model.metrics["folds"], model.metrics["splits"]
    assert folds["linear-svm-words"]["macro_f1"]["mean"] > folds["majority"]["macro_f1"]["mean"] + 0.3
    assert splits["by row"]["macro_f1"]["mean"] > splits["by seller"]["macro_f1"]["mean"]
    assert "synthetic" in (tmp_path / "model/MODEL_CARD.md").read_text()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--data", "no-such.csv"], 3, "no-such.csv cannot be read as a table: No such file or directory."),
        (["--candidates", "oracle"], 2, "There is no candidate 'oracle'; choose from majority, "),
        (["--candidates", "majority"], 2, "None of majority ends as a model that a folder can hold"),
        (["--rows", "20", "--candidates", "linear-svm-words"], 3, "The smallest class has 0 groups"),
        (["--out", "cases/categories"], 4, "cases/categories holds something other than a model"),
        (["--rows", "none"], 2, "argument --rows: expected a whole number of at least 1, not 'none'"),
    ],
)
def test_training_that_cannot_run_ends_with_one_sentence(
    words: list[str], code: int, message: str, tmp_path: Path
) -> None:
    """The exit code tells the kind of mistake, and nothing is left behind."""
    out = [] if "--out" in words else ["--out", str(tmp_path / "model")]
    ended = train(*out, *words)
    assert ended.returncode == code
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not any(tmp_path.iterdir())


def test_a_small_table_is_enough(tmp_path: Path) -> None:
    """A table in which no word repeats can be learned by parts of words."""
    rows = [f"{row},s{row % 11},w{row}a w{row}b,{PROBLEM.labels[row % 6]}" for row in range(84)]
    (tmp_path / "few.csv").write_text("\n".join(["product_id,seller_id,title,category", *rows]), encoding="utf-8")
    words = ("--data", str(tmp_path / "few.csv"), "--out", str(tmp_path / "model"), "--candidates")
    ended = train(*words, "boosted-words,linear-svm-words-and-parts")
    assert ended.returncode == 0, ended.stderr
    assert "boosted-words" in load(tmp_path / "model").metrics["folds"]


def with_large_seller(folder: Path, share: float) -> Path:
    """Write a table of products, a share of them by one seller."""
    products = sample.products(2_500, seed=5).astype(str)
    products.loc[: round(share * 2_500) - 1, PROBLEM.group] = "giant"
    products[[PROBLEM.id, PROBLEM.group, "title", PROBLEM.target]].to_csv(folder / "products.csv", index=False)
    return folder / "products.csv"


def test_a_large_seller_is_not_held_out_and_is_reported(tmp_path: Path) -> None:
    """Standard error and the card say what is held out and how large the folds are."""
    words = (
        "--data",
        str(with_large_seller(tmp_path, 0.23)),
        "--out",
        str(tmp_path / "model"),
        "--candidates",
        "linear-svm-words",
    )
    ended = train(*words)
    assert ended.returncode == 0, ended.stderr
    sizes = r"make a fold of 2\d\.\d% of the rows in place of 20\.0%, as the largest group has 2\d\.\d% of them"
    assert re.search(rf"^Whole groups {sizes}\.$", ended.stderr, re.MULTILINE)
    card = " ".join((tmp_path / "model/MODEL_CARD.md").read_text().split())
    assert re.search(
        r"sides; 21% held out and opened once, 5 folds \(of 1\d% to 2\d% each, as groups are whole\) on", card
    )


def test_the_committed_card_is_the_generated_one() -> None:
    """The card is generated from the model, and states the share that was held out."""
    folder = CASE / "deploy" / "model"
    model = load(folder)
    text = (folder / CARD).read_text()
    assert text == card.render(model, WORDS)
    held_out = sum(figures["rows"] for figures in model.metrics["classes"].values())
    assert held_out + sum(model.metrics["fold_rows"]) == model.data["rows"]
    assert f"; {held_out / model.data['rows']:.0%} held out and opened once" in text


def test_the_committed_model_says_what_it_was_trained_on() -> None:
    """The sample, drawn again, has the manifest's checksum and numbers of products and sellers."""
    rows = dataset()
    data = TrainingData.of(rows.products, rows.source, synthetic=rows.synthetic)
    assert data.provenance == load(CASE / "deploy/model").data


@given(held_out=st.integers(1, 999), folds=st.lists(st.integers(1, 500), min_size=2, max_size=5))
def test_a_card_states_the_share_that_was_held_out(held_out: int, folds: list[int]) -> None:
    """The stated share is the real one, however far from the requested one."""
    rows = held_out + sum(folds)
    assert describe_split(PROBLEM, rows, folds).held_out.startswith(f"{held_out / rows:.0%}")


def test_a_seller_of_most_products_is_refused(tmp_path: Path) -> None:
    """The refusal comes before the first fit and says what to do."""
    ended = train("--data", str(with_large_seller(tmp_path, 0.7)), "--out", str(tmp_path / "model"))
    assert (ended.returncode, ended.stdout) == (3, "")
    sizes = r"make a hold-out of 7\.\d% of the rows in place of 20\.0%, as the largest group has 70\.0% of them"
    assert re.fullmatch(rf"Whole groups {sizes}; use more groups, or divide the largest\.\n", ended.stderr)
    assert not (tmp_path / "model").exists()


def test_the_committed_model_is_synthetic_and_says_so() -> None:
    """The manifest and the card say so, and the problem is the challenge's."""
    model = load(CASE / "deploy/model")
    assert model.data["synthetic"]
    assert model.problem == PROBLEM
    assert "Trained on synthetic titles" in (CASE / "deploy/model/MODEL_CARD.md").read_text()


def test_the_notebook_is_stored_executed_in_portuguese_and_whole() -> None:
    """It has five steps, all cells ran in order without an error, and no plot is missing."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # half typed
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    steps = ["1. Extração", "2. Transformação", "3. Modelagem", "4. Validação", "5. Exportação"]
    text = "\n".join(cell.source for cell in notebook.cells)
    assert sorted(text.index(f"## {step}") for step in steps) == [text.index(f"## {step}") for step in steps]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == text.count("figures.")
    assert "/work" not in NOTEBOOK.read_text()


def test_the_notebook_says_what_the_committed_card_says() -> None:
    """The winner's figures by folds, by other splits and on the hold-out stand in the notebook."""
    metrics = load(CASE / "deploy/model").metrics
    spread = [*metrics["splits"].values(), metrics["folds"][metrics["winner"]]]
    over_folds = [
        f"{measure['mean']:.4f} ± {measure['sd']:.4f}" for measures in spread for measure in measures.values()
    ]
    held_out = [f"<td>{value:.4f}</td>" for measure in metrics["holdout"].values() for value in measure.values()]
    stored = NOTEBOOK.read_text(encoding="utf-8")
    assert not [figure for figure in over_folds + held_out if figure not in stored]


def test_the_notebook_has_the_readmes_words_and_portuguese_numbers() -> None:
    """The words are those of the root's README in Portuguese, and printed numbers have no comma between thousands."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # half typed
    text = " ".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert re.findall(r"\b(?:caderno|dobras?|somas de verificação|by (?:row|seller|product))\b", text) == []
    printed = [output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output]
    assert re.findall(r"\d,\d{3}\b", "".join(printed)) == []


@pytest.mark.slow
def test_the_chosen_model_reaches_the_reference_on_real_titles(shared: Path) -> None:
    """By folds of whole sellers over all products: accuracy 0.849 and macro F1 0.806 are the challenge's reference."""
    frame = first_of_each(dataset(shared / "data/elo7/elo7_products_29801.csv").clicks)
    chosen = candidates.candidates(PROBLEM.seed, 1)["linear-svm-words-and-parts"]
    winner = select(frame, [chosen]).winner
    predicted = winner.prediction.argmax(axis=1)
    assert winner.measures["accuracy"].mean() >= 0.849
    assert winner.measures["macro_f1"].mean() >= 0.806
    assert accuracy_score(frame.target, predicted) >= 0.849
    assert f1_score(frame.target, predicted, average="macro") >= 0.806
