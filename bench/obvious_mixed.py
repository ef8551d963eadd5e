"""The obvious API of mixed rows: FastAPI, a pydantic model of a row, and scikit-learn's pipeline for each request."""

import os
from typing import Any

import pandas as pd
import uvicorn
import xgboost as xgb
from fastapi import FastAPI
from pydantic import create_model
from sklearn.compose import make_column_transformer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from bench.mixed_table import DATE, DEPTH, LEVELS, NUMBERS, TARGET, TREES, table

CELLS: dict[str, Any] = dict.fromkeys([*LEVELS, DATE], str) | dict.fromkeys(NUMBERS, float)

Row = create_model("Row", **CELLS)


def with_parts(rows: pd.DataFrame) -> pd.DataFrame:
    """Replace the dates of rows by their parts."""
    day = pd.to_datetime(rows[DATE])
    parts = {"since": (day - pd.Timestamp(0)).dt.days, "month": day.dt.month, "weekday": day.dt.day_of_week}
    return rows.drop(columns=DATE).assign(**parts)


def fit() -> Pipeline:
    """Fit the same kind of model with scikit-learn's encoder."""
    columns = make_column_transformer((OneHotEncoder(), [*LEVELS]), remainder="passthrough", sparse_threshold=0)
    trees = xgb.XGBClassifier(n_estimators=TREES, max_depth=DEPTH, n_jobs=1)
    rows = table()
    return make_pipeline(columns, trees).fit(with_parts(rows.drop(columns=TARGET)), rows[TARGET] == "yes")


def application() -> FastAPI:
    """Fit the model and make the API."""
    app, model = FastAPI(), fit()

    @app.get("/v2/models/xgboost-model/ready")
    async def ready() -> dict[str, Any]:
        return {}

    @app.post("/v2/models/xgboost-model/infer")
    async def predict(row: Row) -> dict[str, list[float]]:  # type: ignore[valid-type]
        rows = with_parts(pd.DataFrame([row.model_dump()]))  # type: ignore[attr-defined]
        return {"probabilities": model.predict_proba(rows)[0].tolist()}

    return app


if __name__ == "__main__":
    uvicorn.run(application(), port=int(os.environ["MLSERVER_HTTP_PORT"]), log_level="warning")
