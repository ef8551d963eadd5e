"""No model file crashes the process: a file that would crash XGBoost is refused first."""

import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb

from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError
from tabserve.model.decision import Threshold
from tabserve.model.model import Model, save
from tabserve.predictors import tree_checks, ubjson
from tabserve.predictors.booster import Booster
from tabserve.problem.columns import numbers
from tabserve.problem.problem import Problem

RNG = np.random.default_rng(0)
FEATURES = RNG.standard_normal((200, 3)).astype(np.float32)
TARGET = (FEATURES[:, 0] + FEATURES[:, 1] * FEATURES[:, 2] + RNG.standard_normal(200) > 0).astype(np.int8)
PROBLEM = Problem("small", numbers("a", "b", "c"))
ENCODER = Encoder.learn(PROBLEM, {})
ROOT = Path(__file__).parents[2]


def train(**options: Any) -> xgb.Booster:  # noqa: ANN401  XGBoost's own
    """A small model; its first tree has seven nodes and the splits 0, 1 and 2."""
    options = {"n_estimators": 3, "max_depth": 2, "n_jobs": 1} | options
    booster = xgb.XGBClassifier(**options).fit(FEATURES, TARGET).get_booster()
    booster.feature_names = list(PROBLEM.features)
    return booster


MODEL = bytes(train().save_raw("ubj"))


def size(number: int) -> bytes:
    """A length in UBJSON."""
    return struct.pack(">cq", b"L", number)


def text(value: str) -> bytes:
    """A name, or a string without its marker."""
    return size(len(value.encode())) + value.encode()


def to_ubjson(value: Any) -> bytes:  # noqa: ANN401, PLR0911  one for each kind of value
    """A document as XGBoost writes it."""
    match value:
        case dict():
            return b"{" + b"".join(text(name) + to_ubjson(member) for name, member in value.items()) + b"}"
        case np.ndarray():
            marker = {dtype: marker for marker, dtype in ubjson.NUMBERS.items()}[value.dtype]
            return b"[$" + marker + b"#" + size(len(value)) + value.tobytes()
        case list():
            return b"[#" + size(len(value)) + b"".join(map(to_ubjson, value))
        case str():
            return b"S" + text(value)
        case None | bool():
            return {None: b"Z", True: b"T", False: b"F"}[value]
        case float():
            return struct.pack(">cf", b"d", value)
        case _:
            kinds = {b"i": ">b", b"I": ">h", b"l": ">i", b"L": ">q"}
            marker = next(
                m
                for m, k in kinds.items()
                if -(1 << 8 * struct.calcsize(k) - 1) <= value < 1 << 8 * struct.calcsize(k) - 1
            )
            return marker + struct.pack(kinds[marker], value)


Document = dict[str, Any]
Change = Callable[[Document, Document], object]
"""Changes a model's document, given `learner.gradient_booster.model` and the first tree in it."""


def document() -> Document:
    """A valid model, whose arrays may be changed."""
    model: Document = ubjson.loads(MODEL)
    for tree in forest(model)["trees"]:
        tree |= {name: array.copy() for name, array in tree.items() if isinstance(array, np.ndarray)}
    return model


def forest(model: Document) -> Document:
    """The part of a model that holds the trees."""
    trees: Document = model["learner"]["gradient_booster"]["model"]
    return trees


def set_node(name: str, index: int, value: float) -> Change:
    """Set one entry of an array of the first tree."""
    return lambda _, tree: tree[name].__setitem__(index, value)


def shorten(name: str) -> Change:
    """Cut the last entry off an array of the first tree."""
    return lambda _, tree: tree.update({name: tree[name][:-1]})


def set_tree(**values: object) -> Change:
    """Set members of the first tree."""
    return lambda _, tree: tree.update(values)


def set_forest(**values: object) -> Change:
    """Set members of the part that holds the trees."""
    return lambda model, _: model.update(values)


def set_parameter(name: str, value: str) -> Change:
    """Set a parameter of the first tree."""
    return lambda _, tree: tree["tree_param"].update({name: value})


def remove_nodes(_model: Document, tree: Document) -> None:
    """Remove all nodes, so that the tree has no root."""
    tree |= {name: array[:0] for name, array in tree.items() if isinstance(array, np.ndarray)}
    tree["tree_param"]["num_nodes"] = "0"


