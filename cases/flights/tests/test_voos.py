"""The stored notebook is whole: executed on all flights in order, in Portuguese, with the published answers."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

NOTEBOOK = Path(__file__).parents[1] / "notebook" / "voos.ipynb"

ANSWERS = {
    "1": ["336.776"],
    "2": ["8.255"],
    "3": ["12,6391", "39,3732"],
    "4": ["16.873", "16.607", "16.058", "15.028", "13.979", "17.283", "16.837"],
    "5": ["11.262"],
    "6": ["21,921", "20,116", "15,796", "15,557", "11,931"],
    "7": ["segunda", "50.690"],
    "8": ["12,65", "21,67", "17,97", "12,41", "17,31"],
    "9": ["2.092", "1.831", "2.079"],
    "10": ["16,149", "14,779", "7,651", "-1,449"],
    "11": ["623,0877"],
    "12": ["6.100", "11.262", "10.263"],
    "13": ["25,325", "21,266", "20,689", "21,236", "189"],
    "14": ["119,0488", "117,9468"],
    "15": ["871,10", "949,19", "907,58", "854,29"],
    "16": ["1.563", "1.286", "1.188"],
    "17": ["5.841", "11.182", "10.063"],
    "final": ["1.272", "1.127", "1.109", "1.007", "989", "4,60", "10,36"],
}
"""Figures of each question's answers, as the notebook shows them."""


@pytest.fixture(scope="module")
def notebook() -> NotebookNode:
    """The stored notebook."""
    read: NotebookNode = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # half typed
    return read


def code(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(notebook: NotebookNode, question: str) -> str:
    """The outputs below a question's heading."""
    heading, outputs = "", []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found = re.findall(r"^### (?:(\d+)\.|A pergunta (final))", cell.source, re.MULTILINE)
            heading = "".join(found[-1]) if found else "" if re.search(r"^##+ ", cell.source, re.MULTILINE) else heading
        elif heading == question:
            outputs += [json.dumps(output, ensure_ascii=False) for output in cell.outputs]
    return "".join(outputs)


@pytest.mark.parametrize("question", ANSWERS)
def test_a_question_has_the_published_answer(question: str, notebook: NotebookNode) -> None:
    """In the outputs below its heading, with the other reading where there is one."""
    text = shown(notebook, question)
    assert [figure for figure in ANSWERS[question] if figure not in text] == []


def test_every_cell_was_run_in_order_without_an_error(notebook: NotebookNode) -> None:
    """The stored counts are 1, 2, 3, … and no output is an error or a warning."""
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    kinds = {(output.output_type, output.get("name")) for cell in code(notebook) for output in cell.outputs}
    assert not {kind for kind in kinds if kind[0] == "error" or kind[1] == "stderr"}


def test_it_names_no_path_of_a_machine(notebook: NotebookNode) -> None:
    """Sources and outputs have no absolute path and no home folder."""
    text = json.dumps([[cell.source, cell.get("outputs")] for cell in code(notebook)])
    pictures = re.compile(r'"image/png": "[^"]*"')
    assert re.findall(r"(?<![\w.])/(?:root|home|work|tmp|Users|usr|opt)/[\w/.-]*", pictures.sub("", text)) == []


def test_it_defines_nothing_and_its_cells_are_short(notebook: NotebookNode) -> None:
    """Functions are defined in the package; a cell has one to three lines."""
    for cell in code(notebook):
        tree = ast.parse(re.sub(r"^%.*$", "", cell.source, flags=re.MULTILINE))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
        imports = any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)
        assert imports or len(cell.source.splitlines()) <= 3, cell.source


def test_every_figure_is_followed_by_what_it_says(notebook: NotebookNode) -> None:
    """Each picture and table is followed by text, or by the other reading of the same question."""
    for cell, following in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        outputs = cell.get("outputs", [])
        if [output for output in outputs if {"image/png", "text/html"} & set(output.get("data", {}))]:
            assert following is not None, cell.source
            assert following.cell_type == "markdown" or following.source.startswith("figures."), cell.source


def test_no_number_is_written_in_english(notebook: NotebookNode) -> None:
    """No comma stands between thousands in what is printed or written."""
    printed = [output.text for cell in code(notebook) for output in cell.outputs if "text" in output]
    written = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert re.findall(r"\b[1-9]\d{0,2},\d{3}\b", "".join(printed)) == []
    assert re.findall(r"\b[1-9]\d{0,2},\d{3}\b", "".join(written)) == []


def test_the_absence_of_wind_at_destinations_is_visible(notebook: NotebookNode) -> None:
    """No key stands in the notebook, and its column says what it needs."""
    assert "needs AIRPORTDB_TOKEN and WEATHERBIT_KEY" in shown(notebook, "final")
    assert "336.776 voos com a junção" in shown(notebook, "final")
