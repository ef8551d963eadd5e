"""Tables of texts: how they are read, joined and refused, and how groups are kept whole in every split."""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Multiclass
from tabserve.table import frame_reader
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read_with_repeated_ids
from tabserve.training.shares import REFUSE_ABOVE, WARN_ABOVE
from tabserve.training.split import describe_split, fold_numbers, hold_out, subset

COLUMNS = (Column("title", "text"), Column("tags", "text", missing=True))
PROBLEM = Problem("things", COLUMNS, "kind", Multiclass(("colar", "caixa", "manta")), "number", "seller", folds=3)
ENCODER = Encoder.learn(PROBLEM, {})

HEADER = "number,seller,title,tags,kind,price\n"


def write(folder: Path, rows: str, header: str = HEADER) -> Path:
    """Write a csv with these rows."""
    path = folder / "things.csv"
    path.write_text(header + rows, encoding="utf-8")
    return path


def read(path: Path) -> Frame:
    """Read the csv; the price is ignored."""
    return read_with_repeated_ids(path, replace(PROBLEM, ignored=("price",)))


def test_texts_are_joined_and_labels_are_numbered(tmp_path: Path) -> None:
    """In the problem's order of columns and labels; an empty cell adds nothing to the text."""
    frame = read(write(tmp_path, '7,s1,"Colar, lindo",prata,colar,1.5\n8,s2,Manta bebê,,manta,x\n'))
    assert frame.features.tolist() == ["Colar, lindo prata", "Manta bebê"]
    assert frame.target.tolist() == [0, 2]
    assert frame.ids.tolist() == ["7", "8"]
    assert frame.group is not None
    assert frame.group.tolist() == ["s1", "s2"]


def test_read_repeated_takes_an_id_twice(tmp_path: Path) -> None:
    """Rows stay in the file's order; `read` refuses such a table."""
    path = write(tmp_path, "9,s,b,,colar,\n7,s,a,,colar,\n9,s,c,,manta,\n")
    assert read(path).features.tolist() == ["b", "a", "c"]
    with pytest.raises(DataError, match="has the id '9' 2 times"):
        frame_reader.read(path, replace(PROBLEM, ignored=("price",)))


def test_ids_differ_by_a_nul_at_the_end(tmp_path: Path) -> None:
    """NumPy's fixed-width texts would drop it."""
    path = write(tmp_path, "".join(f'"{name}",s,a,,{kind},\n' for name, kind in (("0\0", "colar"), ("0", "manta"))))
    assert frame_reader.read(path, replace(PROBLEM, ignored=("price",))).ids.tolist() == ["0\0", "0"]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            "1,s,a,,colar,\n2,s,,tag,colar,\n",
            "row 2, column 'title': expected a text with letters or digits, found an empty cell",
        ),
        ("1,s,!!!,,colar,\n", "row 1, column 'title': expected a text with letters or digits, found '!!!'"),
        ("1,s,a,,colar,\n2,s,b,,anel,\n", "row 2, column 'kind': expected 'colar' or 'caixa' or 'manta', found 'anel'"),
        ("1,s,a,,,\n", "row 1, column 'kind': expected 'colar' or 'caixa' or 'manta', found an empty cell"),
        (",s,a,,colar,\n", "row 1, column 'number': expected an id, found an empty cell"),
        ("1,,a,,colar,\n", "row 1, column 'seller': expected a group, found an empty cell"),
        ("1,s,a,colar\n", "row 1: expected 6 columns, found 4"),
        ("", "has a header and no rows"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(rows: str, reason: str, tmp_path: Path) -> None:
    """With its column, and what was expected and found there."""
    path = write(tmp_path, rows)
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value).startswith(str(path))
    assert reason in str(error.value)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """With a similar name in the table."""
    with pytest.raises(DataError, match="lacks 'title'; did you mean 'titles'"):
        read(write(tmp_path, "1,s,a,,colar,\n", HEADER.replace("title", "titles")))