def make_circle(_model: Document, tree: Document) -> None:
    """Make a child of the root its own parent and child."""
    tree["left_children"][1], tree["right_children"][1], tree["parents"][1:3] = 1, 2, 1


def make_chain(splits: int) -> Change:
    """Make a tree of splits one below the other; a million of them would overflow the stack."""

    def change(_model: Document, tree: Document) -> None:
        inner = 2 * np.arange(splits)
        left = np.full(2 * splits + 1, -1, ">i4")
        left[inner] = inner + 1
        old, nodes = len(tree["parents"]), np.zeros(len(left))
        tree |= {name: nodes.astype(array.dtype) for name, array in tree.items() if np.shape(array) == (old,)}
        tree["left_children"], tree["right_children"] = left, np.where(left < 0, left, left + 1).astype(">i4")
        tree["parents"] = np.append(tree_checks.ROOT_PARENT, np.repeat(inner, 2)).astype(">i4")
        tree["sum_hessian"] = np.ones(len(left), ">f4")
        tree["tree_param"]["num_nodes"] = str(len(left))

    return change


NO_TREES = "its nodes do not form trees"
LENGTHS = "the arrays of a tree differ in length"
WEIGHTS = "its nodes do not weigh the rows that they divide"
CATEGORIES = "its splits by categories are not all listed"
ROUNDS = "its boosting rounds do not divide its trees"
ORDER = "its trees are not numbered in their order"
FEATURE = "it splits by a feature that it does not have"
QUESTIONS = "it answers more than one question"
OUTPUTS = "its trees are not divided among its outputs"

FAULTS: dict[str, tuple[Change, str]] = {
    "left child beyond the tree": (set_node("left_children", 0, 10**6), NO_TREES),
    "left child the last node": (set_node("left_children", 0, 6), NO_TREES),
    "left child negative": (set_node("left_children", 0, -5), NO_TREES),
    "left child the node itself": (set_node("left_children", 0, 0), NO_TREES),
    "right child beyond the tree": (set_node("right_children", 0, 10**6), NO_TREES),
    "right child not beside the left": (set_node("right_children", 0, 3), NO_TREES),
    "right child of a leaf": (set_node("right_children", 6, 3), NO_TREES),
    "child of two nodes": (
        lambda _, tree: (set_node("left_children", 2, 3)(_, tree), set_node("right_children", 2, 4)(_, tree)),
        NO_TREES,
    ),
    "circle": (make_circle, NO_TREES),
    "parent beyond the tree": (set_node("parents", 3, 10**6), NO_TREES),
    "parent negative": (set_node("parents", 3, -2), NO_TREES),
    "root with a parent": (set_node("parents", 0, 1), NO_TREES),
    "too many splits deep": (make_chain(1001), "a tree is deeper than 1000 splits"),
    "feature beyond the table": (set_node("split_indices", 0, 3), FEATURE),
    "feature negative": (set_node("split_indices", 1, -1), FEATURE),
    **{f"{name} too short": (shorten(name), LENGTHS) for name in tree_checks.NODES},
    "a node of no weight": (set_node("sum_hessian", 0, 0), WEIGHTS),
    "a node of infinite weight": (set_node("sum_hessian", 0, np.inf), WEIGHTS),
    "a leaf of no number's weight": (set_node("sum_hessian", 6, np.nan), WEIGHTS),
    "a leaf of negative weight": (set_node("sum_hessian", 6, -1), WEIGHTS),
    "a leaf of more weight than its parent": (set_node("sum_hessian", 6, 1e9), WEIGHTS),
    "node count too large": (set_parameter("num_nodes", "1000000"), LENGTHS),
    "node count negative": (set_parameter("num_nodes", "-1"), LENGTHS),
    "no nodes": (remove_nodes, LENGTHS),
    "leaves of several values": (set_parameter("size_leaf_vector", "5"), "a leaf holds other than one value"),
    "split by categories": (
        set_node("split_type", 0, 1),
        "it splits a quantity by categories, or a category as a quantity",
    ),
    "categories given": (
        set_tree(categories=np.array([10**6], ">i4")),
        "its categories do not belong to its splits",
    ),
    **{
        f"{name} given": (set_tree(**{name: np.array([10**6], tree_checks.TYPES[name])}), CATEGORIES)
        for name in tree_checks.CATEGORIES[1:]
    },
    "trees of several classes": (set_forest(tree_info=[0, 7, 0]), "its trees are not divided among its outputs"),
    "rounds beyond the trees": (set_forest(iteration_indptr=[0, 1, 2, 1000]), ROUNDS),
    "rounds going back": (set_forest(iteration_indptr=[0, -1, 2, 3]), ROUNDS),
    "rounds not from the start": (set_forest(iteration_indptr=[1, 2, 3]), ROUNDS),
    "two trees of one number": (set_tree(id=1), ORDER),
}


