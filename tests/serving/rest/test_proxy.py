"""The proxy in SECURITY.md uses TLS, asks for a password, and exposes the model's routes only."""

import getpass
import grp
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from tests.serving.wire import INFER, SECONDS, connect

from tabserve.client.local_server import Server, free_ports

pytestmark = pytest.mark.needs("nginx", "openssl")

DOCUMENT = Path(__file__).parents[3] / "SECURITY.md"
USER = ("user", "a password")
REQUEST = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0] * 200}]}


@pytest.fixture(scope="module")
def proxy(served: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of a running proxy, and its certificate."""
    folder = tmp_path_factory.mktemp("proxy")
    certificate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    options: list[str | Path] = [
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        folder / "key.pem",
        "-out",
        folder / "cert.pem",
    ]
    subprocess.run([*certificate, *options], check=True, capture_output=True)
    hashed = subprocess.run(["openssl", "passwd", "-apr1", USER[1]], check=True, capture_output=True, text=True).stdout
    (folder / "users").write_text(f"{USER[0]}:{hashed}")
    (port,) = free_ports(1)
    (folder / "nginx.conf").write_text(configuration(folder, served, port))
    command: list[str | Path] = ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "log"]
    user = f"{getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name}"  # may read the folder
    process = subprocess.Popen([*command, "-g", f"daemon off; pid {folder}/pid; user {user};"])
    try:
        wait_for(port, process, folder / "log")
        yield f"https://127.0.0.1:{port}", folder / "cert.pem"
    finally:
        process.terminate()
        process.wait(SECONDS)


def configuration(folder: Path, server: Server, port: int) -> str:
    """The configuration in SECURITY.md, with the folder, the port and the server of this test."""
    (text,) = re.findall(r"^```nginx\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    text = text.replace("/etc/tls/", f"{folder}/").replace("http://127.0.0.1:8080", server.url)
    text = text.replace("listen 8443", f"listen 127.0.0.1:{port}")
    return str(text.replace("http {", f"http {{\n  access_log off;\n{temp_paths(folder)}", 1))


def temp_paths(folder: Path) -> str:
    """Lines that keep nginx's temporary files inside the folder."""
    return "".join(
        f"  {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until nginx listens on the port."""
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            connect(f"127.0.0.1:{port}").close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"nginx does not listen: {log.read_text()}")


def test_with_the_password_the_model_answers(proxy: tuple[str, Path], served: Server) -> None:
    """Over TLS, the same as without the proxy."""
    url, certificate = proxy
    answer = requests.post(url + INFER, json=REQUEST, auth=USER, verify=str(certificate), timeout=SECONDS)
    direct = requests.post(served.url + INFER, json=REQUEST, timeout=SECONDS)
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"] == direct.json()["outputs"]


@pytest.mark.parametrize("auth", [None, (USER[0], "another")])
def test_without_the_password_the_proxy_refuses(proxy: tuple[str, Path], auth: tuple[str, str] | None) -> None:
    """With 401."""
    url, certificate = proxy
    answer = requests.post(url + INFER, json=REQUEST, auth=auth, verify=str(certificate), timeout=SECONDS)
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/v2/repository/index", "/v2/models/stats", "/v2/docs", "/metrics", "/"])
def test_nothing_but_the_model_is_exposed(proxy: tuple[str, Path], path: str) -> None:
    """Every other route gets 404."""
    url, certificate = proxy
    answer = requests.get(url + path, auth=USER, verify=str(certificate), timeout=SECONDS)
    assert answer.status_code == 404