@st.composite
def grouped(draw: st.DrawFn) -> Frame:
    """Groups of one to nine rows, in three classes of at least thirty groups."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=90, max_size=140))
    group = np.repeat(np.arange(len(sizes)), sizes)
    problem = replace(PROBLEM, seed=draw(st.integers(0, 99)), folds=draw(st.integers(2, 6)))
    ids = np.arange(len(group)).astype(np.str_).astype(np.object_)
    return Frame(ids, ids, (group % 3).astype(np.int8), problem, ENCODER, group.astype(np.str_).astype(np.object_))


@given(grouped())
def test_no_group_is_on_both_sides_of_a_split(frame: Frame) -> None:
    """Neither of the hold-out nor of a fold; every row is on one side, and every class on both."""
    development, holdout = hold_out(frame)
    assert development.group is not None
    assert holdout.group is not None
    assert not set(development.group) & set(holdout.group)
    assert sorted([*development.ids, *holdout.ids]) == sorted(frame.ids)
    fold = fold_numbers(development)
    assert max(Counter(group for group, _ in set(zip(development.group, fold, strict=True))).values()) == 1
    assert np.bincount(holdout.target, minlength=3).all()
    assert all(np.bincount(development.target[fold == number], minlength=3).all() for number in range(fold.max() + 1))


@given(st.lists(st.tuples(st.integers(7, 13), st.integers(1, 40)), min_size=21, max_size=40), st.integers(0, 99))
def test_a_hold_out_of_uneven_groups_has_every_class_or_is_refused(parts: list[tuple[int, int]], seed: int) -> None:
    """A split that lacks a class, or leaves too little of it, is never made silently."""
    group, target = (
        np.repeat(values, [rows for _, rows in parts])
        for values in ([number % seller for number, (seller, _) in enumerate(parts)], np.arange(len(parts)) % 3)
    )
    ids = np.arange(len(target)).astype(np.str_).astype(np.object_)
    frame = Frame(
        ids, ids, target.astype(np.int8), replace(PROBLEM, seed=seed, folds=5), ENCODER, group.astype(np.object_)
    )
    with suppress(DataError):
        development, holdout = hold_out(frame)
        assert np.bincount(holdout.target, minlength=3).all()
        fold = fold_numbers(development)
        assert all(np.bincount(development.target[fold != number], minlength=3).all() for number in range(5))


def with_a_large_group(share: float, problem: Problem = PROBLEM, rows: int = 1_500) -> Frame:
    """Groups of three rows, except the first, which has this share of all; three rows in seven have the first class."""
    group = np.arange(rows) // 3
    group[: round(share * rows)] = -1
    ids = np.arange(rows).astype(np.str_).astype(np.object_)
    return Frame(
        ids, ids, (np.arange(rows) % 7 % 3).astype(np.int8), problem, ENCODER, group.astype(np.str_).astype(np.object_)
    )


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # each takes a tenth of a second
@given(
    share=st.floats(0, 0.9), holdout=st.sampled_from([0.1, 0.2, 0.25, 1 / 3, 0.5, 0.7, 0.8]), seed=st.integers(0, 99)
)
def test_a_large_group_never_changes_a_share_silently(
    share: float, holdout: float, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The hold-out and each fold have about the requested share, or a warning says so, or they are refused."""
    frame = with_a_large_group(share, replace(PROBLEM, holdout=holdout, seed=seed, folds=4))
    caplog.clear()
    with suppress(DataError):
        development, held_out = hold_out(frame)
        off = abs(len(held_out) / len(frame) - holdout) / holdout
        assert off <= REFUSE_ABOVE
        assert ("a hold-out of" in caplog.text) == (off > WARN_ABOVE)
        shares = np.bincount(fold_numbers(development)) / len(development)
        off = np.abs(shares - 1 / 4).max() * 4
        assert off <= REFUSE_ABOVE
        assert ("a fold of" in caplog.text) == (off > WARN_ABOVE)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.3, 0.4, 0.45, 0.5, 0.6, 0.75, 0.9])
def test_the_hold_out_of_small_groups_has_the_requested_share(share: float) -> None:
    """Also a share that is not one divided by an integer."""
    _, holdout = hold_out(with_a_large_group(0, replace(PROBLEM, holdout=share)))
    assert len(holdout) / 1_500 == pytest.approx(share, abs=0.01)


