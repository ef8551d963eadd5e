"""The pages under `/v2/docs` work without internet access, and load no code from other servers."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from tests.browser import Browser
from tests.pages import check_no_complaints, check_nothing_else_is_served, check_page, operation_paths, try_out
from tests.serving.wire import INFER, SECONDS, write_settings

from tabserve.client.local_server import Server, running

MODEL = "/v2/models/xgboost-model"
PAGES = ["/v2/docs", f"{MODEL}/docs", f"{MODEL}/versions/v0.1.0/docs"]
HOSTILE = """"><img src=x onerror=alert(1)>'&{{7*7}}"""
ROW = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0.5] * 200}]}


@pytest.fixture(scope="module")
def hostile(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a model whose name is HTML that would run as a script."""
    folder = write_settings(tmp_path_factory.mktemp("hostile"), name=HOSTILE)
    path = f"/v2/models/{quote(HOSTILE)}"
    with running(folder, {"TABSERVE_MODEL": str(model_folder)}, ready=f"{path}/ready") as server:
        yield server.url + path


@pytest.mark.parametrize("path", [*PAGES, *(f"{page}/" for page in PAGES)])
def test_a_page_and_its_files_are_served_under_a_strict_policy(edge: Server, path: str) -> None:
    """Also to HEAD, with a slash after the path, and with an entity tag for caches."""
    check_page(edge.url + path, "docs/dataplane.json")


@pytest.mark.parametrize("path", PAGES)
def test_no_other_file_of_the_package_is_served(edge: Server, path: str) -> None:
    """Under any spelling of its path."""
    check_nothing_else_is_served(edge.url + path)


@pytest.mark.parametrize("file", ["", "/start.js", "/swagger-ui.css"])
@pytest.mark.parametrize("model", ["nobody", "xgboost-model/versions/nothing"])
def test_an_unknown_model_has_no_page(edge: Server, model: str, file: str) -> None:
    """It gets 404 in JSON, as on other routes."""
    answer = requests.get(f"{edge.url}/v2/models/{model}/docs{file}", timeout=SECONDS)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")
    assert "is not found" in answer.json()["error"]


def test_a_page_does_not_contain_the_name_of_a_model(hostile: str) -> None:
    """So that no name can become code; the page's links still work."""
    check_page(f"{hostile}/docs", "docs/dataplane.json")
    assert "onerror" not in requests.get(f"{hostile}/docs", timeout=SECONDS).text


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect", "/v2/docs/oauth2-redirect"])
def test_fastapis_own_pages_are_off(edge: Server, path: str) -> None:
    """On the metrics port too; they would load scripts from a public server."""
    for address in (edge.url, edge.metrics):
        assert requests.get(address + path, timeout=SECONDS).status_code == 404
    assert requests.get(f"{edge.metrics}/openapi.json", timeout=SECONDS).status_code == 404
    assert requests.get(f"{edge.metrics}/metrics", timeout=SECONDS).status_code == 200


@pytest.mark.parametrize("path", [*PAGES, "/v2/docs/"])
def test_a_browser_without_a_network_shows_every_operation(browser: Browser, edge: Server, path: str) -> None:
    """With no complaint in its console."""
    document = requests.get(f"{edge.url}{path.removesuffix('/')}/dataplane.json", timeout=SECONDS).json()
    with browser.page(edge.url + path) as page:
        assert operation_paths(page) == list(document["paths"])
        check_no_complaints(page, edge.url)


def test_a_browser_sends_an_inference_request_from_the_page(browser: Browser, edge: Server) -> None:
    """`Try it out` shows the response."""
    with browser.page(f"{edge.url}{MODEL}/docs") as page:
        answer = try_out(page, INFER, json.dumps(ROW))
        assert answer.startswith("200")
        assert "predict_proba" in answer
        check_no_complaints(page, edge.url)


def test_a_browser_shows_a_hostile_name_as_text(browser: Browser, hostile: str) -> None:
    """It does not become an element or a script."""
    with browser.page(f"{hostile}/docs") as page:
        assert f"/v2/models/{HOSTILE}/infer" in operation_paths(page)
        assert page.evaluate("document.querySelectorAll('img[onerror]').length") == 0
        check_no_complaints(page, hostile[: hostile.index("/v2")])


def test_a_browser_ignores_a_document_named_in_the_query(browser: Browser, edge: Server) -> None:
    """A malicious link cannot choose what the page shows or loads."""
    with browser.page(f"{edge.url}/v2/docs?url=http://127.0.0.1:1/x.json&configUrl=http://127.0.0.1:1/y.json") as page:
        assert INFER.replace("xgboost-model", "{model_name}") in operation_paths(page)
        check_no_complaints(page, edge.url)


BREACHES = {
    "script": "let it = document.createElement('script'); it.text = 'window.it = 1'; document.body.append(it)",
    "handler": "document.body.insertAdjacentHTML('beforeend', '<img src=docs/favicon-32x32.png onload=it()>')",
    "style": "document.body.setAttribute('style', 'color: red')",
    "image": "new Image().src = 'http://127.0.0.1:1/x.png'",
    "connection": "fetch('http://127.0.0.1:1/').catch(() => {})",
    "base": "let it = document.createElement('base'); it.href = 'http://127.0.0.1:1/'; document.head.append(it)",
    "form": "document.body.insertAdjacentHTML('beforeend', '<form action=/v2></form>'); document.forms[0].submit()",
    "frame": "let it = document.createElement('iframe'); it.src = '/v2/docs'; document.body.append(it)",
}


@pytest.mark.parametrize("breach", BREACHES.values(), ids=list(BREACHES))
def test_a_browser_stops_what_the_policy_forbids(browser: Browser, edge: Server, breach: str) -> None:
    """Injected code is blocked, and the browser reports it."""
    with browser.page(f"{edge.url}/v2/docs") as page:
        operation_paths(page)
        assert page.complaints == []
        page.evaluate(f"{{ {breach} }}")
        assert "Content Security Policy" in page.complaint()
