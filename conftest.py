"""What every test of the repository has: needs of programs, the mark of slow ones, the list of skipped ones, Ctrl-C."""

import signal

pytest_plugins = ["tests.needs", "tests.slow", "tests.skipped"]


def pytest_configure() -> None:
    """Let tests interrupt what they start: in the background of a script, Ctrl-C is ignored, and that is inherited."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
