"""How every command ends: an error is one sentence on stderr and an exit code, never a traceback."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from tabserve.errors import TabserveError

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells expect."""


def run(command: Callable[[], None]) -> NoReturn:
    """Run a command and leave the process with 0, the error's own exit code, or 130 after Ctrl-C."""
    code = 0
    try:
        command()
        sys.stdout.flush()
    except TabserveError as error:
        print(error, file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("Interrupted; nothing was left behind.", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
