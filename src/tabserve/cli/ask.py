"""`tabserve ask`: ask a server about the rows of a table, by its model's metadata alone."""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabserve import destination
from tabserve.cli import options
from tabserve.errors import UsageError
from tabserve.wording import one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tabserve.client.client import Client

OUTPUTS = ("predict", "predict_proba", "predict_interval")
"""The outputs that models can have."""

EXIT_CODES = (
    "exit codes: 0 answered, 1 not enough memory, 2 wrong option, or no model named where the server has several, 3 a\n"
    "file cannot be used or written, or the server refuses the rows, 5 no server answers, or its answer is wrong, 130\n"
    "Ctrl-C, 143 SIGTERM\n"
)

EXAMPLES = (
    "examples:\n"
    "  tabserve ask --data new.csv\n"
    "  tabserve ask --data new.csv --rows 1000 --json\n"
    "  tabserve ask --data new.csv --out scores.csv\n"
    "  tabserve ask --data new.csv --protocol grpc --outputs predict_proba\n"
    "  tabserve ask --data new.csv --explain\n\n"
)


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `ask` to the commands of `tabserve`."""
    parser = commands.add_parser(
        "ask",
        help="ask a server about the rows of a table",
        description="Ask a served model about the rows of a table, and print its answers. The server says which"
        " columns the model\nhas and what it answers.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES + EXIT_CODES,
    )
    add_options(parser)
    parser.set_defaults(run=ask)


def add_options(parser: argparse.ArgumentParser, rows: Path | None = None) -> None:
    """Add the options of `ask`; `rows` is the table to ask about where the command line names none."""
    _add_table(parser, rows)
    _add_server(parser)
    _add_waits(parser)
    add = parser.add_argument
    add(
        "--outputs",
        type=_outputs,
        metavar="NAMES",
        help="what to ask for: predict (the label, or the amount), predict_proba, predict_interval (default: all that"
        " the model answers)",
    )
    add(
        "--explain",
        action="store_true",
        help="name the three columns that contributed most to each answer, and what they added to the log odds (of two"
        " classes), to the margin of the label (of several), or to the amount or its logarithm",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    instead.add_argument(
        "--out",
        type=options.file,
        metavar="FILE",
        help=".csv, .csv.gz or .parquet to write instead, as `tabserve score` does; an earlier one is replaced",
    )


def ask(arguments: argparse.Namespace) -> None:
    """Ask the server about the rows, and print or write its answers."""
    if arguments.out:
        destination.check_apart([arguments.out], [arguments.data])
        destination.ending(arguments.out)
    from tabserve.client import client, reasons, table  # noqa: PLC0415  Arrow and gRPC are not installed everywhere

    server = _client(arguments)
    if arguments.wait:
        client.wait(server.ready, "The model", arguments.wait)
    further = [_contributions(server)] if arguments.explain else []
    rows = table.read(arguments.data, server.metadata, arguments.rows)
    answers = table.ask(
        server, arguments.data, rows, [*(arguments.outputs or server.metadata.default_outputs), *further]
    )
    columns = {rows.name: rows.ids, **table.to_columns(answers, server.metadata)}
    for name in further:
        found = reasons.reasons(answers, server.metadata.outputs[name], rows.columns)
        columns[name] = (reasons.as_documents if arguments.json else reasons.as_texts)(found)
    if arguments.out:
        table.write(columns, arguments.out)
        print(f"Wrote the answers to {len(rows.ids):,} rows into {arguments.out}.")
    elif arguments.json:
        _print_json(_lists(columns), server.model, answers[0].threshold)
    else:
        _print_table(_lists(columns))


def _lists(columns: "dict[str, NDArray[Any]]") -> dict[str, list[Any]]:
    return {name: values.tolist() for name, values in columns.items()}


def _contributions(server: "Client") -> str:
    """The name of the output that explains the answers."""
    from tabserve.serving.protocol.contributions import NAME  # noqa: PLC0415

    if NAME not in server.metadata.outputs:
        raise UsageError(
            f"The model {server.model!r} has no {NAME}: models of XGBoost have them, linear models and models of texts"
            " have none, nor has any model where the server's max_explained_rows is 0; leave out --explain, or serve a"
            " model of XGBoost."
        )
    return NAME


def _client(arguments: argparse.Namespace) -> "Client":
    """Create a client of the chosen protocol; without --url, of this machine's server at the ports it would have."""
    from tabserve.client.grpc import GrpcClient  # noqa: PLC0415
    from tabserve.client.rest import RestClient  # noqa: PLC0415

    if arguments.protocol == "grpc":
        url = arguments.url or f"localhost:{os.environ.get('MLSERVER_GRPC_PORT', '8081')}"
        return GrpcClient(url, arguments.model, arguments.timeout)
    url = arguments.url or f"http://localhost:{os.environ.get('MLSERVER_HTTP_PORT', '8080')}"
    return RestClient(url, arguments.model, arguments.timeout)


def _print_json(columns: dict[str, list[Any]], model: str, threshold: float | None) -> None:
    """Print one JSON document."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    print(json.dumps({"model": model, "threshold": threshold, "rows": rows}, indent=2))


def _print_table(columns: dict[str, list[Any]]) -> None:
    """Print aligned columns, the first one left-aligned, the others right-aligned."""
    texts = [[name, *map(_format_cell, values)] for name, values in columns.items()]
    widths = [max(map(len, column)) for column in texts]
    for first, *others in zip(*texts, strict=True):
        print(first.ljust(widths[0]), *(text.rjust(width) for text, width in zip(others, widths[1:], strict=True)))


def _format_cell(value: object) -> str:
    """A float with six decimals, any other value as text on one line."""
    return f"{value:.6f}" if isinstance(value, float) else one_line(str(value))


def _add_table(parser: argparse.ArgumentParser, rows: Path | None) -> None:
    parser.add_argument(
        "--data",
        type=options.file,
        default=rows,
        required=rows is None,
        metavar="FILE",
        help="rows as .csv, .csv.gz, Kaggle's .zip or .parquet" + (f" (default: {rows.name})" if rows else ""),
    )
    parser.add_argument("--rows", type=options.count, metavar="N", help="ask about the first N rows (default: all)")


def _add_server(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--url",
        type=options.printable,
        help="of the server (default: http://localhost:8080, with --protocol grpc localhost:8081,"
        " or the ports in MLSERVER_HTTP_PORT and MLSERVER_GRPC_PORT)",
    )
    add("--protocol", choices=("rest", "grpc"), default="rest", help="(default: %(default)s)")
    add(
        "--model",
        type=options.printable,
        metavar="NAME",
        help="what the server calls it (default: the only one that it has)",
    )


def _add_waits(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--timeout",
        type=options.seconds,
        default=30.0,
        metavar="SECONDS",
        help="for one request (default: %(default)s)",
    )
    add(
        "--wait",
        type=options.seconds,
        metavar="SECONDS",
        help="longest wait for the model to be ready (default: no wait)",
    )


def _outputs(text: str) -> list[str]:
    """The type of --outputs: names of outputs, separated by commas."""
    names = options.names(text)
    if not {*names} <= {*OUTPUTS}:
        raise argparse.ArgumentTypeError(f"expected {' or '.join(OUTPUTS)}, or several with commas, not {text!r}")
    return names
