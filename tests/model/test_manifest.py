"""A manifest is validated as a whole, and each fault of it is reported in one sentence."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.model.small import (
    MIXED,
    PROBLEM,
    Damage,
    drop_key,
    put_content,
    refusal,
    remove,
    save_small,
    set_values,
    set_within,
    swap,
    trees,
    truncate,
    words,
)

from tabserve.cli import main
from tabserve.errors import ArtifactError
from tabserve.model.manifest import Manifest
from tabserve.model.model import GOLDEN, MANIFEST, PREDICTORS
from tabserve.predictors.booster import Booster
from tabserve.predictors.linear import Linear
from tabserve.problem.criterion import Counts
from tabserve.problem.task import Binary, Multiclass


def turned_into_a_file(folder: Path) -> None:
    """Replace the folder by a file."""
    shutil.rmtree(folder)
    folder.touch()


def put(name: str, text: bytes) -> Damage:
    """Replace the content of a file and correct its checksum; the manifest has none."""
    return put_content(name, text) if name != MANIFEST else lambda folder: (folder / name).write_bytes(text)


def with_costs(**values: object) -> Damage:
    """Set the criterion to costs, with these values."""
    return set_within("task", criterion={"kind": "Costs", "false_positive": 1, "false_negative": 5} | values)


def with_columns(*names: str, **values: object) -> Damage:
    """Replace the columns by numbers of these names; the first has these further members."""
    return set_values(columns=[{"name": name} | (values if not index else {}) for index, name in enumerate(names)])


HUGE = 10**400
"""A number of valid JSON that no float can hold."""

STRANGE_FIELDS: dict[str, list[Any]] = {
    "name": [3, None, ["a"], "two\nlines", "\ud800"],
    "target": [3, None],
    "id": [3, ["name"]],
    "group": [3, ["name"], "a"],
    "holdout": ["0.2", True, 1, HUGE, float("nan")],
    "folds": [2.5, True, "3", HUGE],
    "seed": ["x", True, -1, 2**32, HUGE],
    "blanks": ["?", [1], [""], [" ?"], ["\ud800"], None, {}],
    "a\nstranger": [1],
    "labels": [["no", "yes"]],
    "columns": [["a"]],
    "task": [{"kind": "binary"}],
}

STRANGE_LABELS: list[Any] = [1, "01", None, [["no"], "yes"], [0, 1], ["no"], ["1", "1"], ["no", "yes", "maybe"]]

NO_COLUMNS: list[Any] = ["a", 1, None, ["a"], {}]

STRANGE_LEVELS: list[Any] = [
    None,
    [],
    {},
    {"levels": "ab"},
    {"levels": [1]},
    {"levels": [""]},
    {"levels": [" "]},
    {"levels": ["a", " a"]},
    {"levels": ["x" * 1_001]},
    {"levels": ["\ud800"]},
    {"levels": ["a"], "colour": 1},
    {"levels": [*map(str, range(10_001))]},
]

STRANGE_COLUMNS: dict[str, list[Any]] = {
    "name": [3, None, "", ["a"], "a[b", "target", "\ud800"],
    "kind": ["numbers", "", 1, None, ["number"]],
    "missing": ["no", 1, 0, None, [True]],
    "unseen": ["dropped", True, None],
    "a\nstranger": [1],
}

NOT_A_NUMBER = "expected a number from 0 to 1"
NO_PROBLEM = "does not describe a problem"
OTHER_ORDER = "name different features, or the same in another order"
NO_TASK = "does not describe a task"
OBJECTS = ["problem", "task", "encodings", "decision", "metrics", "data", "versions", "files"]
TYPES = dict.fromkeys(OBJECTS, "dict") | {"columns": "list"}

DAMAGES: list[tuple[str, Damage, str, str]] = [
    ("folder missing", shutil.rmtree, MANIFEST, "cannot be read: No such file or directory"),
    ("folder a file", turned_into_a_file, MANIFEST, "cannot be read: Not a directory"),
    ("column count", with_columns("a", "b"), Booster.FILE, "holds a model of 3 features, the manifest names 2"),
    ("column order", with_columns("b", "a", "c"), Booster.FILE, OTHER_ORDER),
    ("column name", with_columns("a", "b", "d"), Booster.FILE, OTHER_ORDER),
    ("column repeated", with_columns("a", "b", "b"), MANIFEST, NO_PROBLEM),
    ("no columns", set_values(columns=[]), MANIFEST, NO_PROBLEM),
    ("columns a text", set_values(columns="abc"), MANIFEST, "needs 'columns' as a list, found str"),
    ("column of text among others", with_columns("a", "b", "c", kind="text"), MANIFEST, NO_PROBLEM),
    *[
        (f"column with {field} {value!r:.20}", with_columns("a", "b", "c", **{field: value}), MANIFEST, NO_PROBLEM)
        for field, values in STRANGE_COLUMNS.items()
        for value in values
    ],
    *[(f"column {value!r}", set_values(columns=[value]), MANIFEST, NO_PROBLEM) for value in NO_COLUMNS],
    ("manifest missing", remove(MANIFEST), MANIFEST, "cannot be read: No such file or directory"),
    ("manifest truncated", truncate(MANIFEST), MANIFEST, "is not JSON"),
    ("manifest swapped", swap(MANIFEST), Booster.FILE, "does not have the checksum in manifest.json"),
    ("manifest empty", lambda folder: (folder / MANIFEST).write_text(""), MANIFEST, "is not JSON"),
    ("manifest not UTF-8", lambda folder: (folder / MANIFEST).write_bytes(b'{"a": "\xe9"}'), MANIFEST, "is not JSON"),
    ("manifest a list", lambda folder: (folder / MANIFEST).write_text("[]"), MANIFEST, "found a list"),
    (
        "newer format",
        set_values(format_version=2),
        MANIFEST,
        "expected 1; it was written by a newer tabserve, so update",
    ),
    ("older format", set_values(format_version=0), MANIFEST, "has format version 0, expected 1; it is damaged"),
    ("text as format", set_values(format_version="2"), MANIFEST, "has format version '2', expected 1; it is damaged"),
    ("no format", drop_key("format_version"), MANIFEST, "has format version None, expected 1; it is damaged"),
    *[
        (f"no {key}", drop_key(key), MANIFEST, f"needs '{key}' as a {kind}, found NoneType")
        for key, kind in TYPES.items()
    ],
    ("no checksum", set_values(files={}), MANIFEST, f"names 0 model files, expected {' or '.join(PREDICTORS)}"),
    (
        "two models",
        set_within("files", **{Linear.FILE: ""}),
        MANIFEST,
        f"names 2 model files, expected {' or '.join(PREDICTORS)}",
    ),
    ("no checksum of golden rows", set_within("files", **{GOLDEN: ...}), GOLDEN, "does not have the checksum in"),
    *[(f"labels {value!r}", set_within("task", labels=value), MANIFEST, NO_TASK) for value in STRANGE_LABELS],
    *[
        (f"task of kind {kind!r:.20}", set_within("task", kind=kind), MANIFEST, f"has a task of kind {kind!r}")
        for kind in (None, "guess", 1, ["binary"], {"binary": 1}, "Binary")
    ],
    (
        "task of no kind",
        set_within("task", kind=...),
        MANIFEST,
        "of kind None, expected binary or multiclass or regression",
    ),
    (
        "task with an unknown field",
        set_within("task", colour=1),
        MANIFEST,
        "of the fields ['colour', 'criterion', 'labels', 'metric'], expected",
    ),
    (
        "task of other fields",
        set_within("task", kind="regression"),
        MANIFEST,
        "expected ['criterion', 'metric', 'unit']",
    ),
    ("several labels for one", set_within("task", kind="multiclass"), Booster.FILE, "expected 'multi:softprob'"),
    (
        "an amount for a label",
        set_values(task={"kind": "regression", "unit": "", "criterion": {"kind": "RMSE"}}),
        Booster.FILE,
        "holds a model of objective 'binary:logistic', expected 'reg:squarederror' or",
    ),
    (
        "unit a number",
        set_values(task={"kind": "regression", "unit": 1, "criterion": {"kind": "RMSE"}}),
        MANIFEST,
        NO_TASK,
    ),
    (
        "criterion of amounts",
        set_within("task", criterion={"kind": "MAE"}),
        MANIFEST,
        "needs f1, Costs(...), Accuracy() or",
    ),
    (
        "an encoding of a number",
        set_values(encodings={"a": {}}),
        MANIFEST,
        "does not fit its columns: Expected the encoding",
    ),
    *[
        (
            f"decision of kind {kind!r:.20}",
            set_within("decision", kind=kind),
            MANIFEST,
            f"has a decision of kind {kind!r}",
        )
        for kind in (None, "guess", 1, ["threshold"], {"threshold": 0.5}, "Threshold")
    ],
    (
        "decision of no kind",
        set_within("decision", kind=...),
        MANIFEST,
        "kind None, expected threshold or most_probable or amount",
    ),
    (
        "decision with an unknown field",
        set_within("decision", colour=1),
        MANIFEST,
        "of the fields ['colour', 'threshold'], expected",
    ),
    ("decision empty", set_within("decision", threshold=...), MANIFEST, "of the fields [], expected ['threshold']"),
    ("decision of other fields", set_within("decision", kind="most_probable"), MANIFEST, "expected ['temperature']"),
    *[
        (f"no decision but {value!r}", set_values(decision=value), MANIFEST, "needs 'decision' as a dict, found")
        for value in (None, 0.5, "threshold", ["threshold"])
    ],
    (
        "most probable of one output",
        set_values(decision={"kind": "most_probable", "temperature": 1}),
        MANIFEST,
        "has a decision of kind 'most_probable', which makes no answers between 2 labels of",
    ),
    *[
        (
            f"threshold {value!r}",
            set_within("decision", threshold=value),
            MANIFEST,
            f"The threshold is {value!r}, {NOT_A_NUMBER}",
        )
        for value in (-0.1, 1.5, float("nan"), float("inf"), "0.5", True, None, [0.5])
    ],
    ("problem empty", set_values(problem={}), MANIFEST, NO_PROBLEM),
    ("task empty", set_values(task={}), MANIFEST, "has a criterion of kind None"),
    ("problem with an unknown field", set_within("problem", colour="red"), MANIFEST, NO_PROBLEM),
    ("criterion unknown", set_within("task", criterion={"kind": "Best"}), MANIFEST, "has a criterion of kind 'Best'"),
    (
        "criterion without costs",
        set_within("task", criterion={"kind": "Costs"}),
        MANIFEST,
        "a criterion of the fields []",
    ),
    ("criterion of no cost", with_costs(false_positive=0), MANIFEST, "does not describe a criterion"),
    (
        "criterion a text",
        set_within("task", criterion="F1"),
        MANIFEST,
        "has a criterion of kind None, expected F1 or Costs",
    ),
    ("folds a text", set_within("problem", folds="five"), MANIFEST, NO_PROBLEM),
    ("hold-out out of range", set_within("problem", holdout=2), MANIFEST, NO_PROBLEM),
    *[
        (f"{field} {value!r:.20}", set_within("problem", **{field: value}), MANIFEST, NO_PROBLEM)
        for field, values in STRANGE_FIELDS.items()
        for value in values
    ],
    *[
        (f"cost {value!r:.20}", with_costs(false_positive=value), MANIFEST, "Both costs must be numbers above 0")
        for value in ["1", True, None, [1], float("inf"), HUGE]
    ],
    (
        "cost with an unknown field",
        with_costs(colour=1),
        MANIFEST,
        "a criterion of the fields ['colour', 'false_negative'",
    ),
    ("criterion a list of pairs", set_within("task", criterion=[["kind", "F1"]]), MANIFEST, "a criterion of kind None"),
    (
        "criterion named by a list",
        set_within("task", criterion={"kind": ["F1"]}),
        MANIFEST,
        "a criterion of kind ['F1']",
    ),
    ("format true", set_values(format_version=True), MANIFEST, "has format version True, expected 1"),
    ("format huge", set_values(format_version=HUGE), MANIFEST, "it was written by a newer tabserve"),
    ("threshold huge", set_within("decision", threshold=HUGE), MANIFEST, NOT_A_NUMBER),
    *[
        (f"version {value!r:.20}", set_values(versions={"python": value}), MANIFEST, f"has version {value!r}")
        for value in (3, None, ["3"], "3\n4", "\ud800")
    ],
    ("version of a strange name", set_values(versions={"py\nthon": "3"}), MANIFEST, "has version '3' of 'py\\nthon'"),
    *[
        (f"{name} {what}", put(name, text), name, "is nested too deep or holds a number of too many digits")
        for name in (GOLDEN, MANIFEST)
        for what, text in {"nested": b'{"a":' * 100_000, "of 5,000 digits": b'{"a": ' + b"1" * 5_000 + b"}"}.items()
    ],
]


@pytest.mark.parametrize(("damage", "file", "message"), [pytest.param(*case[1:], id=case[0]) for case in DAMAGES])
def test_each_damage_is_refused_in_its_own_sentence(damage: Damage, file: str, message: str, folder: Path) -> None:
    """The sentence names the file and what is wrong with it."""
    damage(folder)
    sentence = refusal(folder)
    assert str(folder / file) in sentence
    assert message in sentence


TEMPERATURE = "expected a number from 1e-06 to 1000000.0"

OF_TEXTS: dict[str, tuple[Damage, str]] = {
    "no decision": (drop_key("decision"), "needs 'decision' as a dict, found NoneType"),
    "no temperature": (set_within("decision", temperature=...), "of the fields [], expected ['temperature']"),
    "a threshold": (
        set_values(decision={"kind": "threshold", "threshold": 0.5}),
        "has a decision of kind 'threshold', which makes no answers between 3 labels of a model with 3 raw outputs.",
    ),
    **{
        f"temperature {value!r:.20}": (set_within("decision", temperature=value), TEMPERATURE)
        for value in (0, -1, 1e-7, 1e7, float("nan"), float("inf"), HUGE, "1", True, None, [1])
    },
}


@pytest.mark.parametrize("damage", OF_TEXTS)
def test_a_decision_that_does_not_fit_a_model_over_texts_is_refused(damage: str, tmp_path: Path) -> None:
    """As is a temperature outside its range."""
    save_small(tmp_path / "model", words())
    apply, message = OF_TEXTS[damage]
    apply(tmp_path / "model")
    sentence = refusal(tmp_path / "model")
    assert str(tmp_path / "model" / MANIFEST) in sentence
    assert message in sentence


OF_MIXED: dict[str, tuple[str, Damage, str, str]] = {
    "encoding of no column": (
        "binary",
        set_within("encodings", street={"levels": ["a"]}),
        MANIFEST,
        "does not fit its columns: Expected the encoding of the columns 'city', 'when', 'floor', found 'city', 'when',",
    ),
    "no encoding": ("binary", set_within("encodings", city=...), MANIFEST, "found 'when', 'floor'."),
    "levels twice": (
        "binary",
        set_within("encodings", floor={"levels": ["1", "2", "1.0"]}),
        MANIFEST,
        "column 'floor' cannot be used: A category has one level twice, as '1' and as '1.0'; spell it in one way.",
    ),
    **{
        f"levels {value!r:.30}": (
            "binary",
            set_within("encodings", city=value),
            MANIFEST,
            "column 'city' cannot be used",
        )
        for value in STRANGE_LEVELS
    },
    "one level less": (
        "binary",
        set_within("encodings", floor={"levels": ["1", "2"]}),
        Booster.FILE,
        "it splits by categories that its features do not have",
    ),
    "no level": (
        "binary",
        set_within("encodings", city={"levels": []}),
        Booster.FILE,
        "it splits a quantity by categories, or a category as a quantity",
    ),
    "hours": ("binary", set_within("encodings", when={"hours": False}), Booster.FILE, "holds a model of 7 features"),
    "hours a number": ("binary", set_within("encodings", when={"hours": 1}), MANIFEST, "column 'when' cannot be used"),
    "swapped ends": (
        "regression",
        set_within("decision", widths=[-1.5, 2.0]),
        MANIFEST,
        "A width is -1.5, expected none below 0: the interval's ends are swapped.",
    ),
    "swapped edges": (
        "regression",
        set_within("decision", edges=[2.0, 1.0], widths=[1, 1, 1]),
        MANIFEST,
        "expected each larger than the one before",
    ),
    "a threshold for an amount": (
        "regression",
        set_values(decision={"kind": "threshold", "threshold": 0.5}),
        MANIFEST,
        "has a decision of kind 'threshold', which makes no answers between 0 labels",
    ),
    "a unit of two lines": ("regression", set_within("task", unit="US\nD"), MANIFEST, NO_TASK),
    "criterion of labels": (
        "regression",
        set_within("task", criterion={"kind": "F1"}),
        MANIFEST,
        "needs rmse or MAE() of",
    ),
    "two labels of three": (
        "multiclass",
        set_within("task", labels=["a", "b"]),
        Booster.FILE,
        "it tells other than 2 classes apart",
    ),
}


@pytest.mark.parametrize("damage", OF_MIXED)
def test_a_manifest_that_does_not_fit_a_model_of_several_kinds_of_columns_is_refused(
    damage: str, tmp_path: Path
) -> None:
    """Encodings must fit the columns, trees the encodings, and the decision the task."""
    kind, apply, file, message = OF_MIXED[damage]
    save_small(tmp_path / "model", MIXED[kind](0))
    apply(tmp_path / "model")
    sentence = refusal(tmp_path / "model")
    assert str(tmp_path / "model" / file) in sentence
    assert message in sentence


class Lowest:
    """A criterion that a manifest cannot name."""

    name = "lowest"

    def __call__(self, counts: Counts) -> NDArray[np.float64]:
        """Prefer few flagged rows."""
        return -np.asarray(counts.true_positive + counts.false_positive, np.float64)


def test_a_criterion_that_cannot_be_loaded_again_is_not_saved(tmp_path: Path) -> None:
    """No folder is written that could not be loaded."""
    model = replace(trees(), problem=replace(PROBLEM, task=Binary(criterion=Lowest())))
    with pytest.raises(ArtifactError, match="Lowest"):
        save_small(tmp_path / "model", model)
    assert list(tmp_path.iterdir()) == []


def test_metrics_and_data_may_hold_anything(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are for people and the card; `tabserve check` does not read them."""
    set_values(metrics={"f1": HUGE, "folds": [None]}, data={"rows": "many"})(folder)
    monkeypatch.setattr(sys, "argv", ["tabserve", "check", str(folder)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 0


LABELS = ("a", "b", "rest")


@pytest.mark.parametrize(
    ("name", "task"),
    [("other", Multiclass(LABELS, other="rest")), ("metric", Multiclass(LABELS, metric="accuracy"))],
)
def test_a_field_of_the_task_is_written_only_if_it_is_set(
    name: str, task: Multiclass, folder: Path, tmp_path: Path
) -> None:
    """Older folders stay as they are, and what is set is read back."""
    read = Manifest.read(folder / MANIFEST)
    assert name not in json.loads((folder / MANIFEST).read_text())["task"]
    changed = replace(read, problem=replace(read.problem, task=task))
    changed.write(tmp_path / MANIFEST)
    assert name in json.loads((tmp_path / MANIFEST).read_text())["task"]
    assert Manifest.read(tmp_path / MANIFEST).problem == changed.problem
