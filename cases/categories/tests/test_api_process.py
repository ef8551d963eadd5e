"""How the API's process begins and ends."""

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
from cases.categories.tests.served import API, SECONDS, Api, api, environ
from tests.endings import ended_at_start

NUMBERS = str(Path(__file__).parents[3] / "deploy/model")
"""The folder of a model of another kind."""


def ended(model: Path | None, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """What becomes of an API that is started so."""
    command, environment = [sys.executable, str(API), *words], environ(model) | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_help_says_what_can_be_set() -> None:
    """Every variable and route."""
    shown = ended(None, "--help").stdout
    assert all(
        word in shown for word in ("MODEL_PATH", "HOST", "PORT", "TABSERVE_MAX_ROWS", "/v1/categorize", "/ready")
    )


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
def test_what_cannot_be_served_is_said_in_one_sentence(
    by_title: Path, variables: dict[str, str], code: int, sentence: str
) -> None:
    """With an exit code of its kind, and no traceback."""
    found = ended(by_title, **variables)
    assert (found.returncode, found.stdout) == (code, "")
    assert found.stderr.startswith(sentence)
    assert found.stderr.count("\n") == 1


def test_a_damaged_model_is_not_served(by_title: Path, tmp_path: Path) -> None:
    """The port is not even opened."""
    for path in by_title.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() + b" " * (path.name == "model.npz"))
    found = ended(tmp_path)
    assert (found.returncode, found.stdout) == (4, "")
    assert "model.npz" in found.stderr


def test_a_port_in_use_is_said(by_title: Path) -> None:
    """And which variable sets it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        found = ended(by_title, PORT=port)
    assert found.returncode == 5
    assert found.stderr == f"Port {port} is in use; stop what listens there, or set PORT to another.\n"


def test_it_lives_and_is_ready_as_soon_as_its_port_is_open(titled: Api) -> None:
    """The model is loaded by then."""
    assert titled.ask("GET", "/health").document == {"status": "live"}
    assert titled.ask("GET", "/ready").document == {"status": "ready"}


def test_it_says_that_it_is_about_to_end_and_still_answers(by_title: Path) -> None:
    """After SIGTERM, for as long as it is told to; then it ends as if nothing were wrong, and prints no more."""
    with api(by_title, TABSERVE_DRAIN_SECONDS="5") as ending:
        ending.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + SECONDS
        while (ready := ending.ask("GET", "/ready")).status == 200 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (ready.status, ready.document) == (503, {"error": "The server is about to end."})
        answer = ending.post([{"title": "Quadro"}])
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        ending.process.send_signal(signal.SIGTERM)  # asked twice, at once
        assert ending.process.wait(SECONDS) == 0
        assert ending.log.read_text().count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_api_that_is_told_to_end_while_it_starts_ends_as_always(by_title: Path, number: signal.Signals) -> None:
    """With exit code 0, and without a word."""
    found = ended_at_start([sys.executable, str(API)], environ(by_title), number)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_it_listens_on_ipv6_where_it_is_told_to(by_title: Path) -> None:
    """On `::` for both families; its address is shown as a URL has it."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 on its loopback interface")
    with (
        api(by_title, HOST="::") as both,
        closing(http.client.HTTPConnection("::1", both.port, timeout=SECONDS)) as connection,
    ):
        connection.request("GET", "/ready")
        assert connection.getresponse().status == both.ask("GET", "/ready").status == 200
        assert f"http://[::]:{both.port};" in both.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_accepted_is_answered_before_it_ends(by_title: Path, number: signal.Signals) -> None:
    """Under load, each request is answered, or its connection was refused from the start."""
    with api(by_title) as ending, ThreadPoolExecutor(16) as threads:
        asking = [threads.submit(outcomes, ending) for _ in range(16)]
        time.sleep(0.5)
        ending.process.send_signal(number)
        found = sum((each.result(SECONDS) for each in asking), Counter[str]())
        assert ending.process.wait(SECONDS) == 0
    assert {*found} == {"200", "ConnectionRefusedError"}
    assert found["200"] > 16


def outcomes(api: Api) -> Counter[str]:
    """How requests end, until one is not answered."""
    found = Counter[str]()
    while {*found} <= {"200"}:
        try:
            found[str(api.post([{"title": "Quadro"}] * 100).status)] += 1
        except (OSError, http.client.HTTPException) as error:
            found[type(error).__name__] += 1
    return found


NEEDLESS = ["xgboost", "sklearn", "scipy", "pandas", "pyarrow", "matplotlib", "mlserver"]
"""What takes seconds to import, or is not in the image."""


def test_it_starts_without_what_trains_and_without_mlserver() -> None:
    """So it starts in a second or two."""
    script = f"import runpy, sys; sys.modules.update(dict.fromkeys({NEEDLESS})); runpy.run_path({str(API)!r})"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (child.returncode, child.stderr) == (0, "")
