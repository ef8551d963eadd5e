"""The rules of imports, checked in the source and in fresh interpreters."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import get_args

import pytest

from tabserve.model.decision import DECISIONS, Amounts, Scores
from tabserve.model.model import PREDICTORS
from tabserve.problem.columns import Kind
from tabserve.problem.task import TASKS

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "src", *(case / "src" for case in (ROOT / "cases").glob("*"))]

ROW = re.compile(r"^\| `([\w./]+)` \|.*\|([^|]*)\|$", re.MULTILINE)
"""A row of the map in ARCHITECTURE.md: a room, and the rooms that it may import from."""

TRAINING_LIBRARIES = ["sklearn", "pyarrow", "matplotlib", "mlserver_xgboost"]
"""Libraries that only training needs and the image lacks. MLServer itself imports pandas."""


CLIENTS = ["tritonclient", "gevent", "geventhttpclient", "aiohttp"]
"""Libraries that only MLServer's command line needs and the image lacks."""


def module_name(path: Path, source: Path) -> str:
    """The name by which a file is imported."""
    return ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path, source): path for source in SOURCES for path in sorted(source.rglob("*.py"))}
CASES = {name.split(".")[0] for name in MODULES} - {"tabserve"}

MAP = {
    room: set(re.findall(r"`([\w./]+)`", others))
    for room, others in ROW.findall((ROOT / "ARCHITECTURE.md").read_text())
}


class WithoutTypeChecking(ast.NodeTransformer):
    """Removes the code of a module that only type checkers read."""

    def visit_If(self, node: ast.If) -> ast.If | None:
        return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node


def imports_of(module: str) -> Iterator[str]:
    """Every module that a module imports, anywhere in it, with the packages around our own modules."""
    for node in ast.walk(WithoutTypeChecking().visit(ast.parse(MODULES[module].read_text()))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively; name the whole module"
            assert node.module is not None
            names = [whole if (whole := f"{node.module}.{name}") in MODULES else node.module for name in names]
        for name in names:
            yield name
            yield from (parent for parent in MODULES if name.startswith(f"{parent}.") and parent != module)


IMPORTS = {module: set(imports_of(module)) for module in MODULES}


def packages(modules: set[str]) -> set[str]:
    """The top-level names of modules."""
    return {module.split(".")[0] for module in modules}


def reachable(*starts: str) -> set[str]:
    """Our modules that importing these runs, directly or indirectly."""
    modules, waiting = set[str](), list(starts)
    while waiting:
        if (module := waiting.pop()) not in modules:
            modules.add(module)
            waiting += IMPORTS[module] & MODULES.keys()
    return modules


def room(module: str) -> str:
    """The room of the map that a module is in."""
    path = module.split(".")[1:]
    return next((name for end in range(len(path), 0, -1) if (name := "/".join(path[:end])) in MAP), ".")


def below(*rooms: str) -> set[str]:
    """These rooms, and all rooms that they may import from."""
    return {*rooms}.union(*(below(*MAP[name]) for name in rooms if MAP[name]))


CORE = [name for name, path in MODULES.items() if name.startswith("tabserve.") and not path.stem.startswith("__")]
PREDICTOR_MODULES = [name.rpartition(".")[0] for name in PREDICTORS.values()]
"""Modules that read model files; they are imported when a folder holds such a file."""

SERVING = reachable(*(module for module in CORE if room(module).startswith("serving")), *PREDICTOR_MODULES)
TRAINING = [module for module in CORE if room(module) in below("operations", "trained") - below("serving/mlserver")]
"""Modules that the server does not need."""


def test_imports_are_found_in_the_source() -> None:
    """The modules of both packages are found, and some known imports."""
    assert {"tabserve.training.selection", "tabserve.serving.mlserver.runtime", "santander.sample"} <= MODULES.keys()
    assert {"tabserve.training.split", "tabserve.training.task_training", "sklearn.base"} <= IMPORTS[
        "tabserve.training.selection"
    ]
    assert {"tabserve.model.model", "tabserve.predictors.booster", "tabserve.predictors.linear"} <= SERVING
    assert "santander" in CASES


@pytest.mark.parametrize("module", CORE)
def test_a_module_imports_from_the_rooms_below_its_own(module: str) -> None:
    """The map in ARCHITECTURE.md says which imports are allowed."""
    allowed = below(room(module))
    assert not {name for name in IMPORTS[module] & {*CORE} if room(name) not in allowed}


def test_the_map_has_every_room() -> None:
    """The map has each folder of the package that has modules, and no other."""
    folders = {path.parent.relative_to(ROOT / "src/tabserve") for path in (ROOT / "src/tabserve").rglob("*.py")}
    assert {str(folder) for folder in folders} == MAP.keys() - {"score", "stations", "trained"}


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_no_case(module: str) -> None:
    """The core works for any problem."""
    assert packages(IMPORTS[module]) & CASES == set()


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith("tabserve")])
def test_a_case_imports_no_other_case(module: str) -> None:
    """Each case can be removed without breaking another."""
    assert packages(IMPORTS[module]) & (CASES - packages({module})) == set()


