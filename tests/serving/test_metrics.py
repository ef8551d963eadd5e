"""The metrics of a model: amounts are counted between the quantiles that its folder keeps."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.model import small

from tabserve.model.model import Model
from tabserve.model.reference import Reference
from tabserve.serving.metrics import Histogram, ModelMetrics, ServingMetrics


def measured(amounts: np.ndarray) -> Model:
    """A model of an amount, measured on rows for which it answered these amounts."""
    model = small.one_hot()
    rows = small.rows(model)[np.arange(len(amounts)) % 200]
    return replace(model, data=Reference.of(model.problem, model.encoder, rows, amounts.astype(np.float32)).to_json())


def samples(serving: ServingMetrics, name: str) -> dict[str, float]:
    """The samples of a metric in Prometheus's text format, by their `le`."""
    registry = CollectorRegistry()
    registry.register(serving)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        sample.labels["le"]: sample.value for family in families for sample in family.samples if sample.name == name
    }


NORMAL = np.random.default_rng(0).normal(0, 50, 1_000)


def test_amounts_like_the_hold_outs_have_the_same_shares_at_every_edge() -> None:
    """Also amounts below 0; the shares of other amounts differ."""
    serving = ServingMetrics()
    metrics = serving.model("m")
    metrics.describe(measured(NORMAL), "v1")
    metrics.count({}, NORMAL.astype(np.float32), 0.0)
    holdout, counts = (samples(serving, f"tabserve_amount_{name}") for name in ("holdout", "quantiles_bucket"))
    assert min(map(float, holdout)) < 0
    assert counts.keys() == {*holdout, "+Inf"}
    assert {edge: counts[edge] / 1_000 for edge in holdout} == pytest.approx(holdout, abs=1e-6)
    metrics.count({}, (NORMAL + 500).astype(np.float32), 0.0)
    again = samples(serving, "tabserve_amount_quantiles_bucket")
    assert again == {**counts, "+Inf": 2_000}


def test_a_model_measured_on_other_amounts_starts_its_counts_anew() -> None:
    """One with the same quantiles goes on counting."""
    metrics, amounts = ModelMetrics(), NORMAL.astype(np.float32)
    for model, count in ((measured(NORMAL), 1_000), (measured(NORMAL), 2_000), (measured(NORMAL + 1), 1_000)):
        metrics.describe(model, "v")
        metrics.count({}, amounts, 0.0)
        assert metrics.amounts.count == count
        assert metrics.watched is metrics.amounts


@pytest.mark.parametrize("data", [{}, {"reference": {"rows": 1, "columns": {}, "score": {"edges": ["x"]}}}])
def test_a_folder_without_a_reference_has_a_count_and_a_sum(data: dict[str, object]) -> None:
    """Its amounts have one bucket, and no share of a hold-out."""
    serving = ServingMetrics()
    serving.model("m").describe(replace(small.one_hot(), data=data), "v1")
    serving.model("m").count({}, np.ones(3, np.float32), 0.0)
    assert samples(serving, "tabserve_amount_quantiles_bucket") == {"+Inf": 3}
    assert samples(serving, "tabserve_amount_holdout") == {}
    assert (serving.model("m").amounts.count, serving.model("m").amounts.sum) == (3, 3)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30), st.lists(st.integers(0, 29), max_size=20))
def test_a_value_at_an_edge_counts_below_it_however_it_is_counted(values: list[float], chosen: list[int]) -> None:
    """One by one and together, for edges that no decimal of a few digits equals."""
    array = np.array(values, np.float32)
    edges = np.unique(array[[index for index in chosen if index < len(array)]])
    together, single = Histogram(edges), Histogram(edges)
    together.add_all(array)
    for value in array:
        single.add_all(np.array([value]))
    expected = [(array <= edge).sum() for edge in edges] + [len(array)]
    assert [count for _, count in together.buckets()] == expected
    assert together.buckets() == single.buckets()
    assert [np.float32(name) for name, _ in together.buckets()[:-1]] == edges.tolist()