def refusal(model: bytes) -> str:
    """The message that refuses a model file."""
    with pytest.raises(ArtifactError) as error:
        Booster.read(Path("model.ubj"), model, PROBLEM, ENCODER)
    return str(error.value)


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_model_that_would_crash_xgboost_is_refused_first(change: Change, message: str) -> None:
    """The message says what is wrong; XGBoost would crash at most of these."""
    model = document()
    change(forest(model), forest(model)["trees"][0])
    assert (
        refusal(to_ubjson(model))
        == f"model.ubj holds a model that XGBoost cannot use, as {message}; train the model again."
    )


def test_categories_of_a_frame_are_refused() -> None:
    """XGBoost would keep their names, and number the codes by them."""
    model = document()
    forest(model)["cats"] = {"enc": [{"type": 7}]}
    message = "was trained from a frame whose categories it would number anew; train it from a matrix of codes."
    assert refusal(to_ubjson(model)) == f"model.ubj {message}"


def test_an_infinite_count_is_refused() -> None:
    """UBJSON has infinities."""
    model = document()
    forest(model)["trees"][0]["tree_param"]["num_nodes"] = float("inf")
    assert refusal(to_ubjson(model)) == f"model.ubj is not a model that XGBoost {xgb.__version__} can read."


def test_a_tree_may_be_as_deep_as_the_limit() -> None:
    """Its answers have the usual shape."""
    model = document()
    make_chain(tree_checks.MAX_DEPTH)(forest(model), forest(model)["trees"][0])
    booster = Booster.read(Path("model.ubj"), to_ubjson(model), PROBLEM, ENCODER)
    assert booster.raw(FEATURES).shape == (200, 1)


@pytest.mark.parametrize("name", ["num_class", "num_target"])
def test_a_model_of_several_outputs_is_refused(name: str) -> None:
    """Even if its objective has one."""
    model = document()
    model["learner"]["learner_model_param"][name] = "3"
    assert QUESTIONS in refusal(to_ubjson(model))


@pytest.mark.parametrize("kind", ["gblinear", "dart"])
def test_only_boosted_trees_are_accepted(kind: str) -> None:
    """The message says what was found and what is expected."""
    model = bytes(
        train(booster=kind, max_depth=None, **{"updater": "coord_descent"} if kind == "gblinear" else {}).save_raw(
            "ubj"
        )
    )
    assert refusal(model) == f"model.ubj holds a booster of kind {kind!r}, expected 'gbtree'."


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (b"", "nothing"),
        (b"{", "an object without an end"),
        (MODEL + b"Z", "something behind the end"),
        (bytes(train().save_raw("json")), "JSON"),
        (b"{" + text("learner") + b"[#" + size(-1) + b"}", "a negative size"),
        (b"{" + text("learner") + b"[$l#" + size(2**62) + b"}", "a size beyond the file"),
        (b"{" + text("learner") + b"[$Z#" + size(2**62) + b"}", "an array that takes no bytes"),
        *[
            (b"{" + text("learner") + b"[$" + kind + b"#" + size(1) + bytes(8) + b"}", f"an array of {kind!r}")
            for kind in (b"D", b"i", b"I")
        ],
        (b"{" + (text("learner") + b"Z") * 2 + b"}", "a name given twice"),
        (b"{" + text("learner") + b"S" + size(1) + b"\xff}", "text that is not UTF-8"),
        (b"{" + text("learner") + b"N}", "a marker that starts no value"),
        (b"[#" + size(1) * 100_000, "sizes for values"),
        ((b"[#" + size(1)) * 100_000, "arrays nested without an end"),
        (to_ubjson({"learner": []}), "a list for an object"),
        (to_ubjson({"learner": {"objective": 3}}), "a number for an object"),
        (to_ubjson({}), "no members"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_model_is_refused(model: bytes, what: str) -> None:
    """Whatever its bytes are."""
    assert refusal(model) == f"model.ubj is not a model that XGBoost {xgb.__version__} can read.", what


def test_an_invalid_parameter_is_refused_when_read() -> None:
    """XGBoost itself checks it only at the first prediction."""
    model = document()
    model["learner"]["learner_model_param"]["base_score"] = "[]"
    assert "is not a model that XGBoost" in refusal(to_ubjson(model))


def test_a_document_written_again_has_the_same_bytes() -> None:
    """The reader loses nothing."""
    assert to_ubjson(ubjson.loads(MODEL)) == MODEL


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tree_method": "exact", "gamma": 2, "max_depth": 6},
        {"tree_method": "approx", "max_depth": 6},
        {"grow_policy": "lossguide", "max_leaves": 9},
        {"num_parallel_tree": 3, "subsample": 0.5},
        {"max_depth": 1},
        {"min_child_weight": 1e6},
    ],
    ids=str,
)
def test_models_that_xgboost_trains_are_read(options: dict[str, Any]) -> None:
    """Also pruned nodes, forests and single roots; the answers are the same to the bit."""
    expected = train(**options)
    booster = Booster.read(Path("model.ubj"), bytes(expected.save_raw("ubj")), PROBLEM, ENCODER)
    assert np.array_equal(booster.raw(FEATURES)[:, 0], expected.inplace_predict(FEATURES))


