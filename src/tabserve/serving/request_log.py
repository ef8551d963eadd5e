"""Count every inference request, and log each one that got no prediction."""

import logging
import time

import orjson

from tabserve.encoding.texts import is_encodable
from tabserve.serving.metrics import METRICS, Outcomes
from tabserve.wording import shown

MAX_ID = 200
"""Most characters of a request's id in the log; clients may send longer ones."""

log = logging.getLogger(__name__)


class RequestLog:
    """Counts and logs the requests of one protocol."""

    def __init__(self, protocol: str, outcomes: Outcomes) -> None:
        """Count for this protocol, also in MLServer's own metrics."""
        self._protocol, self._outcomes = protocol, outcomes
        self._seconds = METRICS.seconds(protocol)

    def answered(self, model: str, version: str | None, start: float) -> None:
        """Count an answered request; `start` is in seconds of `time.perf_counter`."""
        seconds = time.perf_counter() - start
        self._seconds.add(seconds)
        self._outcomes.count(model, version, seconds, success=True)

    def refused(
        self, status: str, reason: str, identity: object, served: tuple[str, str | None] | None, start: float
    ) -> None:
        """Count and log a refused request.

        Args:
            status: the refusal's name in the protocol.
            reason: the message that the client gets.
            identity: the request's id, if it was read.
            served: the model and version, if they exist: a client must not be able to create metric labels.
            start: of the request, in seconds of `time.perf_counter`.
        """
        METRICS.reject(self._protocol, status)
        if served:
            self._outcomes.count(*served, time.perf_counter() - start, success=False)
        name = identity
        if identity is not None:
            writable = isinstance(identity, str) and is_encodable(identity)
            name = str(identity)[:MAX_ID] if writable else shown(identity)
        line = {"protocol": self._protocol, "status": status, "id": name, "reason": reason}
        log.warning("refused %s", orjson.dumps(line).decode())
