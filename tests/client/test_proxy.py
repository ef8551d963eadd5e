"""Clients use no proxy to reach this machine, and name a proxy that fails."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tabserve.client import proxy
from tabserve.client.grpc import GrpcClient
from tabserve.client.local_server import Server, free_ports, running
from tabserve.client.rest import RestClient
from tabserve.errors import ServerError, UsageError

if TYPE_CHECKING:
    import subprocess

    from tabserve.client.client import Client

ROOT = Path(__file__).parents[2]
MODEL = "xgboost-model"
ROW = np.zeros((1, 200), np.float32)
VARIABLES = [name for low in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy") for name in (low, low.upper())]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset all variables about proxies and certificates."""
    for name in (*VARIABLES, "no_proxy", "NO_PROXY", "no_grpc_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> str:
    """Let all variables name a proxy that does not answer."""
    address = f"http://user:secret@127.0.0.1:{free_ports(1)[0]}"
    for name in VARIABLES:
        monkeypatch.setenv(name, address)
    return address


class BadGateway(ThreadingHTTPServer):
    """A server that answers every request with 502, and records its path and its Authorization header."""

    received: list[tuple[str, str | None]]


@pytest.fixture
def bad_gateway() -> Iterator[BadGateway]:
    """A `BadGateway` on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert isinstance(self.server, BadGateway)
            self.server.received.append((self.path, self.headers["Authorization"]))
            self.send_response(502)
            self.end_headers()
            self.wfile.write(b"<html>no way")

        def log_message(self, *_: object) -> None:
            pass

    with BadGateway(("127.0.0.1", 0), Handler) as server:
        server.received = []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(timeout=10)


@pytest.mark.usefixtures("dead_proxy")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3"])
def test_clients_reach_this_machine_without_proxies(host: str, served: Server) -> None:
    """Clients of both protocols ignore the variables if the server is on this machine."""
    rest, grpc = (address.rpartition(":")[2] for address in (served.url, served.grpc))
    host = "127.0.0.1" if host.startswith("127.1.") else host  # the server listens on one address
    clients: list[Client] = [
        RestClient(f"http://{host}:{rest}", MODEL, 20),
        GrpcClient(f"{host}:{grpc}", MODEL, 20),
        GrpcClient(f"dns:///{host}:{grpc}", MODEL, 20),
    ]
    for client in clients:
        assert client.ask(ROW, ["predict"]).outputs["predict"].shape == (1, 1)


@pytest.mark.usefixtures("dead_proxy")
def test_commands_and_servers_reach_this_machine_without_proxies(
    script: Callable[..., "subprocess.CompletedProcess[str]"], served: Server, model_folder: Path
) -> None:
    """`scripts/request.py` gets answers, and a server that is started is found to be ready."""
    result = script(ROOT / "scripts/request.py", "--url", served.url)
    assert (result.returncode, result.stderr) == (0, "")
    with running(ROOT / "deploy", {"TABSERVE_MODEL": str(model_folder)}) as server:
        assert server.process.poll() is None


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        (host, True)
        for host in ("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::")
    ]
    + [("::ffff:127.0.0.1", True)]
    + [(host, False) for host in ("localhost.example", "128.0.0.1", "::2", "example", "10.0.0.1", "127.example")],
)
def test_only_loopback_addresses_bypass_the_proxy(host: str, loopback: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other host is reached through the proxy, unless no_proxy lists it."""
    monkeypatch.setenv("http_proxy", "http://out:3128")
    bracketed = f"[{host}]" if ":" in host else host
    assert proxy.is_loopback(host) == loopback
    assert (proxy.for_url(f"http://{bracketed}:8080") is None) == loopback
    assert (proxy.for_grpc_target(f"dns:///{bracketed}:8081") is None) == loopback
    monkeypatch.setenv("no_proxy", host)
    assert proxy.for_url(f"http://{bracketed}:8080") is None
    assert proxy.for_grpc_target(f"{bracketed}:8081") is None


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("url", ["{}", "ftp://proxy", "socks5://{}", "http://", "http://[bad"])
def test_a_proxy_that_fails_is_named_without_its_password(url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the proxy's variable and advice, also if the proxy's address is invalid."""
    address = url.format(f"user:secret@127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setenv(name, address)
    with pytest.raises(ServerError) as error:
        RestClient("http://model.example", MODEL, 5).ask(ROW, ["predict"])
    shown = address.replace("user:secret@", "")
    rest = "leads to no http://model.example; mend the variable, or list the host in no_proxy to go past it."
    assert str(error.value) == f"The proxy {shown} that {name} names {rest}"


@pytest.mark.usefixtures("dead_proxy")
def test_a_proxy_that_fails_is_named_over_grpc() -> None:
    """The error has the first variable that gRPC reads."""
    with pytest.raises(ServerError) as error:
        GrpcClient("model.example:8081", MODEL, 5).ask(ROW, ["predict"])
    assert "at model.example:8081, asked through the proxy http://127.0.0.1:" in str(error.value)
    assert "that grpc_proxy names; start one" in str(error.value)
    assert "secret" not in str(error.value)


def test_a_proxy_that_answers_502_itself_is_named(bad_gateway: BadGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says through which proxy the request went."""
    address = f"http://user:secret@127.0.0.1:{bad_gateway.server_port}"
    monkeypatch.setenv("HTTP_PROXY", address)
    with pytest.raises(ServerError) as error:
        RestClient("http://model.example", MODEL, 5).ask(ROW, ["predict"])
    named = f"the proxy http://127.0.0.1:{bad_gateway.server_port} that HTTP_PROXY names"
    start = f"What answers at http://model.example, asked through {named}, is no V2 inference server; it says 502"
    assert str(error.value).startswith(start)
    assert [path for path, _ in bad_gateway.received] == [f"http://model.example/v2/models/{MODEL}"]


def test_no_password_of_netrc_is_sent(bad_gateway: BadGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only a password in the address is sent, and no message shows it."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\ndefault login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for user in ("", "you:yours@"):
        with pytest.raises(ServerError) as error:
            RestClient(f"http://{user}127.0.0.1:{bad_gateway.server_port}", MODEL, 5).ask(ROW, ["predict"])
        assert "yours" not in str(error.value)
    assert [authorization for _, authorization in bad_gateway.received] == [None, "Basic eW91OnlvdXJz"]


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_a_variable_names_are_trusted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds for servers on this machine too, where a tunnel to another server may end."""
    assert proxy.session("https://localhost").verify is True
    monkeypatch.setenv(name, "/a/bundle.pem")
    assert proxy.session("https://localhost").verify == "/a/bundle.pem"


@pytest.mark.usefixtures("dead_proxy")
@pytest.mark.parametrize("url", ["nonsense", "http://", "http://[::1", "http://user:secret@"])
def test_an_invalid_address_is_refused_despite_proxies(url: str) -> None:
    """The error is about the address, whatever the variables hold."""
    with pytest.raises(UsageError, match="is not an address such as"):
        RestClient(url, MODEL, 5).ask(ROW, ["predict"])


def test_health_checks_of_images_use_no_proxies() -> None:
    """Docker passes its own proxies to containers."""
    files = [*ROOT.glob("**/deploy/Dockerfile"), *ROOT.glob("**/deploy/compose.yaml")]
    texts = [path.read_text() for path in files if ".venv" not in path.parts]
    checks = [line for text in texts for line in text.splitlines() if "urllib.request" in line]
    assert len(checks) == 4
    assert all("ProxyHandler({})" in line for line in checks)
