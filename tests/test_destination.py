"""A command never writes over its input, and its output's ending must be of a format that it writes."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.cli import main
from tabserve.destination import TABLES, check_apart, ending
from tabserve.encoding.cells import SPACES
from tabserve.errors import DataError, UsageError
from tabserve.table.columns import Columns
from tabserve.table.reader import batches
from tabserve.table.source import Source
from tabserve.table.writer import open_writer

ROOT = Path(__file__).parents[1]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

COMMANDS: Mapping[str, Sequence[str]] = {
    "scripts/score.py": ("--data", "rows.csv", "--model", "model", "--out"),
    "scripts/score.py --engine spark": ("--data", "rows", "--model", "model", "--out"),
    "scripts/score.py --engine spark --out scores": ("--data", "rows", "--model", "model", "--rejects"),
    "scripts/train.py": ("--data", "rows.csv", "--out"),
    "scripts/train.py --engine spark": ("--data", "rows", "--out"),
    "scripts/draw.py": ("--model", "model", "--out"),
    "tabserve ask": ("--data", "rows.csv", "--out"),
    "scripts/request.py": ("--data", "rows.csv", "--out"),
    "tabserve score": ("model", "--data", "rows.csv", "--out"),
    "tabserve compare": ("model", "model2", "--data", "rows.csv", "--out"),
    "tabserve drift": ("model", "--data", "rows.csv", "--out"),
    "tabserve threshold": ("0.5", "--data", "rows.csv"),
    "tabserve train": ("rows.csv", "--out"),
    "tabserve pack": ("model", "--out"),
    "cases/flights/scripts/train.py": ("--data", "rows.csv", "--out"),
    "cases/categories/scripts/train.py": ("--data", "rows.csv", "--out"),
    "cases/categories/scripts/train.py --out new": ("--data", "rows.csv", "--metrics"),
}
"""Arguments of each command that reads and writes named files; the output's option comes last."""

ALONE = {
    "scripts/dashboard.py",
    "scripts/sbom.py",
    "scripts/fetch_data.py",
    "cases/categories/scripts/fetch_data.py",
    "cases/flights/scripts/fetch_data.py",
    "cases/flights/scripts/make_extract.py",
}
"""Commands whose output has a name of its own, or that read no file."""


