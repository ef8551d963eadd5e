"""Every error has a status over REST and a code over gRPC."""

from collections.abc import Iterator

import grpc
import pytest

from tabserve.errors import TabserveError
from tabserve.serving.protocol.status import STATUS, status


def kinds(kind: type[TabserveError] = TabserveError) -> Iterator[type[TabserveError]]:
    """A kind of error, and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


@pytest.mark.parametrize("kind", [*kinds()], ids=lambda kind: kind.__name__)
def test_every_error_has_a_status(kind: type[TabserveError]) -> None:
    """That of its own kind, or of the nearest above it; what no request can mend is the server's failure."""
    expected = next(STATUS[each] for each in kind.__mro__ if each in STATUS)
    assert status(kind("any")) == expected
    assert status(TabserveError("any")) == (500, grpc.StatusCode.INTERNAL)
