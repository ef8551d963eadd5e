"""Verify an uploaded model in a process of its own, with limits on time and memory."""

import logging
import math
import os
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tabserve.errors import ArtifactError, InvalidUpload, ServerError, TabserveError
from tabserve.model.archive import unpack
from tabserve.model.model import load

NO_MEMORY = 12
"""The process's exit code if its memory is used up, as of ENOMEM; other errors have that of `errors`."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Each thread of these libraries reserves memory, which counts."""

PATIENCE = 5
"""How much less time than the server it gets if both want the processor; see nice(1)."""

FIRST_TO_KILL = "1000"
"""Has the kernel kill this process, and not the server, if the machine has no memory left; see proc(5)."""

log = logging.getLogger(__name__)


def verify(data: bytes, into: Path, seconds: float, memory: int) -> None:
    """Unpack an archive to a folder and load it, in a new process; this one only looks at the exit code.

    Args:
        data: the archive, from a stranger.
        into: the folder to create; half-written ones may lie beside it after an error.
        seconds: the process may take.
        memory: bytes of address space that the process may have; libraries take 700 MiB.

    Raises:
        InvalidUpload: it is no whole archive of a model, or takes more time or memory.
        ServerError: the process failed for another reason.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TABSERVE_")}
    command = [sys.executable, "-P", "-m", __name__, str(into), str(math.ceil(seconds)), str(memory)]
    try:
        child = subprocess.run(  # noqa: S603  no word of it is from the client
            command, input=data, capture_output=True, timeout=seconds, env=environment | ONE_THREAD, check=False
        )
    except subprocess.TimeoutExpired:
        raise InvalidUpload(f"to verify it takes more than {seconds:g} seconds; train a smaller model.") from None
    if child.returncode == ArtifactError.exit_code:
        raise InvalidUpload(child.stdout.decode(errors="replace").strip())
    if child.returncode < 0 or child.returncode == NO_MEMORY:
        raise InvalidUpload(
            f"to verify it takes more than {memory} bytes of memory, or {seconds:g} seconds; train a smaller model."
        )
    if child.returncode:
        log.error("Verifying an upload failed: %s", (child.stdout + child.stderr).decode(errors="replace")[-2000:])
        raise ServerError("to verify it failed; the server's log says why.")


def main(folder: str, seconds: str, memory: str) -> int:
    """Verify the archive on stdin as that process does; write the sentence of an error to stdout."""
    _limit(int(seconds), int(memory))
    try:
        unpack(sys.stdin.buffer.read(), Path(folder))
        load(Path(folder))
    except TabserveError as error:
        print(error)  # noqa: T201  the parent reads it
        return error.exit_code
    except MemoryError:
        return NO_MEMORY
    return 0


def _limit(seconds: int, memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(PATIENCE)
    with suppress(OSError):  # no Linux
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_KILL)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
