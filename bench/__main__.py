"""Measure the speed of this project and print the results; without a word: `tables`, `serving` and `mixed`."""

import argparse
import sys

from bench import (
    big,
    contributions,
    flights,
    formats,
    history,
    limits,
    mixed,
    peers,
    reading,
    scale,
    serving,
    settings,
    soak,
    tables,
    titles,
)
from tabserve.cli import run

WORDS = {
    "tables": tables,
    "serving": serving,
    "mixed": mixed,
    "reading": reading,
    "big": big,
    "peers": peers,
    "contributions": contributions,
    "soak": soak,
    "limits": limits,
    "settings": settings,
    "titles": titles,
    "flights": flights,
    "history": history,
    "formats": formats,
    "scale": scale,
}


def main() -> None:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    words = parser.add_subparsers(title="words", metavar="WORD")
    for word, module in WORDS.items():
        own = words.add_parser(word, help=module.__doc__, description=module.__doc__)
        module.add_options(own)
        own.set_defaults(run=module.run)
    for line in [sys.argv[1:]] if sys.argv[1:] else [["tables"], ["serving"], ["mixed"]]:
        arguments = parser.parse_args(line)
        arguments.run(arguments)


if __name__ == "__main__":
    run.run(main)
