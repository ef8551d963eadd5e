"""The documents are true: commands run, links work, figures are the manifest's, and both languages agree."""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tabserve.client.local_server import Server, running
from tabserve.reports.tables import TITLES

ROOT = Path(__file__).parents[2]

READMES = ["README.md", "README.pt-BR.md"]

PATHS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("cases/*/*.md")]

DOCUMENTS = sorted(path.relative_to(ROOT).as_posix() for path in PATHS)

OWN_TABLE = (
    "tabserve train churn.csv --target churned",
    "tabserve serve build/churn",
    "tabserve ask --data new.csv",
    "tabserve score build/churn --data new.csv --out scores.csv",
)
"""Commands for a user's own table, which stand on its page as well."""

RUN_ELSEWHERE = {
    "make run": "scripts/test_run_script.py::test_once_ends_after_the_answers",
    "make run CASE=categories": "../cases/categories/tests/test_categories_readme.py",
    "make run CASE=flights": "../cases/flights/tests/test_flights_readme.py",
    "make test": "repository/test_makefile.py",
    "make train": "repository/test_makefile.py",
    ".venv/bin/tabserve serve deploy": "serving/mlserver/test_server.py",
    ".venv/bin/python scripts/fetch_data.py": "scripts/test_fetch_data.py",
    "docker build -t tabserve -f deploy/Dockerfile .": "container/test_image.py",
    "docker run -p 8080:8080 tabserve": "container/test_container.py",
    "conda env create -f environment.yml && conda activate tabserve": "repository/test_environment.py",
    "pip install --no-deps -e .": "repository/test_environment.py",
    "source .venv/bin/activate": "repository/test_own_table.py",
    **dict.fromkeys(OWN_TABLE, "repository/test_own_table.py"),
}
"""Commands that are too slow or need other programs, with the tests that run them or parts of them."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of the committed model."""
    with running(ROOT / "deploy") as started:
        yield started


def text(name: str) -> str:
    """The text of a document."""
    return (ROOT / name).read_text(encoding="utf-8")


def commands(name: str) -> list[str]:
    """The command lines of a document's shell blocks, without comments."""
    blocks = re.findall(r"```(?:ba)?sh\n(.*?)```", text(name), flags=re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("command", [line for line in commands("README.md") if line not in RUN_ELSEWHERE])
def test_a_command_of_the_readme_works(command: str, server: Server, tmp_path: Path) -> None:
    """It runs as written, but for the paths of Python and files, and the server's address."""
    words = shlex.split(command.replace("http://localhost:8080", server.url))
    words[0] = words[0].replace(".venv/bin", str(Path(sys.executable).parent))
    if "scripts/request.py" in words:
        words += ["--url", server.url]
    words = [{"scores.csv": str(tmp_path / "scores.csv")}.get(word, word) for word in words]
    finished = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout


@pytest.mark.parametrize("path", sorted(set(RUN_ELSEWHERE.values())))
def test_the_test_of_a_command_that_runs_elsewhere_exists(path: str) -> None:
    """The test that is named for the command exists."""
    file, _, function = path.partition("::")
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert function in names if function else any(name.startswith("test_") for name in names)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_files(name: str) -> None:
    """Every relative link of a document leads to a file of the repository."""
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text(name))
    assert not [link for link in links if not (ROOT / name).parent.joinpath(link).exists()]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_document_names_a_path_of_a_machine(name: str) -> None:
    """Documents have no home folder and no placeholder."""
    assert not re.findall(r"(?<![\w.])/(?:root|home|work|Users)/|@@", text(name))


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if "README" in name])
def test_a_readme_is_short(name: str) -> None:
    """A README has at most 165 lines."""
    assert len(text(name).splitlines()) <= 165


@pytest.mark.parametrize("folder", ["", "cases/categories/", "cases/flights/"])
def test_both_languages_have_the_same_commands_headings_links_and_figures(folder: str) -> None:
    """Commands, headings, links and figures are the same, in the same order."""
    names = [folder + name for name in READMES]
    english, portuguese = text(names[0]), re.sub(r"(?<=\d),(?=\d)", ".", text(names[1]))
    assert commands(names[0]) == commands(names[1])
    for pattern in (r"^#+ ", r"\]\((?!README)(?:(?!README\.)[^)])+", r"(?<![\d.])0\.\d{3,}"):
        matches = [re.findall(pattern, document, re.MULTILINE) for document in (english, portuguese)]
        assert matches[0] == matches[1]


def test_the_figures_are_the_manifests() -> None:
    """Every figure of the README's table is the committed model's, rounded as shown."""
    holdout = json.loads(text("deploy/model/manifest.json"))["metrics"]["holdout"]
    table = re.findall(r"^\| ([^|]+) \| ([0-9.]+) \| ([0-9.]+) to ([0-9.]+) \|", text("README.md"), re.MULTILINE)
    assert len(table) >= 5
    for title, *shown in table:
        (name,) = [name for name, written in TITLES.items() if written == title]
        assert shown == [f"{holdout[name][key]:.4f}" for key in ("value", "low", "high")]


def test_the_picture_is_drawn_from_the_committed_model(tmp_path: Path) -> None:
    """`scripts/draw.py` draws the committed picture again, ignoring white space."""
    drawn = tmp_path / "drawn.svg"
    command = [sys.executable, "scripts/draw.py", "--out", str(drawn)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60, capture_output=True)
    assert re.sub(r"\s+", " ", drawn.read_text()) == re.sub(r"\s+", " ", text("docs/candidates.svg"))
