"""Draw how the flights API runs in a cloud, in Portuguese: `arquitetura.png`."""

import argparse
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from tabserve.cli import run
from tabserve.destination import ending
from tabserve.files import whole

INK, GREY, PAPER = "#2b2b2b", "#6f6f6f", "#ffffff"

ONLINE, STORED, TRAINING, WATCHING = "#dbe9f6", "#fdf0d5", "#e3f1de", "#f3e1ee"
"""The colors of what answers, what keeps, what trains and what watches."""


class Box(NamedTuple):
    """A part of the system: its lower left corner and size, in units of the drawing, its color and its texts."""

    x: float
    y: float
    width: float
    height: float
    color: str
    title: str
    lines: str
    clouds: str = ""

    def draw(self, axes: Axes) -> None:
        """Draw the box with its title, what it does, and what it is called at AWS, Google Cloud and Azure."""
        shape = FancyBboxPatch(
            (self.x, self.y),
            self.width,
            self.height,
            "round,pad=0,rounding_size=0.12",
            facecolor=self.color,
            edgecolor=INK,
        )
        axes.add_patch(shape)
        middle, top = self.x + self.width / 2, self.y + self.height
        axes.text(middle, top - 0.18, self.title, ha="center", va="top", weight="bold", size=10.5, color=INK)
        axes.text(middle, top - 0.52, self.lines, ha="center", va="top", size=8.5, color=INK, linespacing=1.35)
        axes.text(middle, self.y + 0.12, self.clouds, ha="center", va="bottom", size=7.5, color=GREY, style="italic")


class Arrow(NamedTuple):
    """From a point to another, with a text beside its middle."""

    start: tuple[float, float]
    end: tuple[float, float]
    text: str
    shift: tuple[float, float] = (0, 0.14)
    side: str = "center"

    def draw(self, axes: Axes) -> None:
        """Draw the arrow and its text."""
        axes.annotate("", self.end, self.start, arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.3})
        x, y = ((first + last) / 2 for first, last in zip(self.start, self.end, strict=True))
        where = (x + self.shift[0], y + self.shift[1])
        axes.text(*where, self.text, ha=self.side, va="center", size=8, color=INK, linespacing=1.3)


BOXES = (
    Box(0.2, 5.3, 2.0, 1.5, PAPER, "Clientes", "um voo ou uma lista,\nem JSON sobre HTTPS"),
    Box(3.3, 5.3, 2.3, 1.5, ONLINE, "Balanceador", "TLS · limites · /health/\n", "ALB · Cloud LB · App Gateway"),
    Box(7.35, 5.0, 3.5, 1.75, ONLINE, "", ""),
    Box(7.25, 5.1, 3.5, 1.75, ONLINE, "", ""),
    Box(
        *(7.15, 5.2, 3.5, 1.75, ONLINE, "Réplicas da API"),
        "/model/predict/ · /model/history/\n/model/load/ · /health/ · /v2\nsem root, disco só de leitura",
        "EKS · GKE · AKS",
    ),
    Box(
        *(12.3, 5.2, 2.9, 1.75, STORED, "PostgreSQL"),
        "histórico: entrada, saída,\nversão, hora; em lotes,\nfora do caminho da resposta",
        "RDS · Cloud SQL · Azure DB",
    ),
    Box(
        *(0.2, 0.9, 2.7, 1.75, STORED, "Dados"),
        "voos e tempo, em parquet,\npor dia",
        "S3 · GCS · Blob Storage",
    ),
    Box(
        *(4.1, 0.9, 2.9, 1.75, TRAINING, "Job Spark"),
        "transforma, divide no tempo,\ntreina, mede com as constantes",
        "EMR · Dataproc · Databricks",
    ),
    Box(
        *(8.2, 0.9, 2.9, 1.75, STORED, "Modelos"),
        "uma pasta por versão: manifesto,\nchecksums, cartão; nunca mudada",
        "S3 · GCS · Blob Storage",
    ),
    Box(
        *(12.3, 0.9, 2.9, 1.75, WATCHING, "Monitoramento"),
        "Prometheus, alertas, Grafana:\nlatência, erros, deriva,\nerro depois do pouso",
        "ou o do próprio provedor",
    ),
)

ARROWS = (
    Arrow((2.2, 6.05), (3.3, 6.05), ""),
    Arrow((5.6, 6.05), (7.15, 6.05), "só às\nprontas", (0, 0.28)),
    Arrow((10.85, 6.05), (12.3, 6.05), "acrescenta\ne pagina", (0, 0.28)),
    Arrow((2.9, 1.78), (4.1, 1.78), "lê", (0, 0.16)),
    Arrow((7.0, 1.78), (8.2, 1.78), "grava", (0, 0.16)),
    Arrow(
        (9.3, 2.65),
        (9.3, 5.0),
        "versão aprovada: cada réplica confere\na pasta e troca em um passo; se não\nconfere, a anterior responde",
        (-0.12, 0),
        "right",
    ),
    Arrow((13.0, 2.65), (10.75, 5.0), "lê /metrics", (0.3, 0.1), "left"),
    Arrow((14.4, 5.2), (14.4, 2.65), "previsto e\nacontecido", (0.08, 0), "left"),
)


def draw() -> Figure:
    """The whole drawing."""
    figure = Figure((15.4, 7.7), dpi=110, facecolor=PAPER)
    axes = figure.add_axes((0.005, 0.005, 0.99, 0.99), xlim=(0, 15.6), ylim=(0.2, 8))
    axes.set_axis_off()
    axes.text(0.2, 7.65, "Atraso de voos na nuvem", size=16, weight="bold", color=INK, va="center")
    for y, text in ((7.15, "responde, o tempo todo"), (3.0, "treina, uma vez por mês")):
        axes.text(0.2, y, text, size=10, color=GREY, va="center", style="italic")
    for part in (*BOXES, *ARROWS):
        part.draw(axes)
    note = (
        "Em cada caixa, o serviço da AWS, do Google Cloud e da Azure. Numa só máquina: um contêiner, um volume, SQLite."
    )
    axes.text(0.2, 0.45, note, size=8.5, color=GREY, va="center")
    return figure


def main() -> None:
    """Write the drawing; the same libraries give the same file, byte for byte."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="exit codes: 0 drawn, 2 wrong option, 3 not written")
    default = Path(__file__).with_name("arquitetura.png")
    parser.add_argument("--out", type=Path, default=default, metavar="FILE", help="png to write (default: beside this)")
    arguments = parser.parse_args()
    ending(arguments.out, [".png"])
    with whole(arguments.out) as temporary:
        draw().savefig(temporary, format="png", metadata={"Software": None})


if __name__ == "__main__":
    run.run(main)
