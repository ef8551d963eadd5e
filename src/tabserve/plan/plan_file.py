"""Write a plan as a TOML file that people read and change, and read it back as a source and options."""

import json
import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tabserve.errors import DataError, UsageError
from tabserve.files import whole
from tabserve.plan.kinds import KINDS
from tabserve.plan.options import Options
from tabserve.plan.plan import Plan
from tabserve.plan.planned import PlannedColumn
from tabserve.table.dialect import Dialect
from tabserve.table.reader import layout
from tabserve.table.source import Source
from tabserve.wording import listed, one_line, shown

HEAD = """\
# A plan of what to learn from a table. Change what is not right, and train again with this file in place of the table.
# A column is a number, category, date or text to learn from, or the target, id, group or time, or left out.
# Above the columns may also stand: missing = ["?"], metric = "roc_auc", costs = [1, 10], other_label = "other".
"""

TIME_AS_FEATURE = "time and date"
"""The time of a table that the model sees as well."""

WORDS: dict[str, tuple[str, ...]] = {
    **{kind: (kind,) for kind in KINDS},
    "left out": ("drop",),
    "target": ("target",),
    "id": ("id",),
    "group": ("group",),
    "time": ("time",),
    TIME_AS_FEATURE: ("time", "date"),
}
"""What a plan calls each column, and the options that say the same."""

SINGLE = ("target", "id", "group", "time")

FIELDS: dict[str, tuple[type, ...]] = {
    "positive": (str,),
    "task": (str,),
    "missing": (list,),
    "other_label": (str,),
    "drop_empty_target": (bool,),
    "metric": (str,),
    "costs": (list,),
    "seed": (int,),
    "name": (str,),
}
"""The options that are no columns, and their types in TOML."""

KEYS: dict[str, tuple[type, ...]] = {
    "table": (str,),
    "member": (str,),
    "delimiter": (str,),
    "decimal": (str,),
    **FIELDS,
    "columns": (dict,),
}
"""The keys of a plan, and the types of their values."""

IN_WORDS = {str: "a text", list: "a list", bool: "true or false", int: "a whole number", dict: "a table of columns"}


def write(plan: Plan, path: Path) -> None:
    """Write a plan, with every guess as if the user had said it.

    Raises:
        UsageError: the table is no file.
        DataError: the file cannot be written.
    """
    text = render(plan, path)
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def render(plan: Plan, path: Path) -> str:
    """The text of a plan's file at a path."""
    values = _table(plan.source, path) | {name: getattr(plan.settled, name) for name in FIELDS}
    lines = [f"{key} = {_value(value)}" for key, value in values.items() if value not in (None, ())]
    return "\n".join([HEAD, *lines, "", "[columns]", *map(_column_line, plan.columns), ""])


def read(path: Path) -> tuple[Source, Options]:
    """Read a plan: the table, and what to learn from it.

    Raises:
        UsageError: the file is no plan, or is one of a table with other columns; the message names the key.
        DataError: the plan or its table cannot be read.
    """
    document = _document(path)
    _check_keys(path, document)
    source = _source(path, document)
    columns = document["columns"]
    _check_columns(path, columns, layout(source).names, source)
    values = {name: _in_options(document[name]) for name in FIELDS if name in document}
    try:
        return source, Options(**_named_columns(path, columns), **values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _table(source: Source, path: Path) -> dict[str, Any]:
    """Where the table is, seen from the plan, and its signs."""
    if source.path is None:
        raise UsageError("A plan is written for a table in a file; save the table, and name the file.")
    values = {"table": Path(os.path.relpath(source.path, path.absolute().parent)).as_posix()}
    if source.member != Source.member:
        values["member"] = source.member
    if source.dialect:
        values |= {"delimiter": source.dialect.delimiter, "decimal": source.dialect.decimal}
    return values


def _column_line(column: PlannedColumn) -> str:
    word = TIME_AS_FEATURE if column.role == "time" and column.is_feature else column.word
    return f"{_value(column.name)} = {_value(word)}  # {one_line(column.why)}"


def _value(value: Any) -> str:  # noqa: ANN401  any of the types of `KEYS`
    """A value in TOML; JSON writes texts alike, but for the one control character that it does not escape."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value).lower()


def _document(path: Path) -> dict[str, Any]:
    """The content of a plan's file."""
    try:
        return tomllib.loads(path.read_bytes().decode().removeprefix("\ufeff"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; name the file of a plan.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is no plan: {one_line(str(error))}; write it anew by --plan.") from error


def _check_keys(path: Path, document: Mapping[str, Any]) -> None:
    """Refuse unknown keys, missing ones, and values of other types."""
    for key, value in document.items():
        if key not in KEYS:
            near = get_close_matches(key, KEYS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected {listed(KEYS)}."
            raise UsageError(f"{path} has the unknown key {key!r:.60}; {hint}")
        if type(value) not in KEYS[key]:
            raise UsageError(f"{path} needs {IN_WORDS[KEYS[key][0]]} as {key!r}, not {shown(value)}.")
    for key in ("table", "columns"):
        if key not in document:
            raise UsageError(f"{path} lacks the key {key!r}, which every plan has; write it anew by --plan.")


def _source(path: Path, document: Mapping[str, Any]) -> Source:
    """The table of a plan; its path is relative to the plan's folder."""
    signs = {name: document[name] for name in ("delimiter", "decimal") if name in document}
    member = {"member": document["member"]} if "member" in document else {}
    try:
        dialect = Dialect(**signs) if signs else None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return Source(path.parent / document["table"], **member, dialect=dialect)


def _check_columns(path: Path, columns: Mapping[str, Any], names: list[str], source: Source) -> None:
    """Refuse words that are none of `WORDS`, and columns that are not those of the table."""
    for name, word in columns.items():
        if not isinstance(word, str) or word not in WORDS:
            raise UsageError(f"{path} needs {' or '.join(WORDS)} for column {name!r:.60}, not {shown(word)}.")
    lacking = [name for name in columns if name not in names]
    unnamed = [name for name in names if name not in columns]
    if lacking or unnamed:
        what = f"which has no {listed(lacking)}" if lacking else f"whose {listed(unnamed)} it does not name"
        raise UsageError(f"{path} is no plan of {source.name}, {what}; write it anew by --plan.")


def _named_columns(path: Path, columns: Mapping[str, str]) -> dict[str, Any]:
    """The options that name the columns."""
    named: dict[str, list[str]] = {}
    for name, word in columns.items():
        for option in WORDS[word]:
            named.setdefault(option, []).append(name)
    for option in SINGLE:
        if len(named.get(option, ())) > 1:
            raise UsageError(f"{path} calls {listed(named[option])} the {option}, and there is at most one; leave one.")
    if "target" not in named:
        raise UsageError(f"{path} calls no column the target; name the one to predict.")
    return {option: names[0] if option in SINGLE else tuple(names) for option, names in named.items()}


def _in_options(value: Any) -> Any:  # noqa: ANN401  any of the types of `FIELDS`
    """A value of TOML as options take it."""
    return tuple(value) if isinstance(value, list) else value
