"""Ask a running API how late the flights of a JSON file arrive; print each with its interval, then the history."""

import argparse
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import requests

from tabserve.cli import options, run
from tabserve.client import proxy
from tabserve.client.client import wait
from tabserve.client.proxy import ADDRESS_ERRORS
from tabserve.errors import DataError, ServerError, UsageError
from tabserve.wording import one_line

SILENCE_SECONDS = 60
"""How long the API may send nothing."""

KEPT_SECONDS = 10
"""How long an entry of the history may take."""

OWN = Path(__file__).with_name("flights.json")

PREDICT, HISTORY, READY = "/model/predict/", "/model/history/", "/ready"


def main() -> None:
    """Ask about the flights that the command line names."""
    arguments = _parser().parse_args()
    flights = read(arguments.data)
    if arguments.wait:
        wait(partial(is_ready, arguments.url), f"The API at {arguments.url}", arguments.wait)
    predictions, request = ask(arguments.url, PREDICT, ["predictions", "request_id"], {"flights": flights})
    for flight, prediction in zip(flights, predictions, strict=True):
        print(line(flight, prediction))
    if arguments.history:
        wait(partial(is_kept, arguments.url, request), "The history's entry of this request", KEPT_SECONDS)
        show_history(*ask(arguments.url, f"{HISTORY}?limit={arguments.history}", ["history"]))


def read(path: Path) -> list[dict[str, Any]]:
    """Read the flights of a file.

    Raises:
        DataError: the file cannot be read, or holds no list of objects.
    """
    try:
        flights = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; expected flights in JSON.") from error
    if not isinstance(flights, list) or not flights or not all(isinstance(flight, dict) for flight in flights):
        raise DataError(f"{path} holds no list of flights; expected one, such as {OWN.name} of this case.")
    return flights


def is_ready(url: str) -> bool:
    """Whether the API takes requests."""
    try:
        return proxy.session(url).get(f"{url}{READY}", timeout=SILENCE_SECONDS, allow_redirects=False).ok
    except requests.RequestException:
        return False


def is_kept(url: str, request: str) -> bool:
    """Whether the history has an entry of a request; entries are written a moment after the answer."""
    return bool(ask(url, f"{HISTORY}?request={request}", ["history"])[0])


def ask(url: str, path: str, names: Sequence[str], document: object = None) -> list[Any]:
    """Post a document, or get a page if there is none; returns members of the answer.

    Raises:
        DataError: the API refuses the request.
        ServerError: no API answers there, or another server does.
        UsageError: `url` is not an address.
    """
    method, body = ("GET", None) if document is None else ("POST", orjson.dumps(document))
    try:
        response = proxy.session(url).request(
            method, f"{url}{path}", data=body, timeout=SILENCE_SECONDS, allow_redirects=False
        )
    except requests.RequestException as error:
        if isinstance(error, ADDRESS_ERRORS):
            raise UsageError(f"{url!r} is not an address such as http://localhost:8000.") from error
        raise ServerError(f"No API answers at {url} ({error}); start one by `python api.py`.") from error
    text = one_line(response.content[:500].decode(errors="replace"))
    if 400 <= response.status_code < 500:
        raise DataError(f"The API answers {response.status_code}: {text}")
    try:
        answer = orjson.loads(response.content)
        return [answer[name] for name in names]
    except (ValueError, KeyError, TypeError):
        raise ServerError(
            f"What answers at {url} is not this API; it says {response.status_code}, {text:.60}"
        ) from None


def line(flight: Mapping[str, Any], prediction: Mapping[str, float]) -> str:
    """A flight, and how late it arrives."""
    route = f"{flight.get('carrier')} {flight.get('origin')}–{flight.get('dest')}"
    date = "-".join(str(flight.get(name, "?")).zfill(2) for name in ("year", "month", "day"))
    delay, low, high = (prediction[name] for name in ("arr_delay", "low", "high"))
    return one_line(f"{route} {date}: {delay:+.0f} min ({low:+.0f} to {high:+.0f})")


def show_history(entries: Sequence[Mapping[str, Any]]) -> None:
    """Print entries of the history."""
    print("\nHistory, newest first:")
    for entry in entries:
        print(one_line("{time} {request} {model} {version}: {rows} flights".format_map(entry)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="exit codes: 0 answered, 2 wrong option, 3 refused, 5 no API answers, or another server does",
    )
    add, url = parser.add_argument, f"http://localhost:{os.environ.get('PORT') or '8000'}"
    add("--url", type=options.printable, default=url, help="address of the API (default: %(default)s, or port PORT)")
    add("--data", type=Path, metavar="FILE", default=OWN, help="JSON list of flights (default: three flights)")
    add("--history", type=options.count, metavar="N", help="show so many entries of the history (default: none)")
    add("--wait", type=options.seconds, metavar="SECONDS", help="wait for the API to be ready (default: do not wait)")
    return parser


if __name__ == "__main__":
    run.run(main)
