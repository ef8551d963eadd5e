"""The server's limits are documented, validated, and overridden by environment variables."""

from pathlib import Path

import pytest

from tabserve.errors import ServerError
from tabserve.serving.limits import Limits, from_environment
from tabserve.serving.mlserver.startup_checks import read_limits

DOCUMENT = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()


@pytest.mark.parametrize("name", Limits.model_fields)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    """The table in docs/serving.md has a row for it."""
    assert f"| `{name}` | {shown(Limits.model_fields[name].default)} |" in DOCUMENT


def shown(default: object) -> str:
    """A default as the table shows it."""
    if isinstance(default, bool | str):
        return str(default).lower() or "–"
    assert isinstance(default, int | float)
    return f"{default:g}" if default < 1e5 else str(default)


def test_a_variable_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file overrides the defaults, which apply without a file."""
    file = tmp_path / "settings.json"
    assert read_limits(file) == Limits()
    file.write_text('{"tabserve": {"max_rows": 5, "admin": true}}')
    monkeypatch.setenv("TABSERVE_MAX_ROWS", "7")
    limits = read_limits(file)
    assert (limits.max_rows, limits.admin, limits.max_body_bytes) == (7, True, Limits().max_body_bytes)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ('{"max_row": 5}', "wrong: max_row: Extra inputs are not permitted, found 5"),
        ('{"max_rows": 0}', "wrong: max_rows: Input should be greater than or equal to 1, found 0"),
        ('{"receive_seconds": "soon"}', "wrong: receive_seconds: Input should be a valid number.*, found 'soon'"),
        ("[]", "wrong: "),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, settings: str, sentence: str) -> None:
    """The error names the setting, what was expected and what was found."""
    file = tmp_path / "settings.json"
    file.write_text(f'{{"tabserve": {settings}}}')
    with pytest.raises(ServerError, match=sentence):
        read_limits(file)


def test_a_variable_overrides_the_default_of_an_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error about a wrong value names the variable."""
    assert from_environment(max_rows=7).max_rows == 7
    monkeypatch.setenv("TABSERVE_MAX_ROWS", "8")
    assert from_environment(max_rows=7).max_rows == 8
    monkeypatch.setenv("TABSERVE_MAX_ROWS", "many")
    with pytest.raises(ServerError, match=r"^A TABSERVE_\* variable is wrong: max_rows: .*, found 'many'\.$"):
        from_environment()