@pytest.fixture
def run(script: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a script or `tabserve` by its words, in this process."""

    def run(*words: object) -> "subprocess.CompletedProcess[str]":
        if words[0] != "tabserve":
            return script(ROOT / str(words[0]), *words[1:])
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [*map(str, words)])
            with pytest.raises(SystemExit) as ended:
                main.main()
        return subprocess.CompletedProcess([*map(str, words)], int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with inputs that no command could read, and links to them."""
    monkeypatch.chdir(tmp_path)
    for name in ("rows.csv", "rows/a.csv", "model/manifest.json", "model2/manifest.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\x80 no table and no model")
    (tmp_path / "hard.csv").hardlink_to("rows.csv")
    (tmp_path / "soft.csv").symlink_to("rows.csv")
    for name in ("rows", "model"):
        (tmp_path / f"soft-{name}").symlink_to(name)
    (tmp_path / "here").symlink_to(".")
    return tmp_path


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """The bytes of each file below a folder, and None for each folder."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


FILE = {
    "the same": ("rows.csv", "is"),
    "another spelling": ("model/../rows.csv", "is"),
    "a symbolic link": ("soft.csv", "is"),
    "a hard link": ("hard.csv", "is"),
    "through a folder's link": ("here/rows.csv", "is"),
    "the folder above": (".", "holds"),
    "below it": ("rows.csv/new", "lies in"),
}
FOLDER = {
    "the same": ("rows", "is"),
    "with a slash": ("rows/", "is"),
    "a link": ("soft-rows", "is"),
    "a file in it": ("rows/a.csv", "lies in"),
    "a new one in it": ("here/rows/new/scores", "lies in"),
    "in it through a link": ("soft-rows/new", "lies in"),
    "by its whole name": ("{}/rows/new", "lies in"),
    "the folder above": ("..", "holds"),
}
MODEL = {
    "the same": ("model", "is"),
    "a file of it": ("model/manifest.json", "lies in"),
    "a new one in it": ("model/scores.csv", "lies in"),
    "through a link": ("soft-model/scores.csv", "lies in"),
}
CLASHES = [
    pytest.param(command, output, f"{relation} {name}", id=f"{command}: {case}")
    for command, words in COMMANDS.items()
    for name, cases in (("rows.csv", FILE), ("rows", FOLDER), ("model", MODEL))
    if name in words
    for case, (output, relation) in cases.items()
]


@pytest.mark.parametrize(("command", "output", "relation"), CLASHES)
def test_an_output_that_overlaps_an_input_is_refused_before_anything_is_read(
    command: str, output: str, relation: str, run: Run, folder: Path
) -> None:
    """By every command, under any name; the inputs are neither read nor changed."""
    before, output = snapshot(folder), output.format(folder)
    words = [*command.split(), *COMMANDS[command], output]
    if command == "tabserve threshold":
        words = [*command.split(), output, *COMMANDS[command]]
    ended = run(*words)
    sentence = f"{Path(output)} cannot be written: it {relation}, which is read as well; name another place.\n"
    assert (ended.returncode, ended.stdout) == (DataError.exit_code, "")
    assert ended.stderr.replace("/ cannot", " cannot") == sentence
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    "words",
    [
        ("scripts/score.py", "--engine", "spark", "--data", "rows", "--out", "new", "--rejects", "here/new/bad"),
        ("cases/categories/scripts/train.py", "--out", "new", "--metrics", "new/metrics.json"),
    ],
)
def test_outputs_that_overlap_are_refused(words: Sequence[str], run: Run, folder: Path) -> None:
    """One would replace the other."""
    before, ended = snapshot(folder), run(*words)
    assert ended.returncode == DataError.exit_code
    assert re.search(r"new cannot be written: it holds \S+, which is written as well", ended.stderr)
    assert snapshot(folder) == before


def test_this_file_tests_every_command_that_writes(run: Run) -> None:
    """A new command has to be added to `COMMANDS` or `ALONE`."""
    scripts = [*ROOT.glob("scripts/*.py"), *ROOT.glob("cases/*/scripts/*.py")]
    commands = [str(path.relative_to(ROOT)) for path in scripts]
    commands += [
        f"tabserve {word}" for word in re.findall(r"^    (\w+)\s", run("tabserve", "--help").stdout, re.MULTILINE)
    ]
    writing = {
        command
        for command in commands
        if re.search(r"--(out|metrics|rejects|output)\b(?!-)|replaced\s+whole", run(*command.split(), "--help").stdout)
    }
    assert "tabserve drift" in writing
    assert writing == ALONE | {" ".join(command.split(" --")[:1]) for command in COMMANDS}


@given(steps=st.lists(st.sampled_from([".", "here", "model/..", "soft-model/..", "rows/../here"]), max_size=6))
def test_every_name_of_a_file_is_recognized(steps: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Through any links; a similar name is another file."""
    folder = tmp_path_factory.getbasetemp() / "names"
    if not folder.exists():
        for name in ("model", "rows"):
            (folder / name).mkdir(parents=True)
        (folder / "here").symlink_to(".")
        (folder / "soft-model").symlink_to("model")
        (folder / "rows.csv").touch()
    name = "/".join([str(folder), *steps, "rows.csv"])
    with pytest.raises(DataError, match="which is read as well"):
        check_apart([name], [folder / "rows.csv"])
    check_apart([f"{name}2", name.removesuffix(".csv") + "-new"], [folder / "rows.csv", folder / "rows", None])


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (command, f"new{wrong}")
        for command in ("scripts/score.py", "tabserve compare", "tabserve drift", "scripts/draw.py")
        for wrong in ("", ".zip", ".xlsx", ".gz", ".tsv")
    ]
    + [("tabserve drift", "new.csv"), ("scripts/draw.py", "new.png"), ("scripts/score.py", "new.svg")]
    + [(name, "new.parquet") for name in ("scripts/dashboard.py", "scripts/sbom.py image", *sorted(ALONE)[:1])]
    + [("scripts/fetch_data.py", "new.csv.gz"), ("cases/categories/scripts/train.py --out other", "new.csv")],
)
def test_an_unsupported_ending_is_refused_before_anything_is_read(
    command: str, output: str, run: Run, folder: Path
) -> None:
    """The message lists the supported endings."""
    before = snapshot(folder)
    option = "--metrics" if "--out" in command else "--out"
    reads = () if command.split(maxsplit=1)[0] in ALONE else COMMANDS[command.replace("other", "new")][:-1]
    ended = run(*command.split(), *reads, option, output)
    assert (ended.returncode, ended.stdout) == (UsageError.exit_code, "")
    message = r" cannot be written: expected a name that ends in \.\w+.*, which says what is written\.\n"
    assert re.fullmatch(re.escape(output) + message, ended.stderr), ended.stderr
    assert snapshot(folder) == before


@pytest.mark.parametrize("name", ["scores.CSV", "scores.Csv.Gz", "a.b.parquet"])
def test_endings_are_recognized_in_any_case(name: str) -> None:
    """And after other dots."""
    assert ending(name) == name.lower()[name.index(".") if "b" not in name else 3 :]
    assert ending("s3a://bucket/scores", default=".parquet") == ".parquet"


TEXTS = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).map(str.strip).filter(bool)
)
ROWS = st.lists(st.tuples(TEXTS, st.integers(-128, 127), st.floats(width=32, allow_nan=False)), max_size=20)


@pytest.mark.parametrize("name", [f"table{known}" for known in TABLES])
@given(rows=ROWS)
def test_a_written_table_is_read_back_unchanged(
    name: str, rows: list[tuple[str, int, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In every format, by the project's reader, bit for bit, but for spaces and tabs at the ends of a text."""
    path = tmp_path_factory.getbasetemp() / name
    kinds = {"id": pa.string(), "label": pa.int8(), "probability": pa.float32()}
    schema = pa.schema(kinds.items())
    columns = [pa.array([row[index] for row in rows], kind) for index, kind in enumerate(kinds.values())]
    with open_writer(path, schema) as writer:
        for start in range(0, len(rows), 7):
            writer.write_batch(pa.record_batch(columns, schema=schema)[start : start + 7])
    table = pa.Table.from_batches(
        batches(Source(path), Columns(["label", "probability"], ["id"]), lambda batch: batch),
        pa.schema({"label": pa.float64(), "probability": pa.float64(), "id": pa.string()}),
    )
    assert table["id"].to_pylist() == [row[0].strip(SPACES) for row in rows]
    assert table["label"].to_pylist() == [row[1] for row in rows]
    assert table["probability"].cast(pa.float32()).to_pylist() == [row[2] for row in rows]
