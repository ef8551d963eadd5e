"""The `tabserve` command: it parses the command line and calls the operation."""

import argparse
from importlib.metadata import version
from pathlib import Path

from tabserve.cli import ask, rollout, run
from tabserve.errors import UsageError


def main() -> None:
    """Run the command that the command line names."""
    run.run(_main)


def _main() -> None:
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"This needs {error.name}, which is not installed; tabserve's extra `serve` brings what `serve` needs, and"
            " `train` what `ask`, `compare`, `drift` and `threshold` need."
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tabserve",
        description="Verify model folders, serve them over the V2 inference protocol (REST and gRPC), roll them out.",
        epilog=(
            "exit codes: 0 done, 1 not enough memory, 2 wrong usage, 3 a table cannot be used or a file cannot be"
            " written, 4 bad model folder, 5 the server cannot start, 6 drift was found, 130 Ctrl-C, 143 SIGTERM"
            " (serve: 0, from its start on)"
        ),
    )
    parser.add_argument("--version", action="version", version=f"tabserve {version('tabserve')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    ask.add(commands)
    _add_check(commands)
    rollout.add(commands)
    return parser


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "serve",
        help="serve a model until SIGTERM or Ctrl-C",
        description=(
            "Serve the model that the settings in FOLDER name, until SIGTERM or Ctrl-C;\n"
            "without FOLDER, the model that comes with tabserve."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            "environment variables:\n"
            "  MLSERVER_HOST          address to listen on (0.0.0.0; :: for IPv6 and IPv4)\n"
            "  MLSERVER_HTTP_PORT     port for REST (8080)\n"
            "  MLSERVER_GRPC_PORT     port for gRPC (8081)\n"
            "  MLSERVER_METRICS_PORT  port for Prometheus metrics (8082)\n"
            "  TABSERVE_MODEL         model folder, as --model\n\n"
            "example: tabserve serve deploy --model build/model"
        ),
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=_default_settings(),
        metavar="FOLDER",
        help="holds settings.json and model-settings.json",
    )
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="model folder to serve instead of the one model's of the settings"
    )
    parser.set_defaults(run=_serve)


def _default_settings() -> Path:
    """The folder of the settings and the model in the installed wheel, or else in the repository."""
    packaged = Path(__file__).parents[1] / "deploy"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "deploy"


def _add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "check",
        help="verify a model folder",
        description=(
            "Verify a model folder as the server does at its start: format version, checksums, objective, feature"
            " order, threshold, and the probabilities of its golden rows; of a model over texts its weights, and those"
            " of its golden texts."
        ),
        epilog="example: tabserve check deploy/model",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the model folder")
    parser.set_defaults(run=_check)


def _serve(arguments: argparse.Namespace) -> None:
    with run.until_signal():  # a signal during the imports ends the command with exit code 0 as well
        from tabserve.serving.mlserver.server import serve  # noqa: PLC0415  MLServer takes seconds to import

        serve(arguments.folder, arguments.model)


def _check(arguments: argparse.Namespace) -> None:
    from tabserve.operations import check  # noqa: PLC0415  XGBoost takes seconds to import

    print(*check.lines(arguments.folder), sep="\n")
