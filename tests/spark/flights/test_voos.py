"""The notebook of the flights runs from top to bottom on the extract."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from tabserve.model.model import load

NOTEBOOK = Path(__file__).parents[3] / "cases" / "flights" / "notebook" / "voos.ipynb"

PARAMETERS = """
FLIGHTS = None
CANDIDATES = ["baseline", "xgboost-depth-2"]
OUT = {out!r}
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_runs_from_a_clean_kernel_and_saves_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the table of the year and without keys; the folder that it saves is verified."""
    for name in ("AIRPORTDB_TOKEN", "WEATHERBIT_KEY"):
        monkeypatch.delenv(name, raising=False)
    notebook: NotebookNode = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # half typed
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = f"import os\n{PARAMETERS.format(out=os.fspath(tmp_path / 'model'))}"
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    assert load(tmp_path / "model").data["rows"] == 22_017
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("22.606" in str(output.get("data")) for output in outputs)
