"""Settings of every test: the marks `needs` and `slow`, the list of skipped tests, and Ctrl-C."""

import signal

pytest_plugins = ["tests.needs", "tests.slow", "tests.skipped"]


def pytest_configure() -> None:
    """Restore SIGINT: a background job of a script ignores it, and processes that tests start would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
