"""The client of AirportDB and Weatherbit, against a local server that answers in their shape."""

import json
import threading
import traceback
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from flights import wind
from flights.wind import KEYS, Position, Wind, at_destinations, from_environment, icao
from tabserve.errors import ServerError, UsageError

POSITIONS = {"PHNL": (21.32062, -157.924228), "KSEA": (47.449001, -122.308998)}

SECRETS = ("airport-secret", "weather-secret")


class Services(ThreadingHTTPServer):
    """Both services; `replies` are sent instead, first to last: a status and a body, or silence until `ended`."""

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.replies: list[tuple[int, str] | None] = []
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def client(self, timeout: float = 20) -> Wind:
        return Wind(*SECRETS, airportdb=f"{self.url}/airport", weatherbit=f"{self.url}/daily", timeout=timeout)


class Handler(BaseHTTPRequestHandler):
    server: Services

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        reply = self.server.replies.pop(0) if self.server.replies else answer(path, query)
        if reply is None:
            self.server.ended.wait(20)
            return
        status, body = reply
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
        pass


def answer(path: str, query: dict[str, list[str]]) -> tuple[int, str]:
    """The reply of the service that this path belongs to."""
    if path.startswith("/airport/"):
        if query["apiToken"] != [SECRETS[0]]:
            return 401, "Unauthorized"
        latitude, longitude = POSITIONS[path.rpartition("/")[2]]
        return 200, json.dumps({"ident": path[-4:], "latitude_deg": latitude, "longitude_deg": longitude})
    if query["key"] != [SECRETS[1]]:
        return 403, json.dumps({"error": "API key not valid, or not yet activated."})
    day = {"datetime": query["start_date"][0], "wind_spd": 5.4 if query["lat"] == ["21.32062"] else 2, "wind_dir": 60}
    return 200, json.dumps({"city_id": "1", "lat": float(query["lat"][0]), "data": [day]})


@pytest.fixture
def services() -> Iterator[Services]:
    """Both services, running."""
    with Services() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
        thread.join(20)


@pytest.mark.parametrize(
    ("airport", "code"), [("SEA", "KSEA"), ("HNL", "PHNL"), ("ANC", "PANC"), ("SJU", "TJSJ"), ("STT", "TIST")]
)
def test_an_airport_has_its_own_code_of_icao(airport: str, code: str) -> None:
    """K and the code of IATA, but not outside the contiguous states."""
    assert icao(airport) == code


def test_the_mean_wind_of_a_day_is_asked_where_the_airport_is(services: Services) -> None:
    """Weatherbit is asked for one local day, in m/s."""
    assert services.client().daily_mean("HNL", date(2013, 12, 31)) == 5.4
    position, wind = (parse_qs(urlsplit(path).query) for path in services.asked)
    assert position == {"apiToken": [SECRETS[0]]}
    assert (wind["lat"], wind["lon"], wind["units"], wind["tz"]) == (["21.32062"], ["-157.924228"], ["M"], ["local"])
    assert (wind["start_date"], wind["end_date"]) == (["2013-12-31"], ["2014-01-01"])


def test_every_flight_gets_the_wind_of_its_day(services: Services) -> None:
    """In the order of the flights, whatever their labels."""
    flights = pd.DataFrame({"year": 2013, "month": [1, 6], "day": [9, 15], "dest": ["HNL", "SEA"]}, index=[7, 3])
    assert at_destinations(flights, services.client()).to_dict() == {7: 5.4, 3: 2.0}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_service_is_asked_again(status: int, services: Services) -> None:
    """One failure does not show."""
    services.replies = [(status, "busy")]
    assert services.client().position("SEA") == Position(*POSITIONS["KSEA"])
    assert len(services.asked) == 2


def test_a_service_that_stays_away_is_one_sentence(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last attempt the message has its status."""
    monkeypatch.setattr(wind, "RETRIES", wind.RETRIES.new(backoff_factor=0))
    services.replies = [(503, "busy")] * 9
    with pytest.raises(ServerError, match=r"^AirportDB answers 503, not 200; are AIRPORTDB_TOKEN and WEATHERBIT_KEY"):
        services.client().position("SEA")
    assert len(services.asked) == 1 + int(wind.RETRIES.total or 0)


@pytest.mark.parametrize(
    "body",
    [
        *("", "<html>", "[]", "null", "5", '{"latitude_deg": 1}', '{"latitude_deg": null, "longitude_deg": 2}'),
        *('{"latitude_deg": NaN, "longitude_deg": 2}', '{"latitude_deg": [1], "longitude_deg": 2}'),
    ],
)
def test_an_answer_without_a_position_is_one_sentence(body: str, services: Services) -> None:
    """Nothing else than two finite numbers is taken for a position."""
    services.replies = [(200, body)]
    with pytest.raises(ServerError, match="AirportDB answers something else than it was asked for"):
        services.client().position("SEA")


@pytest.mark.parametrize(
    "body", ['{"data": []}', '{"data": [{}]}', '{"data": [{"wind_spd": null}]}', '{"error": "no"}']
)
def test_an_answer_without_wind_is_one_sentence(body: str, services: Services) -> None:
    """A day without data is not a day without wind."""
    services.replies = [answer("/airport/KSEA", {"apiToken": [SECRETS[0]]}), (200, body)]
    with pytest.raises(ServerError, match="Weatherbit answers something else"):
        services.client().daily_mean("SEA", date(2013, 1, 9))


def test_no_message_has_a_key(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused key, a server that is gone and one that is silent: each is one sentence, without the address."""
    monkeypatch.setattr(wind, "RETRIES", wind.RETRIES.new(total=0))
    gone = Wind(*SECRETS, airportdb="http://127.0.0.1:9/airport")
    services.replies = [(401, "Unauthorized"), None]
    for client in (services.client(), services.client(timeout=0.3), gone):
        with pytest.raises(ServerError) as refused:
            client.position("SEA")
        shown = "".join(traceback.format_exception(refused.value))
        assert not [secret for secret in SECRETS if secret in shown]


def test_without_keys_the_column_says_what_it_needs() -> None:
    """The absence is visible, and no service is asked."""
    flights = pd.DataFrame({"year": [2013], "month": [1], "day": [9], "dest": ["HNL"]})
    assert from_environment({}) is None
    assert at_destinations(flights, None).tolist() == ["needs AIRPORTDB_TOKEN and WEATHERBIT_KEY"]


def test_both_keys_are_needed() -> None:
    """One key alone is a mistake, not a wish to go without."""
    assert from_environment(dict.fromkeys(KEYS, "key")) is not None
    for name in KEYS:
        with pytest.raises(UsageError, match="needs both AIRPORTDB_TOKEN and WEATHERBIT_KEY"):
            from_environment({name: "key"})