@pytest.mark.parametrize("module", sorted(SERVING))
def test_serving_imports_no_training(module: str) -> None:
    """It imports neither training modules, nor their libraries, nor the stock runtime, directly or indirectly."""
    assert not {*TRAINING} & IMPORTS[module]
    assert packages(IMPORTS[module]) & {*TRAINING_LIBRARIES, "pandas"} == set()


ON_SPARK = ("tabserve.spark", "flights.questions", "flights.spark_session", "flights.spark_table")
"""Modules that need Spark."""


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith(ON_SPARK)])
def test_only_the_spark_package_and_a_cases_questions_import_spark(module: str) -> None:
    """Everything else runs without Spark."""
    assert packages(IMPORTS[module]) & {"pyspark", "py4j"} == set()
    assert not [name for name in IMPORTS[module] if name.startswith((*ON_SPARK, "xgboost.spark"))]


def test_imports_point_one_way() -> None:
    """There is no cycle among modules, nor among rooms."""
    for graph in ({module: IMPORTS[module] & MODULES.keys() for module in MODULES}, MAP):
        TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_named_by_what_it_is(module: str) -> None:
    """No module has a name that fits anything, such as utils."""
    assert not {"utils", "util", "helpers", "helper", "common", "base", "misc"} & set(module.split("."))


OWNERS = {
    "tabserve.problem.columns",
    "tabserve.problem.task",
    "tabserve.encoding.encoder",
    "tabserve.model.decision",
    "tabserve.training.task_training",
    "tabserve.predictors.booster",
}
"""Modules that own kinds, tasks or model types, and may distinguish them."""

KINDS = {*get_args(Kind), *TASKS}
TYPES = {owned.__name__ for owned in (*TASKS.values(), *DECISIONS.values(), Scores, Amounts)} | {
    name.rpartition(".")[2] for name in PREDICTORS.values()
}


def last_names(node: ast.expr) -> set[str]:
    """The last names in an expression, a tuple or a union of them."""
    return {part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "") for part in ast.walk(node)}


