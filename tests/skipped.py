"""A list of the skipped tests, so that they can be run later: `pytest --skipped FILE`.

If the file does not exist, pytest writes each skipped test and the reason to it. If it exists, pytest runs only its
tests, and removes from it those that are not skipped again. `python -m tests.skipped FILE` prints the tests that are
left, and fails if one of them could have been run: it is only slow, or the programs that it needs are there.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests import slow
from tests.needs import missing


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    text = "run the tests that FILE lists, or all if it does not exist; then write the skipped ones to it"
    parser.addoption("--skipped", metavar="FILE", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Start the list, once for all workers."""
    if (file := config.getoption("skipped")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Skipped(Path(file)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests unless they, their file or their folder are listed."""
    file = config.getoption("skipped")
    if file and Path(file).exists():
        listed = tuple(read(Path(file)))
        selected = [
            item for item in items if any(f"{item.nodeid}/".startswith((f"{name}/", f"{name}::")) for name in listed)
        ]
        config.hook.pytest_deselected(items=[item for item in items if item not in selected])
        items[:] = selected


class Skipped:
    """The list, updated by one run of pytest."""

    def __init__(self, file: Path) -> None:
        """Start with nothing reported."""
        self.file = file
        self.reported = set[str]()
        self.skipped = dict[str, str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the outcome of a test."""
        if not hasattr(report, "wasxfail"):
            self.record(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record the outcome of a file or folder, which may be skipped as a whole."""
        self.record(report)

    def record(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Record whether a test, file or folder was skipped, and why."""
        self.reported.add(report.nodeid)
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the list, which other runs may have shortened meanwhile; a run without tests left is no failure."""
        earlier = read(self.file) if self.file.exists() else {}
        left = {name: why for name, why in earlier.items() if name not in self.reported} | self.skipped
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(left, indent=2))
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK


def read(file: Path) -> dict[str, str]:
    """Read the list: each skipped test, file or folder, and the reason."""
    listed: dict[str, str] = json.loads(file.read_text())
    return listed


def could_run(why: str) -> bool:
    """Whether a test was skipped only because it is slow, or because of programs that can be used."""
    needed = re.match("needs ([^:]+): ", why)
    return why == slow.REASON or (needed is not None and not missing(needed[1].split(", ")))


def summary(skipped: Mapping[str, str]) -> str:
    """The report: how many tests were skipped for each reason, and which of them could have been run."""
    lines = [f"{len(skipped)} skipped in the end:"]
    lines += [f"  {count} × {why}" for why, count in sorted(Counter(skipped.values()).items())]
    lines += [f"{name} was skipped, and could have been run: {why}" for name, why in skipped.items() if could_run(why)]
    return "\n".join(lines)


def main(file: str) -> int:
    """Print the report of a list; returns 1 if one of its tests could have been run, else 0."""
    skipped = read(Path(file))
    print(summary(skipped))  # noqa: T201  the output of the command
    return int(any(map(could_run, skipped.values())))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
