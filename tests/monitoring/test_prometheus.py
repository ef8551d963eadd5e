"""Prometheus on real servers: the dashboard has data, and the alerts fire on faults."""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import requests
import yaml
from tests.monitoring.programs import DEPLOY, SECONDS, Proxy, process, running_proxy, wait_until
from tests.serving import mixed
from tests.serving.wire import connect, head, write_settings

from tabserve.client.grpc import GrpcClient
from tabserve.client.local_server import Server, free_ports, running
from tabserve.client.rest import RestClient
from tabserve.errors import ServerError
from tabserve.serving.protocol.status import STATUS, status

DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/tabserve.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())
RULES = {rule["alert"]: rule for group in ALERTS["groups"] for rule in group["rules"]}
QUERIES = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}
WATCHED = pytest.mark.needs("prometheus", "haproxy")
AMOUNT = "/v2/models/amount"
ROWS = np.zeros((2, 200), np.float32)
ROW = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0] * 200}]}).encode()


class Watched(NamedTuple):
    """A Prometheus and its targets: a server, one of amounts, and one with a full queue, which a test may kill."""

    url: str
    server: Server
    amounts: Server
    full: Server

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The present value of an expression."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=SECONDS).json()
        assert answer["status"] == "success", answer
        series: list[dict[str, Any]] = answer["data"]["result"]
        return series

    def fires(self, alert: str, **labels: str) -> bool:
        """Whether an alert with these labels fires."""
        matchers = ",".join(f'{name}="{value}"' for name, value in {"alertname": alert, **labels}.items())
        return bool(self.query(f'ALERTS{{alertstate="firing",{matchers}}}'))


@pytest.fixture(scope="module")
def watched(served: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Prometheus with the committed configuration, but shorter intervals and other addresses."""
    folder = tmp_path_factory.mktemp("prometheus")
    (port,) = free_ports(1)
    options = [f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    url = f"http://127.0.0.1:{port}"
    waiting = write_settings(tmp_path_factory.mktemp("waiting"), max_batch_time=600)
    environment = {"TABSERVE_MODEL": str(DEPLOY / "model"), "TABSERVE_MAX_QUEUE_ROWS": "1"}
    prices = {"amount": mixed.train(tmp_path_factory.mktemp("amount") / "model", "amount")}
    settings = mixed.write_settings(tmp_path_factory.mktemp("settings"), prices)
    with (
        running(settings, {}, ready=f"{AMOUNT}/ready") as amounts,
        running(waiting, environment) as full,
        connect(full.url) as row,
        running_proxy([(served.url.removeprefix("http://"), served.grpc)], folder) as proxy,
    ):
        row.sendall(head(len(ROW)) + ROW)  # it fills the queue, and later requests are refused
        write_config(folder, proxy, [served, amounts, full])
        file = f"--config.file={folder}/prometheus.yaml"
        with process(["prometheus", file, *options], folder / "prometheus.log", f"{url}/-/ready"):
            yield Watched(url, served, amounts, full)


def write_config(folder: Path, proxy: Proxy, servers: Sequence[Server]) -> None:
    """Write Prometheus' committed files with other addresses and shorter intervals."""
    document = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text())
    document["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
    addresses = {"tabserve": [server.metrics.removeprefix("http://") for server in servers], "proxy": [proxy.metrics]}
    document["scrape_configs"] = [
        {"job_name": job["job_name"], "static_configs": [{"targets": addresses[job["job_name"]]}]}
        for job in document["scrape_configs"]
    ]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(document))
    rules = [{**rule, "for": "0s"} for rule in RULES.values()]
    (folder / "alerts.yaml").write_text(yaml.safe_dump({"groups": [{"name": "tabserve", "rules": rules}]}))


def ask(server: Server) -> None:
    """Send one good and one bad request by each protocol."""
    for client in (RestClient(server.url, "xgboost-model", SECONDS), GrpcClient(server.grpc, "xgboost-model", SECONDS)):
        client.ask(ROWS, ["predict"])
        with pytest.raises(Exception, match="expected"):
            client.ask(ROWS[:, :3], ["predict"])


