"""The page `/docs` shows the API without a network, and sends requests to it."""

from cases.categories.tests.served import Api
from tests.browser import Browser
from tests.pages import check_no_complaints, check_nothing_else_is_served, check_page, operation_paths, try_out


def test_the_page_loads_only_files_of_this_server_under_a_strict_policy(title_api: Api) -> None:
    """No other file of Swagger UI's package is served."""
    for path in ("/docs", "/docs/"):
        check_page(title_api.url + path, "openapi.json")
    check_nothing_else_is_served(f"{title_api.url}/docs")


def test_fastapis_own_pages_are_off(title_api: Api) -> None:
    """/redoc and its like would load scripts from a public server."""
    for path in ("/redoc", "/docs/oauth2-redirect"):
        assert title_api.ask("GET", path).status == 404


def test_a_browser_without_a_network_shows_every_operation(browser: Browser, title_api: Api) -> None:
    """The browser reports no error."""
    with browser.page(f"{title_api.url}/docs") as page:
        assert operation_paths(page) == list(title_api.ask("GET", "/openapi.json").document["paths"])
        check_no_complaints(page, title_api.url)


def test_try_it_out_on_the_page_answers_the_example(browser: Browser, title_api: Api) -> None:
    """A browser sends the example and shows the categories."""
    with browser.page(f"{title_api.url}/docs") as page:
        answer = try_out(page, "/v1/categorize")
        assert answer.startswith("200")
        assert '"categories"' in answer
        check_no_complaints(page, title_api.url)
