"""The rules of who may import whom, read from the source and seen in fresh interpreters."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "src", *(case / "src" for case in (ROOT / "cases").glob("*"))]

TRAINING = {
    "frame",
    "table",
    "writer",
    "content",
    "formats",
    "columns",
    "blocks",
    "split",
    "candidate",
    "proof",
    "selection",
    "evaluation",
    "additive",
    "report",
    "card",
    "figures",
    "comparison",
    "operating_point",
    "reference",
    "drift",
}
"""Modules of tabserve that only training needs."""

ASKED_FOR = {f"tabserve.{name}" for name in ("comparison", "operating_point", "drift", "figures", "frame")}
"""What the command line imports only once it is asked for what needs a table; the image goes without."""

TRAINING_LIBRARIES = ["sklearn", "pyarrow", "matplotlib", "mlserver_xgboost"]
"""Libraries that only training needs; the image goes without them. MLServer itself imports pandas."""


CLIENTS = ["tritonclient", "gevent", "geventhttpclient", "aiohttp"]
"""What only MLServer's command line needs; the image goes without."""


def module_name(path: Path, source: Path) -> str:
    """What a file is imported as."""
    return ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path, source): path for source in SOURCES for path in sorted(source.rglob("*.py"))}
CASES = {name.split(".")[0] for name in MODULES} - {"tabserve"}


def imported(module: str) -> Iterator[str]:
    """Every module that a module names in an import, anywhere in it; of ours, the packages around it too."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively; name the whole module"
            assert node.module is not None
            names = [whole if (whole := f"{node.module}.{name}") in MODULES else node.module for name in names]
        for name in names:
            yield name
            yield from (parent for parent in MODULES if name.startswith(f"{parent}.") and parent != module)


IMPORTS = {module: set(imported(module)) for module in MODULES}
IMPORTS["tabserve.rollout"] -= ASKED_FOR


def packages(modules: set[str]) -> set[str]:
    """The top-level names of modules."""
    return {module.split(".")[0] for module in modules}


def reached(*starts: str) -> set[str]:
    """Modules of ours that importing these runs, directly or not."""
    found, waiting = set[str](), list(starts)
    while waiting:
        if (module := waiting.pop()) not in found:
            found.add(module)
            waiting += IMPORTS[module] & MODULES.keys()
    return found


SERVING = reached(*(module for module in MODULES if module.startswith("tabserve.serving")), "tabserve.cli")


def test_the_reading_of_imports_sees_what_there_is() -> None:
    """It knows the modules of both packages, and that some import others."""
    assert {"tabserve.selection", "tabserve.serving.runtime", "santander.sample"} <= MODULES.keys()
    assert {"tabserve.split", "tabserve.threshold", "sklearn.base"} <= IMPORTS["tabserve.selection"]
    assert "tabserve.artifact" in SERVING
    assert "santander" in CASES


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("tabserve")])
def test_the_core_imports_no_case(module: str) -> None:
    """What serves one problem serves another."""
    assert packages(IMPORTS[module]) & CASES == set()


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith("tabserve")])
def test_a_case_imports_no_other_case(module: str) -> None:
    """Each can be taken away."""
    assert packages(IMPORTS[module]) & (CASES - packages({module})) == set()


@pytest.mark.parametrize("module", sorted(SERVING))
def test_serving_imports_no_training(module: str) -> None:
    """Neither its modules, nor its libraries, nor the stock runtime, at whatever distance."""
    assert not TRAINING & {name.removeprefix("tabserve.") for name in IMPORTS[module]}
    assert packages(IMPORTS[module]) & {*TRAINING_LIBRARIES, "pandas"} == set()


WITHOUT_SPARK = [name for name in MODULES if not name.startswith("tabserve.spark") and name != "santander.engine"]
"""All but the package, and the engines, which import it only once it is asked for."""


@pytest.mark.parametrize("module", WITHOUT_SPARK)
def test_spark_is_known_to_its_own_package_alone(module: str) -> None:
    """All else runs without it."""
    assert packages(IMPORTS[module]) & {"pyspark", "py4j"} == set()
    assert not [name for name in IMPORTS[module] if name.startswith(("tabserve.spark", "xgboost.spark"))]


def test_imports_point_one_way() -> None:
    """No module is reached by what it imports; the core's order can be told."""
    order = list(TopologicalSorter({module: IMPORTS[module] & MODULES.keys() for module in MODULES}).static_order())
    stations = ["problem", "frame", "split", "selection"]
    assert [name for name in order if name in {f"tabserve.{station}" for station in stations}] == [
        f"tabserve.{station}" for station in stations
    ]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_named_by_what_it_is(module: str) -> None:
    """No drawer for everything."""
    assert not {"utils", "util", "helpers", "helper", "common", "base", "misc"} & set(module.split("."))


WITHOUT = """
import sys
for name in {blocked}:
    sys.modules[name] = None  # as if it were not installed
{action}
sys.exit(" ".join(name for name in {watched} if name in sys.modules) or 0)
"""

SCORE = """
import json, pathlib
from tabserve import artifact
model = artifact.load(pathlib.Path({folder!r}))
import numpy
rows = json.loads(pathlib.Path({folder!r}, artifact.GOLDEN).read_text())["features"]
assert len(model.score(numpy.array(rows, numpy.float32)).label) == len(rows)
"""


def run_without(libraries: list[str], action: str) -> None:
    """Run Python code in a fresh interpreter that has not got these libraries, and has not loaded training modules."""
    watched = [*CASES, *(f"tabserve.{name}" for name in TRAINING)]
    script = WITHOUT.format(blocked=libraries, action=action, watched=watched)
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (child.returncode, child.stderr) == (0, "")


def test_the_command_line_starts_without_training_libraries() -> None:
    """And without pandas and MLServer, which only `serve` needs."""
    run_without([*TRAINING_LIBRARIES, "pandas", "mlserver"], "import tabserve.cli")


@pytest.mark.parametrize(
    "words",
    [["compare", "{0}", "{0}", "--data", "rows.csv"], ["threshold", "{0}", "0.3"]],
    ids=["compare", "threshold"],
)
def test_a_command_that_needs_a_missing_library_names_it(words: list[str], model_folder: Path) -> None:
    """In one sentence, with the exit code of wrong usage, and the model stays as it is."""
    typed = ["tabserve", *(word.format(model_folder) for word in words)]
    action = f"import sys; sys.argv = {typed}; from tabserve import cli; cli.main()"
    script = f"import sys\nfor name in {TRAINING_LIBRARIES}:\n    sys.modules[name] = None\n{action}"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("This needs ")
    assert ended.stderr.count("\n") == 1


def test_a_model_is_verified_and_scored_without_training_libraries(model_folder: Path) -> None:
    """With numpy and XGBoost alone."""
    run_without([*TRAINING_LIBRARIES, "pandas"], SCORE.format(folder=str(model_folder)))


def test_the_server_is_loaded_without_training_libraries_and_clients() -> None:
    """As in the image, which has none of them."""
    run_without([*TRAINING_LIBRARIES, *CLIENTS], "import tabserve.serving.runtime, tabserve.serving.server")
