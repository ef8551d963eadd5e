"""The notebook runs from top to bottom on fewer rows; its stored outputs are complete and name no machine."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from tabserve.model.model import load

ROOT = Path(__file__).parents[2]

NOTEBOOK = ROOT / "ml_code.ipynb"

QUICK = """
DATA = {data!r}
ROWS, SEED, JOBS = {rows}, 42, 1
CANDIDATES = ["dummy", "gaussian-naive-bayes", "xgboost-defaults-weighted"]
OUT = {out!r}
"""


def read_notebook() -> NotebookNode:
    """Read the stored notebook."""
    notebook: NotebookNode = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # half typed
    return notebook


@pytest.fixture(scope="module")
def notebook() -> NotebookNode:
    """The stored notebook."""
    return read_notebook()


def code(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells of a notebook."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def source(cell: NotebookNode) -> str:
    """The Python of a cell, without IPython's commands."""
    return re.sub(r"^%.*$", "", str(cell.source), flags=re.MULTILINE)


def run(data: Path | None, rows: int, out: Path) -> NotebookNode:
    """Run the notebook from a clean kernel with other parameters."""
    notebook = read_notebook()
    (parameters,) = [cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = QUICK.format(data=data and str(data), rows=rows, out=str(out))
    resources = {"metadata": {"path": str(ROOT)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
    return notebook


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_runs_from_a_clean_kernel_and_ends_with_a_served_answer(tmp_path: Path) -> None:
    """On 2,000 synthetic rows, the saved folder is verified, and the last table comes from a real server."""
    executed = run(None, 2_000, tmp_path / "model")
    assert load(tmp_path / "model").data["rows"] == 2_000
    assert "synthetic_" in executed.cells[-2].outputs[-1].data["text/plain"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_runs_on_the_real_format(shared: Path, tmp_path: Path) -> None:
    """It runs on real rows, and the model is not marked as synthetic."""
    executed = run(shared / "data" / "santander" / "real_rows_2500.csv", 2_000, tmp_path / "model")
    assert not load(tmp_path / "model").data["synthetic"]
    assert "train_" in executed.cells[-2].outputs[-1].data["text/plain"]


def test_every_cell_was_run_in_order_without_an_error(notebook: NotebookNode) -> None:
    """The stored counts are 1, 2, 3, … and no output is an error or a warning."""
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    kinds = {(output.output_type, output.get("name")) for cell in code(notebook) for output in cell.outputs}
    assert not {kind for kind in kinds if kind[0] == "error" or kind[1] == "stderr"}


def test_it_was_run_on_all_rows(notebook: NotebookNode) -> None:
    """The stored outputs are those of the full synthetic sample."""
    text = json.dumps([cell.outputs for cell in code(notebook)])
    assert "200,000 rows, 200 features; source: synthetic" in text


def test_it_names_no_path_of_a_machine(notebook: NotebookNode) -> None:
    """Sources and outputs have no absolute path and no home folder."""
    text = json.dumps([[cell.source, cell.get("outputs")] for cell in notebook.cells if cell.cell_type == "code"])
    pictures = re.compile(r'"image/png": "[^"]*"')
    paths = re.findall(r"(?<![\w.])/(?:root|home|work|tmp|Users|usr|opt)/[\w/.-]*", pictures.sub("", text))
    assert paths == []


def test_it_defines_nothing_and_its_cells_are_short(notebook: NotebookNode) -> None:
    """Functions are defined in the packages; a cell has one to three lines."""
    for cell in code(notebook):
        tree = ast.parse(source(cell))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
        imports = any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)
        parameters = "parameters" in cell.metadata.get("tags", [])
        assert imports or parameters or len(cell.source.splitlines()) <= 3, cell.source


def test_every_figure_is_followed_by_text(notebook: NotebookNode) -> None:
    """Each picture and table is followed by a markdown cell."""
    for cell, following in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        outputs = cell.get("outputs", [])
        shown = [output for output in outputs if {"image/png", "text/html"} & set(output.get("data", {}))]
        if shown:
            assert following is not None
            assert following.cell_type == "markdown", cell.source


def test_it_has_pictures(notebook: NotebookNode) -> None:
    """There are pictures of class balance, distributions, candidates, importance, threshold and more."""
    pictures = [output for cell in code(notebook) for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 11
