"""What each protocol calls it when a request gets no prediction."""

from typing import NamedTuple

import grpc

from tabserve.errors import InvalidRequest, Overloaded, TabserveError, TooLarge, UnknownModel


class Status(NamedTuple):
    """A refusal's status over REST and its code over gRPC."""

    http: int
    grpc: grpc.StatusCode


STATUS: dict[type[TabserveError], Status] = {
    UnknownModel: Status(404, grpc.StatusCode.NOT_FOUND),
    TooLarge: Status(413, grpc.StatusCode.RESOURCE_EXHAUSTED),
    InvalidRequest: Status(400, grpc.StatusCode.INVALID_ARGUMENT),
    Overloaded: Status(503, grpc.StatusCode.UNAVAILABLE),
    TabserveError: Status(500, grpc.StatusCode.INTERNAL),
}
"""The first of these that an error is."""

CANCELLED = "The client left, or its deadline passed, before it was answered."

FAILED = "Scoring failed; the server's log says why."

UNANSWERED = "The server failed to answer; its log says why."


def status(error: TabserveError) -> Status:
    """How a refusal for this reason is called."""
    return next(found for kind, found in STATUS.items() if isinstance(error, kind))
