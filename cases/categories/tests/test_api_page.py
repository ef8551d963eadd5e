"""The page `/docs` shows the API in a closed network, and what it shows can be tried there."""

from cases.categories.tests.served import Api
from tests.browser import Browser
from tests.pages import check_no_complaints, check_nothing_else_is_served, check_page, operation_paths, try_out


def test_all_that_the_page_loads_is_served_here_under_a_strict_policy(titled: Api) -> None:
    """And nothing else of the package that it comes from."""
    for path in ("/docs", "/docs/"):
        check_page(titled.url + path, "openapi.json")
    check_nothing_else_is_served(f"{titled.url}/docs")


def test_fastapis_own_pages_are_off(titled: Api) -> None:
    """They would load scripts from a public server."""
    for path in ("/redoc", "/docs/oauth2-redirect"):
        assert titled.ask("GET", path).status == 404


def test_a_browser_without_a_network_shows_every_operation(browser: Browser, titled: Api) -> None:
    """And has nothing to complain about."""
    with browser.page(f"{titled.url}/docs") as page:
        assert operation_paths(page) == list(titled.ask("GET", "/openapi.json").document["paths"])
        check_no_complaints(page, titled.url)


def test_a_browser_asks_for_the_categories_of_the_example_from_the_page(browser: Browser, titled: Api) -> None:
    """By `Try it out`, and shows the answer."""
    with browser.page(f"{titled.url}/docs") as page:
        answer = try_out(page, "/v1/categorize")
        assert answer.startswith("200")
        assert '"categories"' in answer
        check_no_complaints(page, titled.url)
