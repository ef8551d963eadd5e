"""The wind at an airport on a day of the past, by AirportDB (where it is) and Weatherbit (how the wind blew there).

Both services need a key of their own, which the environment holds: `KEYS`.
"""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from math import isfinite
from typing import Any, NamedTuple, TypeVar

import pandas as pd
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tabserve.client import proxy
from tabserve.errors import ServerError, UsageError

AIRPORTDB = "https://airportdb.io/api/v1/airport"

WEATHERBIT = "https://api.weatherbit.io/v2.0/history/daily"

KEYS = ("AIRPORTDB_TOKEN", "WEATHERBIT_KEY")

NAMES = " and ".join(KEYS)

ICAO = {"ANC": "PANC", "BQN": "TJBQ", "HNL": "PHNL", "PSE": "TJPS", "SJU": "TJSJ", "STT": "TIST"}
"""The destinations outside the contiguous states; there the code of ICAO is not K and that of IATA."""

TIMEOUT_SECONDS = 10

RETRIES = Retry(
    total=3,
    backoff_factor=0.3,
    status_forcelist=(429, 500, 502, 503, 504),
    raise_on_status=False,
    retry_after_max=5,
)
"""Three more attempts if a service is busy or away, but no wait for tomorrow's quota."""


Answer = TypeVar("Answer")


class Position(NamedTuple):
    """Degrees north and east."""

    latitude: float
    longitude: float


class Wind:
    """A client of both services."""

    def __init__(
        self,
        airportdb_token: str,
        weatherbit_key: str,
        *,
        airportdb: str = AIRPORTDB,
        weatherbit: str = WEATHERBIT,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        """Create a client; it sends nothing yet.

        Args:
            airportdb_token: AirportDB's key.
            weatherbit_key: Weatherbit's key, of a plan that includes daily history.
            airportdb: AirportDB's address.
            weatherbit: Weatherbit's address.
            timeout: seconds for one attempt.
        """
        self._airportdb, self._weatherbit, self._timeout = airportdb, weatherbit, timeout
        self._airportdb_token, self._weatherbit_key = airportdb_token, weatherbit_key

    def position(self, airport: str) -> Position:
        """Where an airport is, by its code of IATA.

        Raises:
            ServerError: AirportDB does not answer, or not with a position.
        """
        address = f"{self._airportdb}/{icao(airport)}"
        return self._get(
            "AirportDB",
            address,
            {"apiToken": self._airportdb_token},
            lambda answer: Position(_number(answer["latitude_deg"]), _number(answer["longitude_deg"])),
        )

    def daily_mean(self, airport: str, day: date) -> float:
        """The mean wind speed of a local day at an airport, in m/s.

        Raises:
            ServerError: a service does not answer, or not with what it was asked for.
        """
        position, key = self.position(airport), self._weatherbit_key
        dates = {"start_date": day.isoformat(), "end_date": (day + timedelta(1)).isoformat(), "tz": "local"}
        where = {"lat": str(position.latitude), "lon": str(position.longitude)}
        return self._get(
            "Weatherbit",
            self._weatherbit,
            {**where, **dates, "units": "M", "key": key},
            lambda answer: _number(answer["data"][0]["wind_spd"]),
        )

    def _get(self, service: str, address: str, query: Mapping[str, str], read: Callable[[Any], Answer]) -> Answer:
        """Ask a service; no message has the address that was asked, because it holds the key."""
        try:
            with proxy.session(address) as session:
                session.mount(address, HTTPAdapter(max_retries=RETRIES))
                response = session.get(address, params=query, timeout=self._timeout)
        except requests.RequestException as error:
            way = proxy.mention(proxy.for_url(address))
            raise ServerError(f"{service}{way} does not answer: {type(error).__name__}; try again.") from None
        if not response.ok:
            raise ServerError(f"{service} answers {response.status_code}, not 200; are {NAMES} valid keys?")
        try:
            return read(response.json())
        except (ValueError, TypeError, LookupError):
            raise ServerError(f"{service} answers something else than it was asked for; it may have changed.") from None


def from_environment(environ: Mapping[str, str]) -> Wind | None:
    """A client with the keys of the environment; None if it has neither.

    Raises:
        UsageError: the environment has one key alone.
    """
    keys = [environ.get(name, "") for name in KEYS]
    if any(keys) and not all(keys):
        raise UsageError(f"The wind at destinations needs both {NAMES}; one of them is not set.")
    return Wind(*keys) if all(keys) else None


def icao(airport: str) -> str:
    """The code of ICAO of an airport of the United States."""
    return ICAO.get(airport, f"K{airport}")


def at_destinations(flights: pd.DataFrame, wind: Wind | None) -> pd.Series:
    """The mean wind in m/s at the destination on the scheduled day of each flight, or what it needs without a client.

    Raises:
        ServerError: a service does not answer as expected.
    """
    if wind is None:
        return pd.Series(f"needs {NAMES}", index=flights.index)
    days = [date(*day) for day in flights[["year", "month", "day"]].itertuples(index=False)]
    speeds = [wind.daily_mean(dest, day) for dest, day in zip(flights["dest"], days, strict=True)]
    return pd.Series(speeds, index=flights.index)


def _number(value: object) -> float:
    """A finite number, also one that is written as text.

    Raises:
        ValueError: it is none.
    """
    number = float(str(value))
    if not isfinite(number):
        raise ValueError(value)
    return number
