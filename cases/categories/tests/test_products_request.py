"""`scripts/request.py` asks a running API about the products of a file."""

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pandas as pd
import pytest
from cases.categories.tests.served import API, Api
from tests.case_api import environ

from categories import sample
from categories.dataset import dataset

SCRIPT = API.parent / "scripts" / "request.py"


def run_request(port: int, data: Path | None, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the script; its output and exit code."""
    environment = environ(None) | {"PORT": str(port), "TEST_PRODUCTS_PATH": str(data or "")}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def products(tmp_path: Path) -> Path:
    """A csv with columns that the API ignores."""
    path = tmp_path / "products.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["product_id", "query", "title"], [1, "x", "Quadro, azul"], [2, "y", "Bebê"]])
    return path


def test_each_title_is_printed_with_its_category(title_api: Api, products: Path) -> None:
    """The lines are in the file's order."""
    assert run_request(title_api.port, products).stdout == "Quadro, azul\tDecoração\nBebê\tBebê\n"


def test_proxy_variables_do_not_apply_to_this_machine(
    title_api: Api, products: Path, script: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """They apply to other hosts, and a proxy that fails is named."""
    ours, others = (f"http://{host}:{title_api.port}" for host in ("localhost", "api.example"))
    proxies = {"http_proxy": "http://user:secret@127.0.0.1:1", "no_proxy": ""}
    assert script(SCRIPT, "--data", products, "--url", ours, "--wait", 5, **proxies).stdout.count("\n") == 2
    ended = script(SCRIPT, "--data", products, "--url", others, **proxies)
    message = f"leads to no {others}; mend the variable, or list the host in no_proxy to go past it.\n"
    assert (ended.returncode, ended.stderr) == (5, f"The proxy http://127.0.0.1:1 that http_proxy names {message}")


def test_waiting_for_a_missing_api_ends_after_the_given_time(
    products: Path, script: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """The script ends with one sentence."""
    ended = script(SCRIPT, "--data", products, "--url", "http://127.0.0.1:1", "--wait", "0.1")
    message = "was not ready within 0.1 s; the server's log may say why.\n"
    assert (ended.returncode, ended.stderr) == (5, f"The API at http://127.0.0.1:1 {message}")


def test_a_file_that_is_no_csv_is_refused_by_its_format(
    tmp_path: Path, script: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """The content decides, not the name."""
    (tmp_path / "products.csv").write_bytes(gzip.compress(b"title\nQuadro\n"))
    ended = script(SCRIPT, "--data", tmp_path / "products.csv")
    assert ended.returncode == 3
    assert ended.stderr.endswith("products.csv cannot be read: it is gzip; expected a csv of products in UTF-8.\n")


def test_without_a_file_it_asks_about_the_cases_own_products(title_api: Api) -> None:
    """The case's ten products are the generator's, and the committed model did not learn from them."""
    own = pd.read_csv(SCRIPT.with_name("products.csv"))
    pd.testing.assert_frame_equal(own, sample.products(10, seed=1))
    assert not set(own["title"]) & set(dataset().products.features)
    lines = run_request(title_api.port, None).stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == own["title"].tolist()


def test_every_failure_is_one_sentence_with_its_exit_code(title_api: Api, products: Path, tmp_path: Path) -> None:
    """Each kind of failure has its own exit code."""
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("name\nQuadro\n")
    runs = [
        run_request(title_api.port, None, "--data", ""),
        run_request(title_api.port, tmp_path / "none.csv"),
        run_request(title_api.port, wrong),
        run_request(1, products),
    ]
    assert [run.returncode for run in runs] == [2, 3, 3, 5]
    assert [run.stderr.count("\n") for run in runs] == [1] * 4
    assert "products[0] has no 'title'" in runs[2].stderr


def test_a_byte_order_mark_is_ignored(title_api: Api, tmp_path: Path) -> None:
    """A csv with a byte order mark, as spreadsheets write it, is read."""
    path = tmp_path / "marked.csv"
    path.write_text("title\nQuadro\n", encoding="utf-8-sig")
    assert run_request(title_api.port, path).stdout == "Quadro\tDecoração\n"


class FakeApi(BaseHTTPRequestHandler):
    """Answers every request with `reply`."""

    reply: ClassVar[tuple[int, bytes, int]]

    def do_POST(self) -> None:
        status, body, missing = self.reply
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + missing))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def ask_fake_api(
    script: Callable[..., "subprocess.CompletedProcess[str]"], products: Path
) -> Iterator[Callable[..., "subprocess.CompletedProcess[str]"]]:
    """A function that runs the script against an API with a given answer, from whose end bytes may be missing."""
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeApi) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def ask(status: int, body: object, missing: int = 0) -> "subprocess.CompletedProcess[str]":
            FakeApi.reply = (
                status,
                body if isinstance(body, bytes) else json.dumps({"categories": body}).encode(),
                missing,
            )
            url = f"http://127.0.0.1:{server.server_port}"
            return script(SCRIPT, "--data", products, "--url", url, NO_PROXY="127.0.0.1")

        yield ask
        server.shutdown()
        thread.join(20)


@pytest.mark.parametrize(
    ("status", "body", "missing"),
    [
        *((200, body, 0) for body in (["a"], ["a", "b", "c"], None, 5, "ab", {"a": 1, "b": 2}, ["a", 1], ["a", None])),
        *((200, body, 0) for body in (b"", b"[1]", b"[" * 100_000, b'{"categories": ["\xff", "b"]}', b"9" * 5_000)),
        (200, b'{"categories": ["\\ud800", "b"]}', 0),
        (200, b"{", 100),
        (400, b"{", 100),
        (302, b"", 0),
        (500, b"sorry", 0),
    ],
)
def test_a_wrong_answer_ends_the_script_with_one_sentence(
    ask_fake_api: Callable[..., "subprocess.CompletedProcess[str]"], status: int, body: object, missing: int
) -> None:
    """Nothing of the wrong answer is printed as a category."""
    ended = ask_fake_api(status, body, missing)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (5, "", 1)


def test_control_characters_of_an_answer_are_escaped(
    ask_fake_api: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    """Neither a category nor a refusal can move the terminal's cursor."""
    assert ask_fake_api(200, ["\x1b[31m", "a\nb\tc"]).stdout == "Quadro, azul\t\\x1b[31m\nBebê\ta\\nb\\tc\n"
    refused = ask_fake_api(400, b"\x1b[31m\n\xff")
    assert (refused.returncode, refused.stderr) == (3, "The API answers 400: \\x1b[31m\\n\ufffd\n")


@pytest.mark.parametrize("url", ["foo", "http://", "http://[", "ftp://127.0.0.1", "http://127.0.0.1:99999"])
def test_an_invalid_address_is_a_wrong_option(
    script: Callable[..., "subprocess.CompletedProcess[str]"], products: Path, url: str
) -> None:
    """No request is sent."""
    ended = script(SCRIPT, "--data", products, "--url", url)
    assert (ended.returncode, ended.stderr) == (2, f"{url!r} is not an address such as http://localhost:5000.\n")
