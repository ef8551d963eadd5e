"""`tabserve pack`: write a model folder as one file, which a server with the route `/model/load` takes."""

import argparse
from pathlib import Path

from tabserve import files
from tabserve.cli import options
from tabserve.destination import check_apart, ending

EPILOG = """examples:
  tabserve pack build/model --out model.zip
  tabserve pack build/model --out model.pkl

exit codes: 0 written, 2 wrong option, 3 the file cannot be written, 4 bad model folder
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `pack` to the commands of `tabserve`."""
    parser = commands.add_parser(
        "pack",
        help="write a model folder as one file, to load it into a server",
        description=(
            "Verify a model folder and write it as one file: a zip, or a .pkl that holds a dictionary of plain values,"
            " so that opening it runs no code. The same folder gives the same bytes."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EPILOG,
    )
    parser.add_argument("folder", type=options.folder, metavar="FOLDER", help="the model folder")
    parser.add_argument(
        "--out",
        type=options.file,
        required=True,
        metavar="FILE",
        help=".zip or .pkl to write; an earlier one is replaced",
    )
    parser.set_defaults(run=lambda arguments: print(pack(arguments.folder, arguments.out)))


def pack(folder: Path, out: Path) -> str:
    """Verify and pack a folder; returns a sentence about the file.

    Raises:
        DataError: the file is or lies in the folder, or cannot be written.
        UsageError: its name ends otherwise.
        ArtifactError: the model folder is not whole.
    """
    check_apart([out], [folder])
    form = ending(out, [".zip", ".pkl"])
    from tabserve.model.archive import to_pickle, to_zip  # noqa: PLC0415  takes seconds to import
    from tabserve.model.model import load  # noqa: PLC0415

    load(folder)
    data = {".zip": to_zip, ".pkl": to_pickle}[form](folder)
    with files.whole(out) as temporary:
        temporary.write_bytes(data)
    return f"Packed {folder} into {out}: {len(data):,} bytes."
