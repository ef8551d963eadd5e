"""Every error has a status over REST and a code over gRPC."""

from collections.abc import Iterator

import grpc
import pytest

from tabserve.errors import TabserveError
from tabserve.serving.protocol.status import STATUS, status


def kinds(kind: type[TabserveError] = TabserveError) -> Iterator[type[TabserveError]]:
    """A class of errors and all its subclasses."""
    yield kind
    for subclass in kind.__subclasses__():
        yield from kinds(subclass)


@pytest.mark.parametrize("kind", [*kinds()], ids=lambda kind: kind.__name__)
def test_every_error_has_a_status(kind: type[TabserveError]) -> None:
    """Its own or that of its nearest ancestor; an error without one is the server's (500)."""
    expected = next(STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS)
    assert status(kind("any")) == expected
    assert status(TabserveError("any")) == (500, grpc.StatusCode.INTERNAL)
