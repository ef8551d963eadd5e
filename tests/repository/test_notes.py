"""Release notes are the version's section of CHANGELOG.md, and no other version can be released."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
CHANGES = """# Changes

## 0.2.0, not yet released

- To come.

## 0.1.0, 2026-03-01

- The first.
- The second.

## 0.0.9, 2026-02-01

- Before.
"""

Notes = Callable[[str, str], CompletedProcess[str]]


@pytest.fixture
def notes(script: Callable[..., CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notes:
    """A function that prints a tag's notes for a given project version."""
    monkeypatch.chdir(tmp_path)
    Path("CHANGELOG.md").write_text(CHANGES)

    def ask(version: str, tag: str) -> CompletedProcess[str]:
        Path("pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
        return script(ROOT / "scripts/notes.py", tag)

    return ask


def test_the_changelog_begins_with_the_projects_version() -> None:
    """The first section is the project's version, with a date or as not yet released."""
    first = re.search(r"^## (.*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first
    assert re.fullmatch(rf"{re.escape(VERSION)}, (not yet released|\d{{4}}-\d\d-\d\d)", first[1])


@pytest.mark.parametrize(("version", "section"), [("0.1.0", "- The first.\n- The second.\n"), ("0.0.9", "- Before.\n")])
def test_the_notes_are_the_section_of_the_version(notes: Notes, version: str, section: str) -> None:
    """The heading and other sections are left out."""
    printed = notes(version, f"v{version}")
    assert (printed.returncode, printed.stdout, printed.stderr) == (0, section, "")


@pytest.mark.parametrize(
    ("version", "tag", "message"),
    [
        ("0.2.0", "v0.2.0", "CHANGELOG.md has no section '## 0.2.0, YYYY-MM-DD'"),
        ("0.1", "v0.1", "CHANGELOG.md has no section '## 0.1, YYYY-MM-DD'"),
        ("0.1.0", "v0.2.0", "pyproject.toml has version 0.1.0, whose tag is v0.1.0; found 'v0.2.0'"),
        ("0.1.0", "0.1.0", "pyproject.toml has version 0.1.0, whose tag is v0.1.0; found '0.1.0'"),
    ],
    ids=["no day", "no section", "another version", "no v"],
)
def test_a_wrong_tag_or_changelog_is_refused(notes: Notes, version: str, tag: str, message: str) -> None:
    """The refusal is one sentence with the exit code of wrong usage."""
    refused = notes(version, tag)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert refused.stderr.startswith(message)