def ask_amount(server: Server) -> None:
    """Send a row with a level that training did not see."""
    texts = {"city": "Nowhere", "seen": "2022-01-01 08:30"}
    tensors = [{"name": name, "datatype": "BYTES", "shape": [1], "data": [text]} for name, text in texts.items()]
    income = {"name": "income", "datatype": "FP32", "shape": [1], "data": [1000]}
    answer = requests.post(f"{server.url}{AMOUNT}/infer", json={"inputs": [income, *tensors]}, timeout=SECONDS)
    assert answer.status_code == 200, answer.text


@WATCHED
@pytest.mark.parametrize("name", QUERIES)
def test_a_panel_of_the_dashboard_has_data(watched: Watched, name: str) -> None:
    """While requests come in, each query of the panel gives a number."""
    expression = QUERIES[name].replace("$__rate_interval", "10s").replace("$model", ".*")

    def has_data() -> bool:
        ask(watched.server)
        ask_amount(watched.amounts)
        return any(float(series["value"][1]) >= 0 for series in watched.query(expression))

    wait_until(has_data, f"data of {expression}")


@WATCHED
def test_alerts_fire_on_real_faults(watched: Watched) -> None:
    """A full queue is reported for both protocols, then a killed replica while another still serves."""
    full = watched.full
    clients = RestClient(full.url, "xgboost-model", SECONDS), GrpcClient(full.grpc, "xgboost-model", SECONDS)

    def fails() -> bool:
        for client in clients:
            with pytest.raises(ServerError):
                client.ask(ROWS, ["predict"])
        return all(watched.fires("RequestsFailing", protocol=protocol) for protocol in ("rest", "grpc"))

    wait_until(fails, "RequestsFailing")
    instance = full.metrics.removeprefix("http://")
    assert not watched.fires("ReplicaUnreachable")
    full.process.kill()
    wait_until(lambda: watched.fires("ReplicaUnreachable", instance=instance), "ReplicaUnreachable")
    assert not watched.fires("ModelUnreachable")
    assert not watched.fires("ProxyUnreachable")


@pytest.mark.needs("promtool")
@pytest.mark.parametrize(
    "words", [["check", "config", "prometheus.yaml"], ["check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"]]
)
def test_promtool_finds_no_fault(words: list[str]) -> None:
    """Promtool accepts the configuration and the rules."""
    finished = subprocess.run(
        ["promtool", *words], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.needs("promtool")
def test_each_alert_fires_after_its_own_time() -> None:
    """On the series of alerts.yaml, each alert fires after its time and not before."""
    file = Path(__file__).with_name("alerts.yaml")
    finished = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    tested = re.findall(r"eval_time: \S+\n +alertname: (\w+)\n +exp_alerts", file.read_text())
    assert {*tested} == {*RULES}


def test_the_failure_alert_counts_only_server_errors() -> None:
    """Over both protocols it counts every refusal with a status of at least 500, and no other."""
    (failing,) = re.findall(r'status=~"(.*?)"', RULES["RequestsFailing"]["expr"])
    refusals = [status(kind()) for kind in STATUS]
    failures = [refusal for refusal in refusals if refusal.http >= 500]
    assert failures == [refusal for refusal in refusals if re.fullmatch(failing, str(refusal.http))]
    assert failures == [refusal for refusal in refusals if re.fullmatch(failing, refusal.grpc.name)]


def test_the_document_names_every_alert_and_its_time() -> None:
    """The document lists the alerts in the order of the rules, with their times."""
    document = (DEPLOY.parent / "docs/monitoring.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| .* \| (\d+) (s|m)(?:in)? \|$", document, re.MULTILINE)
    assert [(name, f"{number}{unit}") for name, number, unit in rows] == [(n, rule["for"]) for n, rule in RULES.items()]
