"""The API's process: how it starts, fails to start, and ends."""

import http.client
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from cases.categories.tests.served import API, Api, api
from tests.case_api import SECONDS, environ
from tests.endings import ended_at_start

NUMBERS = str(Path(__file__).parents[3] / "deploy/model")
"""The folder of a model over numbers."""


def run_api(model: Path | None, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the API until it ends by itself."""
    command, environment = [sys.executable, str(API), *words], environ(model) | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_help_names_variables_and_routes() -> None:
    """`--help` names the variables and routes."""
    text = run_api(None, "--help").stdout
    assert all(word in text for word in ("MODEL_PATH", "HOST", "PORT", "TABSERVE_MAX_ROWS", "/v1/categorize", "/ready"))


@pytest.mark.parametrize(
    ("variables", "code", "sentence"),
    [
        ({"PORT": "none"}, 2, "PORT is 'none'; expected a whole number from 1 to 65535."),
        ({"PORT": "0"}, 2, "PORT is '0'; expected a whole number from 1 to 65535."),
        ({"PORT": "65536"}, 2, "PORT is '65536'; expected a whole number from 1 to 65535."),
        ({"HOST": "203.0.113.1", "PORT": "5999"}, 5, "Port 5999 of host '203.0.113.1' cannot be opened"),
        ({"MODEL_PATH": "/nowhere"}, 4, "/nowhere/manifest.json cannot be read"),
        ({"MODEL_PATH": NUMBERS}, 4, f"{NUMBERS} holds a model over the columns 'var_0: number', "),
        ({"TABSERVE_MAX_ROWS": "many"}, 5, "A TABSERVE_* variable is wrong: max_rows"),
    ],
)
def test_an_api_that_cannot_serve_ends_with_one_sentence(
    title_folder: Path, variables: dict[str, str], code: int, sentence: str
) -> None:
    """The exit code tells the kind of mistake, and there is no traceback."""
    finished = run_api(title_folder, **variables)
    assert (finished.returncode, finished.stdout) == (code, "")
    assert finished.stderr.startswith(sentence)
    assert finished.stderr.count("\n") == 1


def test_a_damaged_model_is_not_served(title_folder: Path, tmp_path: Path) -> None:
    """The API ends before it opens its port."""
    for path in title_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() + b" " * (path.name == "model.npz"))
    finished = run_api(tmp_path)
    assert (finished.returncode, finished.stdout) == (4, "")
    assert "model.npz" in finished.stderr


def test_a_port_in_use_is_named_with_its_variable(title_folder: Path) -> None:
    """The message names the port and PORT."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        finished = run_api(title_folder, PORT=port)
    assert finished.returncode == 5
    assert finished.stderr == f"Port {port} is in use; stop what listens there, or set PORT to another.\n"


def test_it_is_live_and_ready_once_its_port_is_open(title_api: Api) -> None:
    """The model is loaded before the port is opened."""
    health = title_api.ask("GET", "/health").document
    assert (health["status"], health["ready"], health["model"]["name"]) == ("live", True, "categories")
    assert title_api.ask("GET", "/ready").document == {"status": "ready"}


def test_after_sigterm_it_is_not_ready_but_still_answers(title_folder: Path) -> None:
    """It answers for TABSERVE_DRAIN_SECONDS; a second SIGTERM ends it at once, with exit code 0 and no more output."""
    with api(title_folder, TABSERVE_DRAIN_SECONDS="5") as ending:
        ending.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + SECONDS
        while (ready := ending.ask("GET", "/ready")).status == 200 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (ready.status, ready.document) == (503, {"error": "The server is about to end."})
        answer = ending.post([{"title": "Quadro"}])
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        ending.process.send_signal(signal.SIGTERM)
        assert ending.process.wait(SECONDS) == 0
        assert ending.log.read_text().count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_ends_the_api_silently(title_folder: Path, number: signal.Signals) -> None:
    """The exit code is 0, and nothing is printed."""
    finished = ended_at_start([sys.executable, str(API)], environ(title_folder), number)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_host_of_two_colons_listens_on_ipv6_and_ipv4(title_folder: Path) -> None:
    """HOST=:: serves both families, and the log shows the address as in a URL."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 on its loopback interface")
    with (
        api(title_folder, HOST="::") as both,
        closing(http.client.HTTPConnection("::1", both.port, timeout=SECONDS)) as connection,
    ):
        connection.request("GET", "/ready")
        assert connection.getresponse().status == both.ask("GET", "/ready").status == 200
        assert f"http://[::]:{both.port};" in both.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_accepted_requests_are_answered_before_it_ends(title_folder: Path, number: signal.Signals) -> None:
    """Under load, each request is answered or its connection refused."""
    with api(title_folder) as ending, ThreadPoolExecutor(16) as threads:
        clients = [threads.submit(outcomes, ending) for _ in range(16)]
        time.sleep(0.5)
        ending.process.send_signal(number)
        counts = sum((client.result(SECONDS) for client in clients), Counter[str]())
        assert ending.process.wait(SECONDS) == 0
    assert {*counts} == {"200", "ConnectionRefusedError"}
    assert counts["200"] > 16


def outcomes(api: Api) -> Counter[str]:
    """Send requests until one is not answered; count how they ended."""
    counts = Counter[str]()
    while {*counts} <= {"200"}:
        try:
            counts[str(api.post([{"title": "Quadro"}] * 100).status)] += 1
        except (OSError, http.client.HTTPException) as error:
            counts[type(error).__name__] += 1
    return counts


NEEDLESS = ["xgboost", "sklearn", "scipy", "pandas", "pyarrow", "matplotlib", "mlserver"]
"""Libraries that take seconds to import, or are not in the image."""


def test_it_starts_without_training_libraries_and_mlserver() -> None:
    """Without these imports it starts in a second or two."""
    script = f"import runpy, sys; sys.modules.update(dict.fromkeys({NEEDLESS})); runpy.run_path({str(API)!r})"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (child.returncode, child.stderr) == (0, "")
