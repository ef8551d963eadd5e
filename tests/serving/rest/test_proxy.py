"""The proxy that SECURITY.md shows has TLS and a password, and hands on what belongs to the model and nothing else."""

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
USER = ("who", "a password")
REQUEST = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0] * 200}]}


@pytest.fixture(scope="module")
def proxy(served: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Its address, and the certificate that it shows."""
    folder = tmp_path_factory.mktemp("proxy")
    certificate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    names: list[str | Path] = [
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        folder / "key.pem",
        "-out",
        folder / "cert.pem",
    ]
    subprocess.run([*certificate, *names], check=True, capture_output=True)
    hashed = subprocess.run(["openssl", "passwd", "-apr1", USER[1]], check=True, capture_output=True, text=True).stdout
    (folder / "users").write_text(f"{USER[0]}:{hashed}")
    (port,) = free_ports(1)
    (folder / "nginx.conf").write_text(configuration(folder, served, port))
    words: list[str | Path] = ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "log"]
    myself = f"{getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name}"  # who may read the folder
    process = subprocess.Popen([*words, "-g", f"daemon off; pid {folder}/pid; user {myself};"])
    try:
        wait_for(port, process, folder / "log")
        yield f"https://127.0.0.1:{port}", folder / "cert.pem"
    finally:
        process.terminate()
        process.wait(SECONDS)


def configuration(folder: Path, server: Server, port: int) -> str:
    """The document's, with the places, the port and the server that are here."""
    (text,) = re.findall(r"^```nginx\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    here = text.replace("/etc/tls/", f"{folder}/").replace("http://127.0.0.1:8080", server.url)
    here = here.replace("listen 8443", f"listen 127.0.0.1:{port}")
    return str(here.replace("http {", f"http {{\n  access_log off;\n{temporary(folder)}", 1))


def temporary(folder: Path) -> str:
    """Where nginx keeps what is too large for its memory: nowhere outside the test's folder."""
    return "".join(
        f"  {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until it listens."""
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            connect(f"127.0.0.1:{port}").close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"nginx does not listen: {log.read_text()}")


def test_who_has_the_password_gets_the_models_answer(proxy: tuple[str, Path], served: Server) -> None:
    """The same as without the proxy, by TLS."""
    url, certificate = proxy
    answer = requests.post(url + INFER, json=REQUEST, auth=USER, verify=str(certificate), timeout=SECONDS)
    direct = requests.post(served.url + INFER, json=REQUEST, timeout=SECONDS)
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"] == direct.json()["outputs"]


@pytest.mark.parametrize("auth", [None, (USER[0], "another")])
def test_who_has_not_is_refused(proxy: tuple[str, Path], auth: tuple[str, str] | None) -> None:
    """With 401."""
    url, certificate = proxy
    answer = requests.post(url + INFER, json=REQUEST, auth=auth, verify=str(certificate), timeout=SECONDS)
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/v2/repository/index", "/v2/models/stats", "/v2/docs", "/metrics", "/"])
def test_nothing_but_the_model_is_exposed(proxy: tuple[str, Path], path: str) -> None:
    """Whatever else the server has is not found."""
    url, certificate = proxy
    answer = requests.get(url + path, auth=USER, verify=str(certificate), timeout=SECONDS)
    assert answer.status_code == 404
