"""Print what CHANGELOG.md says of the version that a tag releases."""

import argparse
import re
import tomllib
from pathlib import Path

from tabserve.cli import run
from tabserve.errors import UsageError

PROJECT, CHANGES = Path("pyproject.toml"), Path("CHANGELOG.md")


def main() -> None:
    """Print the notes of a tag; refuse a tag that does not match the project's version."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="exit codes: 0 printed, 2 not to be released so")
    parser.add_argument("tag", metavar="TAG", help="`v` and the version of pyproject.toml, such as v0.1.0")
    tag = parser.parse_args().tag
    version = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"]
    if tag != f"v{version}":
        raise UsageError(
            f"{PROJECT} has version {version}, whose tag is v{version}; found {tag!r}: change one of them."
        )
    print(notes(version, CHANGES.read_text(encoding="utf-8")))


def notes(version: str, changes: str) -> str:
    """The section of a version in the text of CHANGELOG.md.

    Raises:
        UsageError: no heading has this version and the day of its release.
    """
    section = rf"^## {re.escape(version)}, \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)"
    match = re.search(section, changes, re.MULTILINE | re.DOTALL)
    if not match:
        raise UsageError(f"{CHANGES} has no section '## {version}, YYYY-MM-DD'; write the day of the release there.")
    return match[1].strip()


if __name__ == "__main__":
    run.run(main)
