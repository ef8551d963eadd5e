"""What is told about each inference request: counts of all, and one log line for each that got no prediction."""

import logging
import time

import orjson

from tabserve.encoding.texts import is_writable
from tabserve.serving.metrics import METRICS, Outcomes
from tabserve.wording import shown

MAX_ID = 200
"""Characters of a request's id that are logged: it may be as long as a request."""

log = logging.getLogger(__name__)


class Journal:
    """Counts and logs the requests of one protocol."""

    def __init__(self, protocol: str, outcomes: Outcomes) -> None:
        """Take the protocol's name and MLServer's own counts."""
        self._protocol, self._outcomes = protocol, outcomes
        self._seconds = METRICS.seconds(protocol)

    def answered(self, model: str, version: str | None, start: float) -> None:
        """Count a request that was answered; it began at `start`, in seconds of `time.perf_counter`."""
        seconds = time.perf_counter() - start
        self._seconds.add(seconds)
        self._outcomes.count(model, version, seconds, success=True)

    def refused(
        self, status: str, reason: str, identity: object, served: tuple[str, str | None] | None, start: float
    ) -> None:
        """Count and log a request that was not.

        Args:
            status: what the protocol calls the refusal.
            reason: the sentence that the client gets.
            identity: the request's own id, if it got so far as to have one.
            served: the model and version it was for, if there is such a model: labels must not be made by strangers.
            start: when it began, in seconds of `time.perf_counter`.
        """
        METRICS.reject(self._protocol, status)
        if served:
            self._outcomes.count(*served, time.perf_counter() - start, success=False)
        name = identity
        if identity is not None:
            written = isinstance(identity, str) and is_writable(identity)
            name = str(identity)[:MAX_ID] if written else shown(identity)
        line = {"protocol": self._protocol, "status": status, "id": name, "reason": reason}
        log.warning("refused %s", orjson.dumps(line).decode())
