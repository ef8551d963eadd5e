"""`tabserve serve`: serve a model folder, or the models of a folder of settings."""

import argparse
import os

from tabserve.cli import options, run

ADDRESSES = ("host", "http_port", "grpc_port", "metrics_port")
"""The settings that options replace."""

EPILOG = """environment variables, which the options replace:
  MLSERVER_HOST          address to listen on (0.0.0.0; :: for IPv6 and IPv4)
  MLSERVER_HTTP_PORT     port for REST (8080)
  MLSERVER_GRPC_PORT     port for gRPC (8081)
  MLSERVER_METRICS_PORT  port for Prometheus metrics (8082)
  TABSERVE_MODEL         model folder, as --model
  TABSERVE_NAME          what the server calls the model, as --name

examples:
  tabserve serve build/model
  tabserve serve build/model --name churn --port 9000
  tabserve serve deploy --model build/model

exit codes: 0 stopped by a signal, 1 not enough memory, 2 wrong usage, or no such folder, 4 bad model folder,
5 the server cannot start
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `serve` to the commands of `tabserve`."""
    parser = commands.add_parser(
        "serve",
        help="serve a model until SIGTERM or Ctrl-C",
        description=(
            "Serve the model in FOLDER, or those that the settings in FOLDER name, until SIGTERM or Ctrl-C;\n"
            "without FOLDER, the model that comes with tabserve."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EPILOG,
    )
    _add_models(parser)
    _add_addresses(parser)
    parser.set_defaults(run=_serve)


def _add_models(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "folder",
        type=options.folder,
        nargs="?",
        metavar="FOLDER",
        help="a model folder, or one that holds settings.json and model-settings.json",
    )
    add(
        "--model",
        type=options.folder,
        metavar="FOLDER",
        help="model folder to serve instead of the one model's of the settings",
    )
    add(
        "--name",
        type=options.model_name,
        default=os.environ.get("TABSERVE_NAME") or None,
        help="what the server calls the model (default: the model folder's name, or the one in the settings)",
    )


def _add_addresses(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--host", type=options.printable, metavar="ADDRESS", help="address to listen on")
    add("--port", dest="http_port", type=options.port, metavar="PORT", help="port for REST")
    add("--grpc-port", type=options.port, metavar="PORT", help="port for gRPC")
    add("--metrics-port", type=options.port, metavar="PORT", help="port for Prometheus metrics")


def _serve(arguments: argparse.Namespace) -> None:
    addresses = {name: value for name in ADDRESSES if (value := getattr(arguments, name)) is not None}
    with run.until_signal():  # a signal during the imports ends the command with exit code 0 as well
        from tabserve.serving.mlserver.server import serve  # noqa: PLC0415  MLServer takes seconds to import

        serve(arguments.folder, arguments.model, arguments.name, **addresses)
