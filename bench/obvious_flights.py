"""The obvious API of flight delays: FastAPI, pydantic, a pickled scikit-learn pipeline, and the history in a list."""

import os
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from flights.dataset import EXTRACT, HOURLY
from flights.problem import BEFORE, ROUTE
from flights.table import read_table

CODES = [column.name for column in ROUTE]

MODEL = "OBVIOUS_MODEL"
"""The variable with the path of the pickle."""


class Flight(BaseModel):
    """A flight of a request."""

    carrier: str
    origin: str
    dest: str
    year: int
    month: int
    day: int
    sched_dep_time: int
    sched_arr_time: int
    distance: float
    temp: float | None = None
    dewp: float | None = None
    humid: float | None = None
    wind_dir: float | None = None
    wind_speed: float | None = None
    precip: float | None = None
    pressure: float | None = None
    visib: float | None = None


def fit(path: Path) -> None:
    """Fit the pipeline on the case's extract, and pickle it."""
    rows = read_table(EXTRACT, HOURLY).rows
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), CODES), remainder="passthrough", sparse_threshold=0
    )
    pipeline = make_pipeline(columns, HistGradientBoostingRegressor(random_state=0))
    path.write_bytes(pickle.dumps(pipeline.fit(rows[[*BEFORE.features]], rows[BEFORE.target])))


def derived(flights: list[Flight]) -> pd.DataFrame:
    """The pipeline's columns."""
    rows = pd.DataFrame([flight.model_dump() for flight in flights])
    rows["weekday"] = pd.to_datetime(rows[["year", "month", "day"]]).dt.day_of_week + 1
    for made, source in (("sched_dep", "sched_dep_time"), ("sched_arr", "sched_arr_time")):
        rows[made] = rows[source] // 100 * 60 + rows[source] % 100
    weather = [column.name for column in BEFORE.columns if column.missing]
    return rows[[*BEFORE.features]].astype(dict.fromkeys(weather, float))


def application() -> FastAPI:
    """Load the pickle, and make the API."""
    app, history = FastAPI(), list[dict[str, Any]]()
    model = pickle.loads(Path(os.environ[MODEL]).read_bytes())  # noqa: S301  our own, and what is compared with

    @app.get("/ready")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/model/predict/")
    async def predict(flights: list[Flight]) -> dict[str, Any]:
        delays = model.predict(derived(flights)).tolist()
        history.append({"input": [flight.model_dump() for flight in flights], "output": delays})
        return {"predictions": [{"arr_delay": delay} for delay in delays], "unit": "minutes"}

    return app


if __name__ == "__main__":
    uvicorn.run(application(), port=int(os.environ["PORT"]), log_level="warning")
