"""A manifest is read whole, and whatever is wrong with it is told in one sentence."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.model.small import (
    PROBLEM,
    Damage,
    changed,
    holding,
    missing,
    refused,
    saved,
    swapped,
    trees,
    truncated,
    within,
    without,
    words,
)

from tabserve.cli import main
from tabserve.errors import ArtifactError
from tabserve.model.model import GOLDEN, MANIFEST
from tabserve.predictors.booster import Booster
from tabserve.predictors.linear import Linear
from tabserve.problem.criterion import Counts


def turned_into_a_file(folder: Path) -> None:
    """Leave a file where the folder was."""
    shutil.rmtree(folder)
    folder.touch()


def put(name: str, text: bytes) -> Damage:
    """Put other content into a file, and sign all but the manifest, which has no checksum."""
    return holding(name, text) if name != MANIFEST else lambda folder: (folder / name).write_bytes(text)


def with_costs(**values: object) -> Damage:
    """Let the criterion be costs, some of them set."""
    return within("problem", criterion={"name": "Costs", "false_positive": 1, "false_negative": 5} | values)


HUGE = 10**400
"""What JSON can write, Python can read, and no float can hold."""

STRANGE_FIELDS: dict[str, list[Any]] = {
    "name": [3, None, ["a"], "two\nlines", "\ud800"],
    "target": [3, None],
    "id": [3, ["name"]],
    "labels": [[["no"], "yes"], [0, 1], ["no"], ["no", "yes", "no"]],
    "group": [3, ["name"], "a"],
    "allow_missing": ["no", 1, None],
    "holdout": ["0.2", True, 1, HUGE, float("nan")],
    "folds": [2.5, True, "3", HUGE],
    "seed": ["x", True, -1, 2**32, HUGE],
    "a\nstranger": [1],
    "features": [["a"]],
}

NOT_A_NUMBER = "expected a number from 0 to 1"
NO_PROBLEM = "does not describe a problem"
OTHER_ORDER = "name different features, or the same in another order"
TYPES = dict.fromkeys(["problem", "decision", "metrics", "data", "versions", "files"], "dict") | {"features": "list"}

DAMAGES: list[tuple[str, Damage, str, str]] = [
    ("folder missing", shutil.rmtree, MANIFEST, "cannot be read: No such file or directory"),
    ("folder a file", turned_into_a_file, MANIFEST, "cannot be read: Not a directory"),
    ("feature count", changed(features=["a", "b"]), Booster.FILE, "holds a model of 3 features, the manifest names 2"),
    ("feature order", changed(features=["b", "a", "c"]), Booster.FILE, OTHER_ORDER),
    ("feature name", changed(features=["a", "b", "d"]), Booster.FILE, OTHER_ORDER),
    ("feature repeated", changed(features=["a", "b", "b"]), MANIFEST, NO_PROBLEM),
    ("features a text", changed(features="abc"), MANIFEST, "needs 'features' as a list, found str"),
    ("manifest missing", missing(MANIFEST), MANIFEST, "cannot be read: No such file or directory"),
    ("manifest truncated", truncated(MANIFEST), MANIFEST, "is not JSON"),
    ("manifest swapped", swapped(MANIFEST), Booster.FILE, "does not have the checksum in manifest.json"),
    ("manifest empty", lambda folder: (folder / MANIFEST).write_text(""), MANIFEST, "is not JSON"),
    ("manifest not UTF-8", lambda folder: (folder / MANIFEST).write_bytes(b'{"a": "\xe9"}'), MANIFEST, "is not JSON"),
    ("manifest a list", lambda folder: (folder / MANIFEST).write_text("[]"), MANIFEST, "found a list"),
    ("newer format", changed(format_version=2), MANIFEST, "expected 1; it was written by a newer tabserve, so update"),
    ("older format", changed(format_version=0), MANIFEST, "has format version 0, expected 1; it is damaged"),
    ("text as format", changed(format_version="2"), MANIFEST, "has format version '2', expected 1; it is damaged"),
    ("no format", without("format_version"), MANIFEST, "has format version None, expected 1; it is damaged"),
    *[
        (f"no {key}", without(key), MANIFEST, f"needs '{key}' as a {kind}, found NoneType")
        for key, kind in {
            "problem": "dict",
            "features": "list",
            "decision": "dict",
            "metrics": "dict",
            "data": "dict",
        }.items()
    ],
    ("no versions", without("versions"), MANIFEST, "needs 'versions' as a dict, found NoneType"),
    ("no checksums", without("files"), MANIFEST, "needs 'files' as a dict, found NoneType"),
    ("no checksum", changed(files={}), MANIFEST, "names 0 model files, expected model.ubj or model.npz"),
    (
        "two models",
        within("files", **{Linear.FILE: ""}),
        MANIFEST,
        "names 2 model files, expected model.ubj or model.npz",
    ),
    ("no checksum of golden rows", within("files", **{GOLDEN: ...}), GOLDEN, "does not have the checksum in"),
    ("three labels", within("problem", labels=["no", "yes", "maybe"]), MANIFEST, "no answers between 3 labels"),
    *[
        (f"decision of kind {kind!r:.20}", within("decision", kind=kind), MANIFEST, f"has a decision of kind {kind!r}")
        for kind in (None, "guess", 1, ["threshold"], {"threshold": 0.5}, "Threshold")
    ],
    ("decision of no kind", within("decision", kind=...), MANIFEST, "kind None, expected threshold or most_probable"),
    (
        "decision of a stranger",
        within("decision", colour=1),
        MANIFEST,
        "of the fields ['colour', 'threshold'], expected",
    ),
    ("decision empty", within("decision", threshold=...), MANIFEST, "of the fields [], expected ['threshold']"),
    ("decision of other fields", within("decision", kind="most_probable"), MANIFEST, "expected ['temperature']"),
    *[
        (f"no decision but {value!r}", changed(decision=value), MANIFEST, "needs 'decision' as a dict, found")
        for value in (None, 0.5, "threshold", ["threshold"])
    ],
    (
        "most probable of one output",
        changed(decision={"kind": "most_probable", "temperature": 1}),
        MANIFEST,
        "has a decision of kind 'most_probable', which makes no answers between 2 labels of",
    ),
    *[
        (
            f"threshold {value!r}",
            within("decision", threshold=value),
            MANIFEST,
            f"The threshold is {value!r}, {NOT_A_NUMBER}",
        )
        for value in (-0.1, 1.5, float("nan"), float("inf"), "0.5", True, None, [0.5])
    ],
    ("problem empty", changed(problem={}), MANIFEST, "needs 'labels' as a list, found NoneType"),
    ("problem with a stranger", within("problem", colour="red"), MANIFEST, NO_PROBLEM),
    ("criterion unknown", within("problem", criterion={"name": "Best"}), MANIFEST, NO_PROBLEM),
    ("criterion without costs", within("problem", criterion={"name": "Costs"}), MANIFEST, NO_PROBLEM),
    (
        "criterion of no cost",
        within("problem", criterion={"name": "Costs", "false_positive": 0, "false_negative": 1}),
        MANIFEST,
        NO_PROBLEM,
    ),
    ("criterion a text", within("problem", criterion="F1"), MANIFEST, "needs 'criterion' as a dict, found str"),
    ("labels a number", within("problem", labels=1), MANIFEST, "needs 'labels' as a list, found int"),
    ("labels equal", within("problem", labels=["1", "1"]), MANIFEST, NO_PROBLEM),
    ("folds a text", within("problem", folds="five"), MANIFEST, NO_PROBLEM),
    ("hold-out out of range", within("problem", holdout=2), MANIFEST, NO_PROBLEM),
    *[
        (f"{field} {value!r:.20}", within("problem", **{field: value}), MANIFEST, NO_PROBLEM)
        for field, values in STRANGE_FIELDS.items()
        for value in values
    ],
    *[
        (f"cost {value!r:.20}", with_costs(false_positive=value), MANIFEST, "Both costs must be numbers above 0")
        for value in ["1", True, None, [1], float("inf"), HUGE]
    ],
    ("cost of a stranger", with_costs(colour=1), MANIFEST, NO_PROBLEM),
    (
        "criterion a list of pairs",
        within("problem", criterion=[["name", "F1"]]),
        MANIFEST,
        "'criterion' as a dict, found list",
    ),
    ("criterion named by a list", within("problem", criterion={"name": ["F1"]}), MANIFEST, NO_PROBLEM),
    ("labels a text", within("problem", labels="01"), MANIFEST, "needs 'labels' as a list, found str"),
    ("feature names numbers", changed(features=[1, 2, 3]), MANIFEST, NO_PROBLEM),
    ("feature names lists", changed(features=[["a"], "b", "c"]), MANIFEST, NO_PROBLEM),
    ("format true", changed(format_version=True), MANIFEST, "has format version True, expected 1"),
    ("format huge", changed(format_version=HUGE), MANIFEST, "it was written by a newer tabserve"),
    ("threshold huge", within("decision", threshold=HUGE), MANIFEST, NOT_A_NUMBER),
    *[
        (f"version {value!r:.20}", changed(versions={"python": value}), MANIFEST, f"has version {value!r}")
        for value in (3, None, ["3"], "3\n4", "\ud800")
    ],
    ("version of a strange name", changed(versions={"py\nthon": "3"}), MANIFEST, "has version '3' of 'py\\nthon'"),
    *[
        (f"{name} {what}", put(name, text), name, "is nested too deep or holds a number of too many digits")
        for name in (GOLDEN, MANIFEST)
        for what, text in {"nested": b'{"a":' * 100_000, "of 5,000 digits": b'{"a": ' + b"1" * 5_000 + b"}"}.items()
    ],
]


@pytest.mark.parametrize(("damage", "named", "said"), [pytest.param(*case[1:], id=case[0]) for case in DAMAGES])
def test_every_damage_has_its_own_sentence(damage: Damage, named: str, said: str, folder: Path) -> None:
    """It names the file and what is wrong with it."""
    damage(folder)
    sentence = refused(folder)
    assert str(folder / named) in sentence
    assert said in sentence


TEMPERATURE = "expected a number from 1e-06 to 1000000.0"

OF_TEXTS: dict[str, tuple[Damage, str]] = {
    "no decision": (without("decision"), "needs 'decision' as a dict, found NoneType"),
    "no temperature": (within("decision", temperature=...), "of the fields [], expected ['temperature']"),
    "a threshold": (
        changed(decision={"kind": "threshold", "threshold": 0.5}),
        "has a decision of kind 'threshold', which makes no answers between 3 labels of a model with 3 raw outputs.",
    ),
    **{
        f"temperature {value!r:.20}": (within("decision", temperature=value), TEMPERATURE)
        for value in (0, -1, 1e-7, 1e7, float("nan"), float("inf"), HUGE, "1", True, None, [1])
    },
}


@pytest.mark.parametrize("damage", OF_TEXTS)
def test_a_decision_that_is_none_of_a_model_over_texts_is_told(damage: str, tmp_path: Path) -> None:
    """A temperature alone leaves every margin finite."""
    saved(tmp_path / "model", words())
    done, said = OF_TEXTS[damage]
    done(tmp_path / "model")
    sentence = refused(tmp_path / "model")
    assert str(tmp_path / "model" / MANIFEST) in sentence
    assert said in sentence


class Lowest:
    """A criterion that no folder can name."""

    name = "lowest"

    def __call__(self, counts: Counts) -> NDArray[np.float64]:
        """Fewest flagged."""
        return -np.asarray(counts.true_positive + counts.false_positive, np.float64)


def test_a_criterion_that_cannot_be_loaded_again_is_not_saved(tmp_path: Path) -> None:
    """Nothing is written that would be refused later."""
    model = replace(trees(), problem=replace(PROBLEM, criterion=Lowest()))
    with pytest.raises(ArtifactError, match="Lowest"):
        saved(tmp_path / "model", model)
    assert list(tmp_path.iterdir()) == []


def test_metrics_and_data_may_hold_anything(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are for people and for the card; `tabserve check` reads nothing in them."""
    changed(metrics={"f1": HUGE, "folds": [None]}, data={"rows": "many"})(folder)
    monkeypatch.setattr(sys, "argv", ["tabserve", "check", str(folder)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 0
