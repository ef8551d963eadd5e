"""The threshold of a folder is moved without training; folder, card and measures stay consistent."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model import small

from tabserve.cli import main
from tabserve.errors import ArtifactError, UsageError
from tabserve.model import model as models
from tabserve.model.decision import MostProbable, Threshold, threshold_of
from tabserve.model.manifest import MEASURED_WITH
from tabserve.model.model import CARD, GOLDEN, MANIFEST, Model, amend, load
from tabserve.operations.move_threshold import MEASURES, compare_on_holdout, compare_on_rows, move, with_threshold
from tabserve.reports import card
from tabserve.reports.tables import TITLES
from tabserve.table.frame import Frame
from tabserve.training import bootstrap
from tabserve.training.binary import measures
from tabserve.training.split import hold_out


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the shared model folder, alone in its parent folder."""
    return shutil.copytree(model_folder, tmp_path / "model")


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    """The shared model."""
    return load(model_folder)


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of each file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# The folder.


def test_a_move_changes_manifest_and_card_only(folder: Path, model: Model) -> None:
    """The model and its golden rows keep their bytes, and no file is left beside the folder."""
    before = content(folder)
    moved = move(folder, 0.3)
    after = content(folder)
    assert {name for name in before if before[name] != after[name]} == {MANIFEST, CARD}
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    loaded = load(folder)
    assert (moved.decision, loaded.decision, loaded.measured_with) == (Threshold(0.3), Threshold(0.3), model.decision)
    assert loaded.metrics == {**model.metrics, MEASURED_WITH: {"threshold": threshold_of(model.decision)}}
    assert (loaded.problem, loaded.data, loaded.versions) == (model.problem, model.data, model.versions)


def test_moving_back_restores_the_same_bytes(folder: Path, model: Model) -> None:
    """After any number of moves."""
    before = content(folder)
    for value in (0.0, 0.7, 1.0, threshold_of(model.decision)):
        move(folder, value)
    assert content(folder) == before


def test_the_card_begins_with_a_note_on_the_moved_threshold(folder: Path, model: Model) -> None:
    """One note after any number of moves; the rest of the card is unchanged."""
    original = (folder / CARD).read_text()
    for value in (0.7, 0.3):
        move(folder, value)
    text = (folder / CARD).read_text()
    assert text.startswith("> **The threshold was moved**")
    assert text.endswith(original)
    note = text.removesuffix(original)
    assert f"from {threshold_of(model.decision)} to 0.3" in " ".join(note.split())
    assert "0.7" not in note
    assert card.render(load(folder)) == text


def test_an_edited_card_is_kept(folder: Path) -> None:
    """The owner's text stands below the note."""
    (folder / CARD).write_text("# Ours\n\n> A remark.\n")
    move(folder, 0.3)
    assert (folder / CARD).read_text().endswith("\n\n# Ours\n\n> A remark.\n")


def test_a_link_to_a_folder_stays_a_link(folder: Path) -> None:
    """Its target is written."""
    link = folder.with_name("served")
    link.symlink_to("model")
    move(link, 0.3)
    assert link.is_symlink()
    assert load(folder).decision == Threshold(0.3)


def test_a_damaged_folder_is_refused_and_unchanged(folder: Path) -> None:
    """As at every load; a folder without a card is refused too."""
    (folder / CARD).unlink()
    before = content(folder)
    with pytest.raises(ArtifactError, match=CARD):
        move(folder, 0.3)
    (folder / GOLDEN).write_text("{}")
    with pytest.raises(ArtifactError, match=GOLDEN):
        move(folder, 0.3)
    assert content(folder) == before | {GOLDEN: b"{}"}


def test_a_move_that_cannot_be_loaded_again_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new folder is verified before it replaces the old one."""
    before, write = content(folder), models._rewrite

    def damaged(folder: Path, fresh: Path, model: Model, text: str) -> None:
        write(folder, fresh, model, text)
        (fresh / model.predictor.FILE).write_bytes(b"damaged")

    monkeypatch.setattr(models, "_rewrite", damaged)
    with pytest.raises(ArtifactError, match="was not written"):
        move(folder, 0.3)
    assert content(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("wrong", ["high", None, True, -0.1, 1.5])
def test_an_invalid_earlier_threshold_is_refused(folder: Path, wrong: object, model: Model) -> None:
    """The manifest must record a valid threshold at which the metrics were measured."""
    changed = replace(model, metrics={**model.metrics, MEASURED_WITH: {"threshold": wrong}})
    with pytest.raises(ArtifactError, match=r"The threshold is .*, expected a number from 0 to 1"):
        amend(folder, changed, "A card.\n")


@pytest.mark.parametrize("wrong", [None, 0.5, [0.5], {"temperature": 1}, {"kind": "threshold"}, {"kind": None}])
def test_an_earlier_decision_of_another_kind_is_refused(folder: Path, wrong: object, model: Model) -> None:
    """It must be of the same kind as the folder's decision."""
    changed = replace(model, metrics={**model.metrics, MEASURED_WITH: wrong})
    with pytest.raises(
        ArtifactError, match=rf"{MANIFEST} (needs '{MEASURED_WITH}' as a dict|has a decision of the f|has a kind in)"
    ):
        amend(folder, changed, "A card.\n")


def test_a_model_without_a_threshold_is_refused(texts_folder: Path, tmp_path: Path) -> None:
    """The message is one sentence, and nothing changes."""
    folder = shutil.copytree(texts_folder, tmp_path / "model")
    before = content(folder)
    assert isinstance(load(folder).decision, MostProbable)
    with pytest.raises(
        UsageError, match=r"^Only a model of two labels has a threshold, and this one answers something else\.$"
    ):
        move(folder, 0.3)
    assert content(folder) == before


