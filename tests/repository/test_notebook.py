"""The notebook runs from top to bottom on fewer rows, and what is stored in it is whole and names no machine."""

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


def stored() -> NotebookNode:
    """The notebook as it is stored, read anew."""
    notebook: NotebookNode = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # half typed
    return notebook


@pytest.fixture(scope="module")
def notebook() -> NotebookNode:
    """The notebook as it is stored, to look at."""
    return stored()


def code(notebook: NotebookNode) -> list[NotebookNode]:
    """Its code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def source(cell: NotebookNode) -> str:
    """A cell's Python, without IPython's own commands."""
    return re.sub(r"^%.*$", "", str(cell.source), flags=re.MULTILINE)


def run(data: Path | None, rows: int, out: Path) -> NotebookNode:
    """Run the notebook from a clean kernel with other parameters."""
    notebook = stored()
    (parameters,) = [cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = QUICK.format(data=data and str(data), rows=rows, out=str(out))
    resources = {"metadata": {"path": str(ROOT)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
    return notebook


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_runs_from_a_clean_kernel_and_ends_with_a_served_answer(tmp_path: Path) -> None:
    """On 2,000 synthetic rows: the folder it saves verifies, and the last table comes from a real server."""
    executed = run(None, 2_000, tmp_path / "model")
    assert load(tmp_path / "model").data["rows"] == 2_000
    assert "synthetic_" in executed.cells[-2].outputs[-1].data["text/plain"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_runs_on_the_real_format(shared: Path, tmp_path: Path) -> None:
    """On the real rows at hand, and says whose they are."""
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


def test_it_names_no_place_of_a_machine(notebook: NotebookNode) -> None:
    """No absolute path and no home folder in sources or outputs."""
    text = json.dumps([[cell.source, cell.get("outputs")] for cell in notebook.cells if cell.cell_type == "code"])
    pictures = re.compile(r'"image/png": "[^"]*"')
    found = re.findall(r"(?<![\w.])/(?:root|home|work|tmp|Users|usr|opt)/[\w/.-]*", pictures.sub("", text))
    assert found == []


def test_it_defines_nothing_and_its_cells_are_short(notebook: NotebookNode) -> None:
    """What is computed has a name in the packages; a cell of the argument is one to three lines."""
    for cell in code(notebook):
        tree = ast.parse(source(cell))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
        imports = any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)
        parameters = "parameters" in cell.metadata.get("tags", [])
        assert imports or parameters or len(cell.source.splitlines()) <= 3, cell.source


def test_every_figure_is_followed_by_what_it_shows(notebook: NotebookNode) -> None:
    """A sentence stands below each picture and each table."""
    for cell, following in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        outputs = cell.get("outputs", [])
        shown = [output for output in outputs if {"image/png", "text/html"} & set(output.get("data", {}))]
        if shown:
            assert following is not None
            assert following.cell_type == "markdown", cell.source


def test_it_has_pictures(notebook: NotebookNode) -> None:
    """Class balance, distributions, correlations, candidates, trees, importance, SHAP, threshold, and more."""
    pictures = [output for cell in code(notebook) for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 11
