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
from cases.categories.tests.served import API, Api, environ

from categories import sample
from categories.dataset import dataset

SCRIPT = API.parent / "scripts" / "request.py"


def asked(port: int, data: Path | None, *words: str) -> "subprocess.CompletedProcess[str]":
    """What it prints."""
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


def test_each_title_is_printed_with_its_category(titled: Api, products: Path) -> None:
    """In the file's order."""
    assert asked(titled.port, products).stdout == "Quadro, azul\tDecoração\nBebê\tBebê\n"


def test_proxies_of_the_surroundings_do_not_stand_before_this_machine(
    titled: Api, products: Path, script: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """Before another they do, and one that fails is named."""
    ours, others = (f"http://{host}:{titled.port}" for host in ("localhost", "api.example"))
    proxies = {"http_proxy": "http://user:secret@127.0.0.1:1", "no_proxy": ""}
    assert script(SCRIPT, "--data", products, "--url", ours, "--wait", 5, **proxies).stdout.count("\n") == 2
    ended = script(SCRIPT, "--data", products, "--url", others, **proxies)
    said = f"leads to no {others}; mend the variable, or list the host in no_proxy to go past it.\n"
    assert (ended.returncode, ended.stderr) == (5, f"The proxy http://127.0.0.1:1 that http_proxy names {said}")


def test_an_api_that_is_not_there_is_waited_for_no_longer_than_asked(
    products: Path, script: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """In one sentence."""
    ended = script(SCRIPT, "--data", products, "--url", "http://127.0.0.1:1", "--wait", "0.1")
    said = "was not ready within 0.1 s; the server's log may say why.\n"
    assert (ended.returncode, ended.stderr) == (5, f"The API at http://127.0.0.1:1 {said}")


def test_a_file_that_is_no_csv_is_called_by_what_it_is(
    tmp_path: Path, script: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """Whatever its name."""
    (tmp_path / "products.csv").write_bytes(gzip.compress(b"title\nQuadro\n"))
    ended = script(SCRIPT, "--data", tmp_path / "products.csv")
    assert ended.returncode == 3
    assert ended.stderr.endswith("products.csv cannot be read: it is gzip; expected a csv of products in UTF-8.\n")


def test_without_a_file_it_asks_about_the_cases_own_products(titled: Api) -> None:
    """Ten, as the generator draws them; none of their titles is one that the committed model learned from."""
    own = pd.read_csv(SCRIPT.with_name("products.csv"))
    pd.testing.assert_frame_equal(own, sample.products(10, seed=1))
    assert not set(own["title"]) & set(dataset().products.features)
    lines = asked(titled.port, None).stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == own["title"].tolist()


def test_what_goes_wrong_is_said_in_one_sentence(titled: Api, products: Path, tmp_path: Path) -> None:
    """Each with an exit code of its own."""
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("name\nQuadro\n")
    found = [
        asked(titled.port, None, "--data", ""),
        asked(titled.port, tmp_path / "none.csv"),
        asked(titled.port, wrong),
        asked(1, products),
    ]
    assert [each.returncode for each in found] == [2, 3, 3, 5]
    assert [each.stderr.count("\n") for each in found] == [1] * 4
    assert "products[0] has no 'title'" in found[2].stderr


def test_a_byte_order_mark_is_no_part_of_a_column(titled: Api, tmp_path: Path) -> None:
    """As spreadsheets write one."""
    path = tmp_path / "marked.csv"
    path.write_text("title\nQuadro\n", encoding="utf-8-sig")
    assert asked(titled.port, path).stdout == "Quadro\tDecoração\n"


class Liar(BaseHTTPRequestHandler):
    """Answers whatever it is asked, as it was told."""

    reply: ClassVar[tuple[int, bytes, int]]

    def do_POST(self) -> None:
        status, body, missing = self.reply
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + missing))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def lie(
    script: Callable[..., "subprocess.CompletedProcess[str]"], products: Path
) -> Iterator[Callable[..., "subprocess.CompletedProcess[str]"]]:
    """Ask an API that answers with a status and a body, from which some bytes may be missing."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def ask(status: int, body: object, missing: int = 0) -> "subprocess.CompletedProcess[str]":
            Liar.reply = (
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
def test_what_is_not_the_apis_answer_is_said_in_one_sentence(
    lie: Callable[..., "subprocess.CompletedProcess[str]"], status: int, body: object, missing: int
) -> None:
    """And nothing of it is printed as if it were."""
    ended = lie(status, body, missing)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (5, "", 1)


def test_what_others_wrote_keeps_to_its_line(lie: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    """Neither a category nor a refusal moves the terminal's cursor."""
    assert lie(200, ["\x1b[31m", "a\nb\tc"]).stdout == "Quadro, azul\t\\x1b[31m\nBebê\ta\\nb\\tc\n"
    refused = lie(400, b"\x1b[31m\n\xff")
    assert (refused.returncode, refused.stderr) == (3, "The API answers 400: \\x1b[31m\\n\ufffd\n")


@pytest.mark.parametrize("url", ["foo", "http://", "http://[", "ftp://127.0.0.1", "http://127.0.0.1:99999"])
def test_an_address_that_is_none_is_a_wrong_option(
    script: Callable[..., "subprocess.CompletedProcess[str]"], products: Path, url: str
) -> None:
    """Nobody is asked."""
    ended = script(SCRIPT, "--data", products, "--url", url)
    assert (ended.returncode, ended.stderr) == (2, f"{url!r} is not an address such as http://localhost:5000.\n")
