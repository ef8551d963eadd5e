"""A real Chromium without a window and without a network, driven over two pipes by its own protocol.

https://chromedevtools.github.io/devtools-protocol has its methods and events. Messages are JSON, each with a zero byte
behind it.
"""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.needs import missing, reason

SECONDS = 30
"""That a page may take to show what it should."""

FLAGS = [
    "--headless",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
]

TYPED = """(place, text) => {
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(place, text);
    place.dispatchEvent(new Event("input", {bubbles: true}));
}"""
"""Type as a person would, as React sees it."""


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Browser"]:
    """A running Chromium for all tests, each of which opens pages of its own."""
    if without := missing(["chromium"]):
        pytest.skip(reason(without))
    with _started("chromium", tmp_path_factory.mktemp("chromium")) as running:
        yield running


class Browser:
    """Chromium at the other end of two pipes."""

    def __init__(self, commands: int, answers: int) -> None:
        """Take the pipes' ends that are ours."""
        self._commands, self._answers = commands, answers
        self._begun, self._last = b"", 0
        self._events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON
        """What a method returns; the events that come before it are kept."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        written = json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
        assert os.write(self._commands, written) == len(written)
        deadline = time.monotonic() + SECONDS
        while (answer := self._next(deadline)).get("id") != self._last:
            self._events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def events(self, session: str) -> list[dict[str, Any]]:
        """All that has happened on a page so far."""
        return [event for event in self._events if event.get("sessionId") == session]

    @contextmanager
    def page(self, url: str) -> Iterator["Page"]:
        """A page, in a profile that has seen nothing."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable", session)
        self.call("Page.navigate", session, url=url)
        yield Page(self, session)
        self.call("Target.disposeBrowserContext", browserContextId=context)

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._begun:
            ready, _, _ = select.select([self._answers], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"Chromium did not answer within {SECONDS} s."
            read = os.read(self._answers, 1 << 20)
            assert read, "Chromium has ended."
            self._begun += read
        message, _, self._begun = self._begun.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


class Page:
    """A page that is open, as a person sees it."""

    def __init__(self, browser: Browser, session: str) -> None:
        """Take the session that is attached to it."""
        self._browser, self._session = browser, session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON
        """What a method of the page returns."""
        return self._browser.call(method, self._session, **parameters)

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401  any JSON
        """The value of an expression of JavaScript, once it is there where it is a promise."""
        options = {"awaitPromise": True, "returnByValue": True}
        answer = self._browser.call("Runtime.evaluate", self._session, expression=expression, **options)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str) -> Any:  # noqa: ANN401  any JSON
        """Its value, as soon as it counts as true."""
        return self._wait(lambda: self.evaluate(expression), expression)

    def complaint(self) -> str:
        """The first that there is, as soon as there is one."""
        found: str = self._wait(lambda: self.evaluate("0") or self.complaints, "a complaint")[0]
        return found

    def _wait(self, look: Callable[[], Any], what: str) -> Any:  # noqa: ANN401  any JSON
        deadline = time.monotonic() + SECONDS
        while not (found := look()):
            shown = self.evaluate("document.body?.innerText")
            assert time.monotonic() < deadline, f"{what} did not come within {SECONDS} s; the page shows:\n{shown}"
            time.sleep(0.05)
        return found

    def click(self, selector: str) -> None:
        """Click on what a selector finds, as soon as it is there."""
        self.wait(f"document.querySelector({json.dumps(selector)}) !== null")
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def type(self, selector: str, text: str) -> None:
        """Replace a text area's text."""
        self.wait(f"document.querySelector({json.dumps(selector)}) !== null")
        self.evaluate(f"({TYPED})(document.querySelector({json.dumps(selector)}), {json.dumps(text)})")

    @property
    def complaints(self) -> list[str]:
        """What the browser's console shows: broken policies, failed loads, errors and warnings of scripts."""
        found = []
        for event in self._browser.events(self._session):
            told = event["params"]
            match event["method"]:
                case "Log.entryAdded":
                    found.append(told["entry"]["text"])
                case "Runtime.exceptionThrown":
                    found.append(str(told["exceptionDetails"]))
                case "Runtime.consoleAPICalled":
                    found.append(str(told["args"]))
        return found

    @property
    def asked(self) -> list[str]:
        """The addresses of all that it has asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self._browser.events(self._session)
            if event["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def _started(program: str, profile: Path) -> Iterator[Browser]:
    """Chromium reads commands from descriptor 3 and answers on descriptor 4."""
    (theirs, commands), (answers, replies) = os.pipe(), os.pipe()
    words = [program, *FLAGS, f"--user-data-dir={profile}"]
    shell = ["sh", "-c", f'exec "$@" 3</dev/fd/{theirs} 4>/dev/fd/{replies}', "sh", *words]
    with (profile / "log").open("wb") as log:
        process = subprocess.Popen(
            shell, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[theirs, replies], start_new_session=True
        )
    os.close(theirs)
    os.close(replies)
    try:
        yield Browser(commands, answers)
    finally:
        os.close(commands)
        os.close(answers)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(SECONDS)
