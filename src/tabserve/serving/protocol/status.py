"""The status of a refusal in each protocol."""

from typing import NamedTuple

import grpc

from tabserve.errors import (
    Forbidden,
    InvalidRequest,
    Overloaded,
    TabserveError,
    TooLarge,
    UnknownLevel,
    UnknownModel,
)


class Status(NamedTuple):
    """A refusal's status over REST and its code over gRPC."""

    http: int
    grpc: grpc.StatusCode


STATUS: dict[type[TabserveError], Status] = {
    Forbidden: Status(403, grpc.StatusCode.PERMISSION_DENIED),
    UnknownModel: Status(404, grpc.StatusCode.NOT_FOUND),
    TooLarge: Status(413, grpc.StatusCode.RESOURCE_EXHAUSTED),
    UnknownLevel: Status(422, grpc.StatusCode.INVALID_ARGUMENT),
    InvalidRequest: Status(400, grpc.StatusCode.INVALID_ARGUMENT),
    Overloaded: Status(503, grpc.StatusCode.UNAVAILABLE),
    TabserveError: Status(500, grpc.StatusCode.INTERNAL),
}
"""The status of each error; the first class that an error is an instance of counts."""

CANCELLED = "The client left, or its deadline passed, before it was answered."

FAILED = "Scoring failed; the server's log says why."

UNANSWERED = "The server failed to answer; its log says why."


def status(error: TabserveError) -> Status:
    """The status of a refusal for this error."""
    return next(value for kind, value in STATUS.items() if isinstance(error, kind))
