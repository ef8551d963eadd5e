"""The dashboard: made by its script, and laid out without gaps."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.monitoring.programs import COMPOSE, DEPLOY

SCRIPT = Path(__file__).parents[2] / "scripts/dashboard.py"
WRITTEN = DEPLOY / "grafana/dashboards/tabserve.json"
DASHBOARD = json.loads(WRITTEN.read_text())


def test_the_committed_dashboard_is_the_scripts(
    script: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Byte for byte: nobody edited it."""
    pytest.importorskip("grafana_foundation_sdk", reason="grafana-foundation-sdk is not installed: run `make setup`")
    written = script(SCRIPT, "--out", tmp_path / "dashboard.json")
    assert written.returncode == 0, written.stderr
    assert (tmp_path / "dashboard.json").read_text() == WRITTEN.read_text()


def test_the_panels_fill_the_grid() -> None:
    """Every cell of Grafana's 24 columns belongs to one panel."""
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    height = max(place["y"] + place["h"] for place in places)
    assert sorted(cells) == [(x, y) for x in range(24) for y in range(height)]


def test_grafana_is_told_of_the_data_source_and_of_the_dashboard() -> None:
    """Both stand where compose mounts them, and every query asks that data source, which asks compose's Prometheus."""
    provisioning = DEPLOY / "grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
    asked = {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
    assert asked == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in COMPOSE["services"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/tabserve.yaml").read_text())["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in COMPOSE["services"]["grafana"]["volumes"]
