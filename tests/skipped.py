"""A list of the tests that were skipped, so that they can be caught up on: `pytest --skipped FILE`.

Where the file is not there, it gets each skipped test and the reason. Where it is there, only its tests are run, and
those that are not skipped again are taken off it. `python -m tests.skipped FILE` prints what is left, and fails where
a test could have been run: one that is only slow, or one that needs programs which answer.
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
    """Take the option."""
    told = "run the tests that FILE lists, or all where there is none; then list in it those that were skipped"
    parser.addoption("--skipped", metavar="FILE", help=told)


def pytest_configure(config: pytest.Config) -> None:
    """Begin the list, once for all workers."""
    if (file := config.getoption("skipped")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Skipped(Path(file)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests that are listed, alone or by their file or folder."""
    file = config.getoption("skipped")
    if file and Path(file).exists():
        listed = tuple(read(Path(file)))
        wanted = [
            item for item in items if any(f"{item.nodeid}/".startswith((f"{each}/", f"{each}::")) for each in listed)
        ]
        config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
        items[:] = wanted


class Skipped:
    """The list, brought up to date by one run."""

    def __init__(self, file: Path) -> None:
        """Begin with what the file holds."""
        self.file = file
        self.before = read(file) if file.exists() else {}
        self.seen = set[str]()
        self.now = dict[str, str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test."""
        if not hasattr(report, "wasxfail"):
            self.note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file or folder, which may be skipped as a whole."""
        self.note(report)

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Whether it was skipped, and why."""
        self.seen.add(report.nodeid)
        if report.skipped and isinstance(report.longrepr, tuple):
            self.now[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the list; that nothing was left to run is no failure."""
        left = {name: why for name, why in self.before.items() if name not in self.seen} | self.now
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(left, indent=2))
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK


def read(file: Path) -> dict[str, str]:
    """Each skipped test, file or folder, and why."""
    listed: dict[str, str] = json.loads(file.read_text())
    return listed


def could_run(why: str) -> bool:
    """Whether a test was skipped as slow, or for programs that answer."""
    needed = re.match("needs ([^:]+): ", why)
    return why == slow.REASON or (needed is not None and not missing(needed[1].split(", ")))


def summary(skipped: Mapping[str, str]) -> str:
    """How many were skipped for each reason, and which of them could have been run."""
    lines = [f"{len(skipped)} skipped in the end:"]
    lines += [f"  {count} × {why}" for why, count in sorted(Counter(skipped.values()).items())]
    lines += [f"{name} was skipped, and could have been run: {why}" for name, why in skipped.items() if could_run(why)]
    return "\n".join(lines)


def main(file: str) -> int:
    """Print what is left of a list; 1 where something is left that could have been run."""
    skipped = read(Path(file))
    print(summary(skipped))  # noqa: T201  what is asked for
    return int(any(map(could_run, skipped.values())))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
