"""A server listens where it is told to, on addresses of IPv4 and IPv6, for REST, gRPC and metrics alike."""

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
"""The loopback address of each family, and how URLs have it."""

LISTENS = {"::": {"127.0.0.1", "::1"}, "::1": {"::1"}}
"""On which of them a server listens, by its MLSERVER_HOST."""


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
    """Whether a server answers there by REST, gRPC or with metrics; False where nobody listens."""
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
    """`::` is every address of both families, `::1` that of IPv6 alone."""
    host, ports, _ = listening
    for address, written in LOOPBACK.items():
        for kind, port in zip(("REST", "gRPC", "metrics"), ports, strict=True):
            assert answers(written, port, kind) == (address in LISTENS[host]), (kind, written)


def test_the_log_has_addresses_as_urls(listening: tuple[str, list[int], Path]) -> None:
    """Those of IPv6 in brackets."""
    host, (http, rpc, metrics), log = listening
    written = re.escape(f"[{host}]" if ":" in host else host)
    text = log.read_text()
    for line in (
        rf"REST server running on http://{written}:{http}\n",
        rf"gRPC server running on grpc://{written}:{rpc}\n",
        rf"Metrics are at http://{written}:{metrics}/metrics\n",
    ):
        assert re.search(line, text), text


def test_an_empty_host_is_every_address_of_ipv4(model_folder: Path) -> None:
    """For each of the three servers."""
    with running(DEPLOY, {"TABSERVE_MODEL": str(model_folder), "MLSERVER_HOST": ""}) as server:
        for kind, address in (("REST", server.url), ("gRPC", server.grpc), ("metrics", server.metrics)):
            host, _, port = address.removeprefix("http://").partition(":")
            assert answers(host, int(port), kind), kind


@pytest.mark.parametrize("text", ["none", "0", "-1", "65536", "8080.0", "٣", " 80", "9" * 5_000])
def test_what_is_no_number_of_a_port_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """With the variable's name; an empty one is as none."""
    monkeypatch.setenv("SOME_PORT", text)
    with pytest.raises(UsageError, match=r"^SOME_PORT is '.*; expected a whole number from 1 to 65535\.$"):
        ports.from_variable("SOME_PORT", 5000)
    monkeypatch.setenv("SOME_PORT", "")
    assert ports.from_variable("SOME_PORT", 5000) == 5000
    monkeypatch.setenv("SOME_PORT", "65535")
    assert ports.from_variable("SOME_PORT", 5000) == 65535