MUTATE = """
import contextlib, hashlib, io, json, pathlib, random, sys
from tests.predictors.test_booster import MODEL, mutate
from tabserve.cli import main

folder = pathlib.Path(sys.argv[1])
manifest = json.loads((folder / "manifest.json").read_text())
sys.argv = ["tabserve", "check", str(folder)]
for seed in range(600):
    model = mutate(MODEL, random.Random(seed))
    (folder / "model.ubj").write_bytes(model)
    manifest["files"]["model.ubj"] = hashlib.sha256(model).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    print(seed, end=" ", flush=True)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main.main()
        except SystemExit as ended:
            code = ended.code
    print(code, flush=True)
"""

NUMBERS = [-5, -1, 0, 1, 2, 3, 6, 7, 100, 10**6, 2**31 - 1, 2**31, 2**32 + 1]


def members(value: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401
    """Every member of every object and list below a value, as its holder and its name or index."""
    names = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [member for name in names for member in [(value, name), *members(value[name])]]


def mutate_value(value: Any, dice: random.Random) -> Any:  # noqa: ANN401
    """Another value in place of this one, mostly of its type."""
    if isinstance(value, np.ndarray) and len(value):
        return np.where(np.arange(len(value)) == dice.randrange(len(value)), dice.choice(NUMBERS), value).astype(
            value.dtype
        )
    if isinstance(value, list) and value:
        return dice.choice([value[:-1], [*value, value[0]], value[::-1]])
    return str(dice.choice(NUMBERS)) if isinstance(value, str) else dice.choice([*NUMBERS, None, [], {}, "1"])


def mutate(model: bytes, dice: random.Random) -> bytes:
    """The model with one or two members or a few bytes changed."""
    if dice.random() < 0.3:
        changed = bytearray(model)
        for _ in range(dice.randrange(1, 4)):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        return bytes(changed)
    document = ubjson.loads(model)
    for _ in range(dice.randrange(1, 3)):
        holder, name = dice.choice(members(document))
        holder[name] = mutate_value(holder[name], dice)
    return to_ubjson(document)


@pytest.mark.slow
def test_no_mutation_of_a_model_crashes_tabserve_check(tmp_path: Path) -> None:
    """It exits with 0 or 4 for each of hundreds; one child process handles them all."""
    model = Model(PROBLEM, ENCODER, Booster(train()), Threshold(0.5), {}, {}, {})
    save(tmp_path / "model", model, FEATURES[:4], "# A model\n")
    command = [sys.executable, "-c", MUTATE, str(tmp_path / "model")]
    child = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert child.returncode == 0, (child.stdout[-20:], child.stderr)
    codes = [line.split()[1] for line in child.stdout.splitlines()]
    assert len(codes) == 600
    assert set(codes) == {"0", "4"}
