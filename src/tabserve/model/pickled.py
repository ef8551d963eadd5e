"""Files as a .pkl of plain values, which is read without trusting it: no class is ever imported for one."""

import pickle
import pickletools
import warnings
from collections import deque
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from itertools import islice
from typing import Any, NoReturn

from tabserve.errors import ArtifactError
from tabserve.wording import shown

FORMAT, VERSION = "tabserve model folder", 1
"""The first two members of the dictionary; `files` has the bytes of each file by its name, `sha256` their checksums."""

PLAIN = frozenset(
    {
        *("PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINPUT", "BINGET", "EMPTY_DICT", "SETITEM", "SETITEMS"),
        *("BININT1", "SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
    }
)
"""The operations that make a dictionary of texts, bytes and small numbers, of protocol 3 and later."""

KEEP = frozenset({"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"})
RECALL = frozenset({"GET", "BINGET", "LONG_BINGET"})
"""The operations that keep the last value under a number, and that repeat it."""

MAX_OPERATIONS = 100_000
"""Most operations that are looked at; our own have about 50."""

BROKEN = (pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, LookupError, TypeError, ValueError)
"""What `pickle` raises for nonsense."""

OFFER = "expected a model folder as a zip, or as the .pkl that `tabserve pack` writes"

Operation = tuple[pickletools.OpcodeInfo, Any, int | None]


def dumps(files: Mapping[str, bytes]) -> bytes:
    """Pickle files, by name; the same files give the same bytes."""
    document = {"format": FORMAT, "version": VERSION, "files": {**files}, "sha256": _checksums(files)}
    return pickle.dumps(document, protocol=4)


def loads(data: bytes) -> dict[str, bytes]:
    """The files, by name, in a .pkl that `dumps` made.

    All operations are checked before the first is done, so that none can take more memory than the bytes themselves.

    Raises:
        ArtifactError: the bytes are something else, such as a .pkl that asks for a class, which the message names.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes in texts of protocol 0
            operations = [*islice(pickletools.genops(data), MAX_OPERATIONS)]
    except (ValueError, OverflowError) as error:
        raise ArtifactError(f"The file is neither a zip nor a whole .pkl; {OFFER}.") from error
    if asked := _class_asked_for(operations):
        raise ArtifactError(f"The .pkl asks for {shown(asked)}, and to open it could run code of its author; {OFFER}.")
    if not PLAIN.issuperset(opcode.name for opcode, _, _ in operations) or len(operations) == MAX_OPERATIONS:
        raise ArtifactError(f"The .pkl holds something other than a model folder; {OFFER}.")
    try:
        return _files(_PlainUnpickler(BytesIO(data)).load())
    except BROKEN as error:
        raise ArtifactError(f"The .pkl is damaged ({str(error)!r:.100}); {OFFER}.") from error


def _class_asked_for(operations: list[Operation]) -> str | None:
    """The first class or function that a pickle would import, such as `os.system`, told from its operations alone."""
    values: deque[object] = deque(maxlen=2)
    memo: dict[object, object] = {}
    for opcode, argument, _ in operations:
        if opcode.name in {"GLOBAL", "INST"}:
            return str(argument).replace(" ", ".", 1)
        if opcode.name == "STACK_GLOBAL":
            return ".".join(map(str, values))
        if opcode.name in KEEP:
            memo[len(memo) if argument is None else argument] = values[-1] if values else None
        else:
            values.append(memo.get(argument) if opcode.name in RECALL else argument)
    return None


class _PlainUnpickler(pickle.Unpickler):
    """Refuses every class. No operation in `PLAIN` asks for one, so this is a second lock on the same door."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _files(document: object) -> dict[str, bytes]:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ArtifactError(f"The .pkl holds something other than a model folder; {OFFER}.")
    if (version := document.get("version")) != VERSION:
        raise ArtifactError(f"The .pkl has version {shown(version)}, expected {VERSION}; pack the folder again.")
    files = document.get("files")
    if not isinstance(files, dict) or not all(isinstance(file, bytes) for file in files.values()):
        raise ArtifactError(f"The .pkl has no dictionary of files as bytes; {OFFER}.")
    if _checksums(files) != document.get("sha256"):
        raise ArtifactError(f"The .pkl is damaged, as its files do not have their checksums; {OFFER}.")
    return files


def _checksums(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sha256(file).hexdigest() for name, file in files.items()}