@pytest.mark.parametrize("kind", small.PREDICTORS)
def test_the_threshold_of_every_predictor_is_moved_and_measured(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command, on rows with categories, dates and empty cells; moving it back restores the same bytes."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 40)
    model = small.save_small(tmp_path / "model", small.PREDICTORS[kind](small.MIXED["binary"](0)))
    before, labels = content(tmp_path / "model"), np.array(model.problem.labels)[small.targets(model.problem)]
    pd.DataFrame(small.TABLE).assign(target=labels).to_csv(tmp_path / "rows.csv", index=False)
    for value in ("0.7", "0.4"):
        words = ["tabserve", "threshold", str(tmp_path / "model"), value, "--data", str(tmp_path / "rows.csv")]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert not ended.value.code
        assert load(tmp_path / "model").decision == Threshold(float(value))
    probability = model.score(small.cells(model.encoder)).probability
    flagged = f"{(probability >= np.float64(0.7)).mean():.4f}"
    (line, _) = (line for line in capsys.readouterr().out.splitlines() if TITLES["flagged"] in line)
    assert line.split("(")[1].split()[-1] == flagged
    assert content(tmp_path / "model") == before


@pytest.mark.parametrize("kind", small.PREDICTORS)
@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_no_other_task_has_a_threshold(
    task: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says so in one sentence, and changes nothing."""
    small.save_small(tmp_path / "model", small.PREDICTORS[kind](small.MIXED[task](0)))
    before = content(tmp_path / "model")
    monkeypatch.setattr(sys, "argv", ["tabserve", "threshold", str(tmp_path / "model"), "0.3"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == ArtifactError.exit_code
    sentence = f"{tmp_path}/model holds a model without a threshold between two labels, which this needs.\n"
    assert capsys.readouterr() == ("", sentence)
    assert content(tmp_path / "model") == before


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_only_the_last_move_counts(model: Model, values: list[float]) -> None:
    """Several moves equal the last one, and a move back equals no move."""
    moved = model
    for value in values:
        moved = with_threshold(moved, value)
    assert (moved.decision, moved.metrics) == (Threshold(values[-1]), with_threshold(model, values[-1]).metrics)
    assert moved.measured_with == model.decision
    assert with_threshold(moved, threshold_of(model.decision)).metrics == model.metrics


# The measures of a move.


def cells(lines: list[str]) -> dict[str, list[str]]:
    """The cells of each line, by its title."""
    titles = [TITLES[name] for name in MEASURES]
    return {
        title: [cell.strip() for cell in line.split("  ") if cell.strip()][1:]
        for title, line in zip(titles, lines[1:], strict=True)
    }


def test_labelled_rows_show_the_effect_of_a_move(
    model: Model, sample_frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Precision, recall and flagged share at both thresholds and their change, each with an interval."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 40)
    frame = sample_frame.take(np.arange(500))
    shown = cells([*compare_on_rows(model, 0.2, frame)])
    probability = model.score(frame.features).probability
    cuts, criterion = (threshold_of(model.decision), 0.2), frame.problem.criterion
    old, new = (measures(frame.target, probability, cut, criterion) for cut in cuts)
    for name in MEASURES:
        before, after, change = shown[TITLES[name]]
        assert [before[:6], after[:6]] == [f"{old[name]:.4f}", f"{new[name]:.4f}"]
        assert change.startswith(f"{new[name] - old[name]:+.4f} (")
        for cell in (before, after, change):
            value, low, high = (float(word.strip("()")) for word in cell.split() if word != "to")
            assert low <= value <= high


@pytest.mark.parametrize(("value", "near"), [(0.3, 0.3), (0.3049, 0.3), (1.0, 1.0), (0.0, 0.0)])
def test_without_rows_the_hold_outs_curve_is_shown(
    model: Model, sample_frame: Frame, value: float, near: float
) -> None:
    """At the nearest hundredth of the threshold."""
    lines = [*compare_on_holdout(model, value)]
    assert lines[0].split() == ["at", f"{threshold_of(model.decision):.4f}", "at", f"{near:.4f}"]
    _, holdout = hold_out(sample_frame)
    probability = model.score(holdout.features).probability
    for row, cut in enumerate((threshold_of(model.decision), near)):
        expected = measures(holdout.target, probability, cut, model.problem.criterion)
        for name, shown in cells(lines).items():
            measure = next(key for key, title in TITLES.items() if title == name)
            assert shown[row] == f"{expected[measure]:.4f}"


def test_a_move_back_shows_the_hold_outs_measures(model: Model) -> None:
    """They were measured at that threshold."""
    for row in cells([*compare_on_holdout(with_threshold(model, 0.9), threshold_of(model.decision))]).values():
        assert row[0] == row[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda metrics: {**metrics, "holdout": {}, "curve": {}},
        lambda metrics: {**metrics, "holdout": None, "curve": None},
        lambda metrics: {
            **metrics,
            "holdout": {name: {"value": "good"} for name in MEASURES},
            "curve": {"threshold": []},
        },
        lambda _: {"f1": 0.5},
    ],
    ids=["never opened", "null", "words", "another report"],
)
def test_a_folder_without_measures_says_so(model: Model, change: Callable[[object], dict[str, object]]) -> None:
    """Also if its metrics have another form."""
    shown = cells([*compare_on_holdout(replace(model, metrics=change(model.metrics)), 0.9)])
    assert list(shown.values()) == [["not kept", "not kept"]] * len(MEASURES)
