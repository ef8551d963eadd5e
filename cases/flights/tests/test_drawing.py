"""The drawing of the architecture is that of its script, and names the parts that are built."""

import runpy
from pathlib import Path

import numpy as np
from matplotlib.image import imread

CASE = Path(__file__).parents[1]


def test_the_drawing_is_the_scripts(tmp_path: Path) -> None:
    """Drawn again, it differs by no more than the edges of letters, which depend on the machine."""
    runpy.run_path(str(CASE / "docs/draw.py"))["draw"]().savefig(tmp_path / "drawn.png")
    drawn, committed = (
        imread(path).astype(np.float64) for path in (tmp_path / "drawn.png", CASE / "docs/arquitetura.png")
    )
    assert drawn.shape == committed.shape
    assert np.abs(drawn - committed).mean() < 0.005


def test_the_drawing_has_every_part() -> None:
    """Each has its box: what balances, answers, keeps models, history and data, trains, and watches."""
    titles = {box.title for box in runpy.run_path(str(CASE / "docs/draw.py"))["BOXES"]}
    assert titles - {""} == {
        *("Clientes", "Balanceador", "Réplicas da API", "PostgreSQL"),
        *("Dados", "Job Spark", "Modelos", "Monitoramento"),
    }
