"""The `tabserve` command: parsing only."""

import argparse
from importlib.metadata import version
from pathlib import Path

from tabserve import command


def main() -> None:
    """Run `tabserve` as the command line asks."""
    command.run(_main)


def _main() -> None:
    arguments = _parser().parse_args()
    arguments.run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tabserve",
        description="Verify a model folder, and serve it over the V2 inference protocol (REST and gRPC).",
        epilog="exit codes: 0 done, 2 wrong usage, 4 bad model folder, 5 no server, 130 Ctrl-C (serve: 0)",
    )
    parser.add_argument("--version", action="version", version=f"tabserve {version('tabserve')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_check(commands)
    return parser


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "serve",
        help="serve a model until SIGTERM or Ctrl-C",
        description="Serve the model that the settings in FOLDER name, until SIGTERM or Ctrl-C.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            "environment variables:\n"
            "  MLSERVER_HOST          address to listen on (0.0.0.0)\n"
            "  MLSERVER_HTTP_PORT     port for REST (8080)\n"
            "  MLSERVER_GRPC_PORT     port for gRPC (8081)\n"
            "  MLSERVER_METRICS_PORT  port for Prometheus metrics (8082)\n"
            "  TABSERVE_MODEL         model folder, as --model\n\n"
            "example: tabserve serve deploy --model build/model"
        ),
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds settings.json and model-settings.json")
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="model folder to serve instead of the settings' one"
    )
    parser.set_defaults(run=_serve)


def _add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "check",
        help="verify a model folder",
        description=(
            "Verify a model folder as the server does at its start: format version, checksums, objective, feature"
            " order, threshold, and the probabilities of its golden rows."
        ),
        epilog="example: tabserve check deploy/model",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the model folder")
    parser.set_defaults(run=_check)


def _serve(arguments: argparse.Namespace) -> None:
    from tabserve.serving.server import serve  # noqa: PLC0415  MLServer takes seconds to import, and only this needs it

    serve(arguments.folder, arguments.model)


def _check(arguments: argparse.Namespace) -> None:
    from tabserve import artifact  # noqa: PLC0415  XGBoost would slow down --help

    model = artifact.load(arguments.folder)
    missing = "values may be missing" if model.problem.allow_missing else "no value may be missing"
    versions = ", ".join(f"{name} {number}" for name, number in sorted(model.versions.items()))
    print(f"{arguments.folder} is a whole model folder: format, checksums, features and golden rows are as saved.")
    print(f"  problem    {model.problem.name}: {len(model.problem.features)} features, {missing}")
    print(f"  model      {model.booster.num_boosted_rounds()} boosting rounds")
    print(f"  threshold  {model.threshold}")
    print(f"  versions   {versions}")
