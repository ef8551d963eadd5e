"""What a user says of a table is refused in one sentence where it contradicts itself."""

from typing import Any

import pytest

from tabserve.errors import UsageError
from tabserve.plan.options import LISTS, ROLES, Options


def refusal(**options: Any) -> str:  # noqa: ANN401  the fields of Options
    """The sentence by which options are refused."""
    with pytest.raises(UsageError) as refused:
        Options(**{"target": "y", **options})
    assert str(refused.value).count(". ") == 0
    return str(refused.value)


@pytest.mark.parametrize("first", LISTS)
@pytest.mark.parametrize("second", LISTS)
def test_a_column_under_two_lists_is_refused(first: str, second: str) -> None:
    """Both options are named; a column named twice by one option is no contradiction."""
    if first == second:
        assert getattr(Options("y", **{first: ("a", "a")}), first) == ("a", "a")  # type: ignore[arg-type]
    else:
        sentence = refusal(**{first: ("a",), second: ("a",)})
        assert "'a'" in sentence
        assert f"--{first}" in sentence
        assert f"--{second}" in sentence


@pytest.mark.parametrize("role", [role for role in ROLES if role != "target"])
def test_the_target_is_nothing_else(role: str) -> None:
    """A group, a time or an id that is the target is refused."""
    assert f"--target and --{role}" in refusal(**{role: "y"})


@pytest.mark.parametrize("option", LISTS)
def test_the_target_is_no_feature(option: str) -> None:
    """Neither is it left out."""
    assert f"--target and --{option}" in refusal(**{option: ("y",)})


def test_a_time_may_be_a_feature_as_a_date() -> None:
    """No other column may stand under two options."""
    assert Options("y", time="when", date=("when",)).time == "when"
    assert "--time and --number" in refusal(time="when", number=("when",))


def test_rows_are_split_by_time_or_by_group() -> None:
    """A group may have rows before and after a moment."""
    assert "not by both" in refusal(time="when", group="who")


def test_texts_stand_alone() -> None:
    """A model of texts has no other features."""
    assert "'age'" in refusal(text=("title",), number=("age",))


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    """The known ones are listed."""
    assert "binary or multiclass or regression, not 'ranking'" in refusal(task="ranking")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": ""}, "--target"),
        ({"number": "age"}, "--number"),
        ({"missing": ("",)}, "--missing"),
        ({"missing": (" ?",)}, "--missing"),
        ({"id": ""}, "--id"),
        ({"drop_empty_target": 1}, "--drop-empty-target"),
        ({"seed": -1}, "seed"),
        ({"seed": True}, "--seed"),
        ({"costs": (1,)}, "--costs"),
        ({"costs": (1, 0)}, "above 0"),
        ({"costs": (1, "ten")}, "above 0"),
        ({"other_label": 3}, "--other-label"),
    ],
)
def test_values_of_other_types_are_refused(options: dict[str, Any], words: str) -> None:
    """The option is named."""
    assert words in refusal(**options)
