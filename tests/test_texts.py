"""Tables of texts: what is read, joined and refused, and that no split parts a group."""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve import texts
from tabserve.errors import DataError
from tabserve.frame import Frame
from tabserve.problem import Problem
from tabserve.split import fold_numbers, hold_out, subset

PROBLEM = Problem("things", ("title", "tags"), "kind", "number", "seller", ("colar", "caixa", "manta"), folds=3)

HEADER = "number,seller,title,tags,kind,price\n"


def written(folder: Path, rows: str, header: str = HEADER) -> Path:
    """A csv with these rows."""
    path = folder / "things.csv"
    path.write_text(header + rows, encoding="utf-8")
    return path


def read(path: Path) -> Frame:
    """Its frame; the price is not looked at."""
    return texts.read(path, PROBLEM, ["price", "title"])


def test_texts_are_joined_and_labels_are_numbered(tmp_path: Path) -> None:
    """In the problem's order, whatever the file's; an empty cell leaves nothing behind."""
    frame = read(written(tmp_path, '7,s1,"Colar, lindo",prata,colar,1.5\n8,s2,Manta bebê,,manta,x\n'))
    assert frame.features.tolist() == ["Colar, lindo prata", "Manta bebê"]
    assert frame.target.tolist() == [0, 2]
    assert frame.ids.tolist() == ["7", "8"]
    assert frame.group is not None
    assert frame.group.tolist() == ["s1", "s2"]


def test_an_id_may_stand_twice_and_its_first_row_is_taken(tmp_path: Path) -> None:
    """In the order of the file."""
    frame = read(written(tmp_path, "9,s,b,,colar,\n7,s,a,,colar,\n9,s,c,,manta,\n"))
    assert texts.first_of_each(frame).features.tolist() == ["b", "a"]


def test_ids_are_told_apart_to_their_last_sign() -> None:
    """In memory that one long id does not multiply."""
    ids = np.array(["x" * 2**24, *map(str, range(2_000)), "0\0", "0"], np.object_)
    frame = Frame(ids, ids, np.zeros(len(ids), np.int8), PROBLEM)
    assert texts.first_of_each(frame).ids.tolist() == ids[:-1].tolist()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1,s,a,,colar,\n2,s,,tag,colar,\n", "row 2, column 'title': expected a text with letters or digits, found ''"),
        ("1,s,!!!,,colar,\n", "row 1, column 'title': expected a text with letters or digits, found '!!!'"),
        ("1,s,a,,colar,\n2,s,b,,anel,\n", "row 2, column 'kind': expected 'colar' or 'caixa' or 'manta', found 'anel'"),
        ("1,s,a,,,\n", "row 1, column 'kind': expected 'colar' or 'caixa' or 'manta', found an empty cell"),
        (",s,a,,colar,\n", "row 1, column 'number': expected an id, found an empty cell"),
        ("1,,a,,colar,\n", "row 1, column 'seller': expected a group, found an empty cell"),
        ("1,s,a,colar\n", "row 1: expected 6 columns, found 4"),
        ("", "has a header and no rows"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(rows: str, said: str, tmp_path: Path) -> None:
    """With its column, what was expected and what was found."""
    path = written(tmp_path, rows)
    with pytest.raises(DataError) as refused:
        read(path)
    assert str(refused.value).startswith(str(path))
    assert said in str(refused.value)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """And what may have been meant."""
    with pytest.raises(DataError, match="lacks 'title'; did you mean 'titles'"):
        read(written(tmp_path, "1,s,a,,colar,\n", HEADER.replace("title", "titles")))


@st.composite
def grouped(draw: st.DrawFn) -> Frame:
    """Groups of one to nine rows, in three classes of at least thirty groups."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=90, max_size=140))
    group = np.repeat(np.arange(len(sizes)), sizes)
    problem = replace(PROBLEM, seed=draw(st.integers(0, 99)), folds=draw(st.integers(2, 6)))
    ids = np.arange(len(group)).astype(np.str_).astype(np.object_)
    return Frame(ids, ids, (group % 3).astype(np.int8), problem, group.astype(np.str_).astype(np.object_))


@given(grouped())
def test_no_group_is_on_both_sides(frame: Frame) -> None:
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
    """Never silently one that lacks a class, or leaves too little of it."""
    group, target = (
        np.repeat(each, [rows for _, rows in parts])
        for each in ([number % seller for number, (seller, _) in enumerate(parts)], np.arange(len(parts)) % 3)
    )
    ids = np.arange(len(target)).astype(np.str_).astype(np.object_)
    frame = Frame(ids, ids, target.astype(np.int8), replace(PROBLEM, seed=seed, folds=5), group.astype(np.object_))
    with suppress(DataError):
        development, holdout = hold_out(frame)
        assert np.bincount(holdout.target, minlength=3).all()
        fold = fold_numbers(development)
        assert all(np.bincount(development.target[fold != number], minlength=3).all() for number in range(5))


UNEVEN = [  # rows of each class (downwards) in each of twelve groups
    [0, 0, 38, 2, 2, 2, 41, 0, 0, 2, 0, 1],
    [2, 2, 0, 25, 2, 0, 0, 0, 1, 1, 1, 0],
    [0, 2, 2, 2, 2, 2, 0, 0, 1, 0, 0, 2],
    [1, 0, 0, 0, 37, 2, 0, 41, 2, 2, 1, 0],
    [1, 2, 0, 1, 0, 2, 13, 1, 0, 2, 0, 0],
    [0, 1, 0, 2, 2, 1, 0, 1, 0, 0, 1, 1],
]


def test_groups_that_cannot_be_shared_out_are_refused() -> None:
    """As where each fold that could be held out lacks a class, or leaves too little of one."""
    target, group = np.repeat(np.indices((6, 12)).reshape(2, -1), np.ravel(UNEVEN), axis=1)
    ids = np.arange(len(target)).astype(np.str_).astype(np.object_)
    problem = replace(PROBLEM, labels=tuple("abcdef"), folds=5)
    frame = Frame(ids, ids, target.astype(np.int8), problem, np.array([f"s{number}" for number in group], np.object_))
    with pytest.raises(DataError, match=r"Whole groups make no hold-out of about 20% .* leaves 5 groups"):
        hold_out(frame)


def test_too_few_groups_of_a_class_are_counted() -> None:
    """However many rows they have."""
    target = np.repeat([0, 1, 2], 100).astype(np.int8)
    ids = np.arange(300).astype(np.str_).astype(np.object_)
    group = np.where(target == 2, "one", ids).astype(np.object_)
    with pytest.raises(DataError, match=r"The smallest class has 1 groups; 3 folds beside a hold-out of 20%"):
        hold_out(Frame(ids, ids, target, PROBLEM, group))


def test_a_part_of_the_rows_keeps_their_groups() -> None:
    """As it keeps their classes' shares."""
    ids = np.arange(300).astype(np.str_).astype(np.object_)
    part = subset(Frame(ids, ids, np.repeat([0, 1, 2], 100).astype(np.int8), PROBLEM, ids), 30)
    assert part.group is not None
    assert part.group.tolist() == part.ids.tolist()
    assert np.bincount(part.target).tolist() == [10, 10, 10]