def test_the_largest_group_is_held_out_only_if_that_is_nearest_to_the_requested_share(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of the candidate folds, one has the largest group, and another may be nearer."""
    for share in (0.24, 0.28, 0.32):
        development, holdout = hold_out(with_a_large_group(share))
        assert development.group is not None
        assert "-1" in set(development.group)
        assert len(holdout) == pytest.approx((1 - share) / 4 * 1_500, abs=3)
    assert caplog.text == ""
    _, holdout = hold_out(with_a_large_group(0.2))
    assert len(holdout) == pytest.approx(300, abs=3)


def test_a_hold_out_of_another_share_is_logged_and_one_of_a_far_other_share_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The message has both shares and that of the largest group; the error also says what to do."""
    _, holdout = hold_out(with_a_large_group(0.44))
    assert len(holdout) == pytest.approx(0.14 * 1_500, abs=3)
    assert caplog.messages == [
        "Whole groups make a hold-out of 14.0% of the rows in place of 20.0%, as the largest group has 44.0% of them."
    ]
    with pytest.raises(
        DataError, match=r"a hold-out of 7\.4% .* the largest group has 70\.4% of them; use more groups"
    ):
        hold_out(with_a_large_group(0.704))


def test_folds_of_another_share_are_logged_and_those_of_a_far_other_share_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The message has the fold whose share is farthest from the equal one."""
    fold_numbers(with_a_large_group(0.24, replace(PROBLEM, folds=5)))
    assert caplog.messages == []
    fold_numbers(with_a_large_group(0.28, replace(PROBLEM, folds=5)))
    assert caplog.messages[0].startswith("Whole groups make a fold of 28.0% of the rows in place of 20.0%, as the")
    with pytest.raises(DataError, match=r"^Whole groups make a fold of 40\.0% of the rows in place of 20\.0%, as the"):
        fold_numbers(with_a_large_group(0.4, replace(PROBLEM, folds=5)))


@pytest.mark.parametrize(
    ("rows", "folds", "expected"),
    [
        (1_000, [160] * 5, ("20%", "5 folds")),
        (1_000, [164, 163, 163, 163, 163], ("18%", "5 folds")),
        (1_000, [172] * 5, ("14% (in place of 20%, as groups are whole)", "5 folds")),
        (1_000, [230, 140, 140, 140, 150], ("20%", "5 folds (of 18% to 29% each, as groups are whole)")),
    ],
)
def test_a_split_is_described_by_its_actual_shares(rows: int, folds: list[int], expected: tuple[str, str]) -> None:
    """On the model card: a share that groups changed stands beside the requested one."""
    assert describe_split(PROBLEM, rows, folds)[1:] == expected


UNEVEN = [  # rows of each class (downwards) in each of twelve groups
    [0, 0, 38, 2, 2, 2, 41, 0, 0, 2, 0, 1],
    [2, 2, 0, 25, 2, 0, 0, 0, 1, 1, 1, 0],
    [0, 2, 2, 2, 2, 2, 0, 0, 1, 0, 0, 2],
    [1, 0, 0, 0, 37, 2, 0, 41, 2, 2, 1, 0],
    [1, 2, 0, 1, 0, 2, 13, 1, 0, 2, 0, 0],
    [0, 1, 0, 2, 2, 1, 0, 1, 0, 0, 1, 1],
]


def test_groups_that_cannot_be_shared_out_are_refused() -> None:
    """As when each fold that could be held out lacks a class, or leaves too little of one."""
    target, group = np.repeat(np.indices((6, 12)).reshape(2, -1), np.ravel(UNEVEN), axis=1)
    ids = np.arange(len(target)).astype(np.str_).astype(np.object_)
    problem = replace(PROBLEM, task=Multiclass(tuple("abcdef")), folds=5)
    frame = Frame(
        ids, ids, target.astype(np.int8), problem, ENCODER, np.array([f"s{number}" for number in group], np.object_)
    )
    with pytest.raises(DataError, match=r"Whole groups make no hold-out of about 20% .* leaves 5 groups"):
        hold_out(frame)


def test_too_few_groups_of_a_class_are_counted() -> None:
    """A class with many rows in one group is refused."""
    target = np.repeat([0, 1, 2], 100).astype(np.int8)
    ids = np.arange(300).astype(np.str_).astype(np.object_)
    group = np.where(target == 2, "one", ids).astype(np.object_)
    with pytest.raises(DataError, match=r"The smallest class has 1 group; 3 folds beside a hold-out of 20%"):
        hold_out(Frame(ids, ids, target, PROBLEM, ENCODER, group))


def test_a_part_of_the_rows_keeps_their_groups() -> None:
    """And the shares of their classes."""
    ids = np.arange(300).astype(np.str_).astype(np.object_)
    part = subset(Frame(ids, ids, np.repeat([0, 1, 2], 100).astype(np.int8), PROBLEM, ENCODER, ids), 30)
    assert part.group is not None
    assert part.group.tolist() == part.ids.tolist()
    assert np.bincount(part.target).tolist() == [10, 10, 10]
