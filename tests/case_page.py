"""The blocks of a case's README, and its commands in a shell."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.case_api import environ

ROOT = Path(__file__).parents[1]


class CasePage:
    """A README.

    Attributes:
        text: of the page.
        blocks: of shell and JSON, in the page's order.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        """Read the page; its commands end within so many seconds."""
        self.text, self._seconds = path.read_text(encoding="utf-8"), seconds
        self.blocks: list[str] = re.findall(r"```(?:sh|json)\n(.*?)```", self.text, flags=re.DOTALL)

    def block(self, part: str) -> str:
        """The one block that contains `part`."""
        (match,) = [text for text in self.blocks if part in text]
        return match

    def shell(self, text: str) -> str:
        """Run commands in the repository's root with this Python's environment, and return their output."""
        command = ["bash", "-ec", text.replace(".venv/bin", shlex.quote(str(Path(sys.executable).parent)))]
        environment, seconds = fresh_environment(), self._seconds
        finished = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout


def fresh_environment() -> dict[str, str]:
    """Environment variables of a fresh shell, even if make runs these tests."""
    return {name: value for name, value in environ(None).items() if not name.startswith(("MAKE", "MFLAGS"))}