def is_kind(node: ast.expr) -> bool:
    """Whether an expression is a kind, by attribute or as text, but not numpy's `dtype.kind`."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(map(is_kind, node.elts))
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and node.value in KINDS
    of_numpy = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "dtype"
    return isinstance(node, ast.Attribute) and node.attr in {"kind", "KIND"} and not of_numpy


def distinguishes_kinds(node: ast.AST) -> bool:
    """Whether code compares a kind, or checks the type of a task, a decision, its answers or a predictor."""
    if isinstance(node, ast.Compare):
        return any(is_kind(side) or last_names(side) & TYPES for side in (node.left, *node.comparators))
    if isinstance(node, ast.Call) and last_names(node.func) & {"isinstance", "issubclass"}:
        return bool(last_names(node.args[1]) & TYPES)
    if isinstance(node, ast.Match):
        return is_kind(node.subject) or any(distinguishes_kinds(case.pattern) for case in node.cases)
    return isinstance(node, ast.MatchClass) and bool(last_names(node.cls) & TYPES)


@pytest.mark.parametrize(
    "code",
    [
        "column.kind == 'date'",
        "'text' != cells",
        "column.kind in ('date', 'text')",
        "task.KIND == other",
        "isinstance(task, Binary)",
        "isinstance(model.predictor, booster.Booster | Linear)",
        "type(decision) is Threshold",
        "match task:\n    case Regression(): pass",
    ],
)
def test_code_that_distinguishes_kinds_is_found(code: str) -> None:
    """Comparisons, type checks and match statements are found."""
    assert any(map(distinguishes_kinds, ast.walk(ast.parse(code))))


@pytest.mark.parametrize("code", ["array.dtype.kind == 'f'", "ENCODINGS[column.kind]", "isinstance(cells, list)"])
def test_other_code_does_not_distinguish_kinds(code: str) -> None:
    """Looking up a kind in a dictionary is allowed."""
    assert not any(map(distinguishes_kinds, ast.walk(ast.parse(code))))


@pytest.mark.parametrize("module", sorted({*CORE} - OWNERS))
def test_only_the_owners_distinguish_kinds(module: str) -> None:
    """All other modules ask the column, task, decision or predictor, so that a new kind needs no change there."""
    lines = [node for node in ast.walk(ast.parse(MODULES[module].read_text())) if distinguishes_kinds(node)]
    assert not [ast.unparse(node) for node in lines]


WITHOUT = """
import sys
for name in {blocked}:
    sys.modules[name] = None  # as if it were not installed
{action}
sys.exit(" ".join(name for name in {watched} if name in sys.modules) or 0)
"""

SCORE = """
import json, pathlib
from tabserve.model.model import GOLDEN, load
model = load(pathlib.Path({folder!r}))
import numpy
rows = json.loads(pathlib.Path({folder!r}, GOLDEN).read_text())["features"]
assert len(model.score(numpy.array(rows, numpy.float32)).label) == len(rows)
"""


def run_without(libraries: list[str], action: str) -> None:
    """Run Python code in a fresh interpreter without these libraries; fail if it loads training modules."""
    watched = [*CASES, *TRAINING]
    script = WITHOUT.format(blocked=libraries, action=action, watched=watched)
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (child.returncode, child.stderr) == (0, "")


def test_the_command_line_starts_without_training_libraries() -> None:
    """It also starts without pandas and MLServer, which only some commands need."""
    run_without([*TRAINING_LIBRARIES, "pandas", "mlserver"], "import tabserve.cli.main")


@pytest.mark.parametrize(
    "words",
    [["compare", "{0}", "{0}", "--data", "rows.csv"], ["threshold", "{0}", "0.3"]],
    ids=["compare", "threshold"],
)
def test_a_command_that_needs_a_missing_library_names_it(words: list[str], model_folder: Path) -> None:
    """The command ends with one sentence and the exit code of wrong usage."""
    command = ["tabserve", *(word.format(model_folder) for word in words)]
    action = f"import sys; sys.argv = {command}; from tabserve.cli.main import main; main()"
    script = f"import sys\nfor name in {TRAINING_LIBRARIES}:\n    sys.modules[name] = None\n{action}"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith("This needs ")
    assert finished.stderr.count("\n") == 1


def test_a_model_is_verified_and_scored_without_training_libraries(model_folder: Path) -> None:
    """Numpy and XGBoost are enough."""
    run_without([*TRAINING_LIBRARIES, "pandas"], SCORE.format(folder=str(model_folder)))


def test_a_model_over_texts_is_verified_and_scored_without_xgboost(texts_folder: Path) -> None:
    """The runtime that serves it does not import XGBoost either, which would take seconds."""
    action = f"""
import pathlib
import tabserve.serving.mlserver.runtime
from tabserve.model.model import GOLDEN, load
model = load(pathlib.Path({str(texts_folder)!r}))
assert model.score(model.predictor.examples(None)).label.shape == (8,)
"""
    run_without([*TRAINING_LIBRARIES, "xgboost"], action)


def test_the_server_is_loaded_without_training_libraries_and_clients() -> None:
    """The server starts in the image, which has none of them."""
    run_without(
        [*TRAINING_LIBRARIES, *CLIENTS], "import tabserve.serving.mlserver.runtime, tabserve.serving.mlserver.server"
    )
