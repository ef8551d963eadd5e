"""A server listens on the IPv4 and IPv6 addresses of MLSERVER_HOST, for REST, gRPC and metrics alike."""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import requests
from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc
from tests.serving.wire import DEPLOY, SECONDS

from tabserve.client.local_server import SERVE, free_ports, running, running_process
from tabserve.errors import UsageError
from tabserve.serving import ports

LOOPBACK = {"127.0.0.1": "127.0.0.1", "::1": "[::1]"}
"""The loopback address of each family, and its form in URLs."""

LISTENS = {"::": {"127.0.0.1", "::1"}, "::1": {"::1"}}
"""By MLSERVER_HOST: the loopback addresses on which the server listens."""


@pytest.fixture(scope="module", params=LISTENS)
def listening(request: pytest.FixtureRequest, model_folder: Path) -> Iterator[tuple[str, list[int], Path]]:
    """A server's host, its ports for REST, gRPC and metrics, and its log."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 on its loopback interface")
    ports = free_ports(3)
    names = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
    variables = {"MLSERVER_HOST": request.param, **dict(zip(names, map(str, ports), strict=True))}
    address = LOOPBACK[min(LISTENS[request.param])]
    ready = f"http://{address}:{ports[0]}/v2/models/xgboost-model/ready"
    environment = {**os.environ, "TABSERVE_MODEL": str(model_folder), **variables}
    with running_process([*SERVE, str(DEPLOY)], environment, ready) as (_, log):
        yield request.param, ports, log


def answers(address: str, port: int, kind: str) -> bool:
    """Whether a server of this kind (REST, gRPC or metrics) answers at the address; False if the port is closed."""
    if kind == "gRPC":
        with grpc.insecure_channel(f"{address}:{port}") as channel:
            stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
            try:
                return bool(stub.ServerLive(dataplane_pb2.ServerLiveRequest(), timeout=SECONDS).live)
            except grpc.RpcError:
                return False
    try:
        return requests.get(f"http://{address}:{port}/{'v2' if kind == 'REST' else 'metrics'}", timeout=SECONDS).ok
    except requests.ConnectionError:
        return False


def test_a_server_answers_on_its_addresses_and_on_no_other(listening: tuple[str, list[int], Path]) -> None:
    """`::` means every address of both families, `::1` the IPv6 loopback address alone."""
    host, ports, _ = listening
    for address, in_url in LOOPBACK.items():
        for kind, port in zip(("REST", "gRPC", "metrics"), ports, strict=True):
            assert answers(in_url, port, kind) == (address in LISTENS[host]), (kind, in_url)


def test_the_log_shows_addresses_as_urls(listening: tuple[str, list[int], Path]) -> None:
    """IPv6 addresses are in brackets."""
    host, (http, rpc, metrics), log = listening
    in_url = re.escape(f"[{host}]" if ":" in host else host)
    text = log.read_text()
    for line in (
        rf"REST server running on http://{in_url}:{http}\n",
        rf"gRPC server running on grpc://{in_url}:{rpc}\n",
        rf"Metrics are at http://{in_url}:{metrics}/metrics\n",
    ):
        assert re.search(line, text), text


def test_an_empty_host_means_every_ipv4_address(model_folder: Path) -> None:
    """REST, gRPC and metrics answer on the IPv4 loopback address."""
    with running(DEPLOY, {"TABSERVE_MODEL": str(model_folder), "MLSERVER_HOST": ""}) as server:
        for kind, address in (("REST", server.url), ("gRPC", server.grpc), ("metrics", server.metrics)):
            host, _, port = address.removeprefix("http://").partition(":")
            assert answers(host, int(port), kind), kind


@pytest.mark.parametrize("text", ["none", "0", "-1", "65536", "8080.0", "٣", " 80", "9" * 5_000])
def test_a_variable_that_is_no_port_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The message names the variable; an empty variable counts as unset."""
    monkeypatch.setenv("SOME_PORT", text)
    with pytest.raises(UsageError, match=r"^SOME_PORT is '.*; expected a whole number from 1 to 65535\.$"):
        ports.from_variable("SOME_PORT", 5000)
    monkeypatch.setenv("SOME_PORT", "")
    assert ports.from_variable("SOME_PORT", 5000) == 5000
    monkeypatch.setenv("SOME_PORT", "65535")
    assert ports.from_variable("SOME_PORT", 5000) == 65535
