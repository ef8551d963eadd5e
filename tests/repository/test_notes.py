"""A release's notes are what CHANGELOG.md says of its version, and nothing else can be released."""

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
    """Ask for a tag's notes where the project has a version."""
    monkeypatch.chdir(tmp_path)
    Path("CHANGELOG.md").write_text(CHANGES)

    def ask(version: str, tag: str) -> CompletedProcess[str]:
        Path("pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
        return script(ROOT / "scripts/notes.py", tag)

    return ask


def test_the_changelog_begins_with_the_projects_version() -> None:
    """With its day, or as not yet released."""
    first = re.search(r"^## (.*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first
    assert re.fullmatch(rf"{re.escape(VERSION)}, (not yet released|\d{{4}}-\d\d-\d\d)", first[1])


@pytest.mark.parametrize(("version", "said"), [("0.1.0", "- The first.\n- The second.\n"), ("0.0.9", "- Before.\n")])
def test_the_notes_are_the_section_of_the_version(notes: Notes, version: str, said: str) -> None:
    """Without its heading, and without its neighbours."""
    printed = notes(version, f"v{version}")
    assert (printed.returncode, printed.stdout, printed.stderr) == (0, said, "")


@pytest.mark.parametrize(
    ("version", "tag", "said"),
    [
        ("0.2.0", "v0.2.0", "CHANGELOG.md has no section '## 0.2.0, YYYY-MM-DD'"),
        ("0.1", "v0.1", "CHANGELOG.md has no section '## 0.1, YYYY-MM-DD'"),
        ("0.1.0", "v0.2.0", "pyproject.toml has version 0.1.0, whose tag is v0.1.0; found 'v0.2.0'"),
        ("0.1.0", "0.1.0", "pyproject.toml has version 0.1.0, whose tag is v0.1.0; found '0.1.0'"),
    ],
    ids=["no day", "no section", "another version", "no v"],
)
def test_what_may_not_be_released_is_refused(notes: Notes, version: str, tag: str, said: str) -> None:
    """In one sentence, with the exit code of wrong usage: before anything is published."""
    refused = notes(version, tag)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert refused.stderr.startswith(said)
