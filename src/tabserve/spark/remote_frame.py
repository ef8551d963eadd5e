"""Rows as the stations of training take them, while their features stay with Spark's workers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.table.frame import Frame


class RowNumbers(np.ndarray[Any, np.dtype[np.int64]]):
    """Numbers of rows in place of their features, shape (rows,); numbers that are taken of them keep the encoder.

    Attributes:
        encoder: makes the features of these rows where they are needed.
    """

    encoder: Encoder

    @classmethod
    def of(cls, numbers: NDArray[np.int64], encoder: Encoder) -> Self:
        """These numbers, with this encoder."""
        own = numbers.view(cls)
        own.encoder = encoder
        return own

    def __array_finalize__(self, taken_of: NDArray[Any] | None) -> None:
        """Keep the encoder of the array that this one is taken of."""
        if isinstance(taken_of, RowNumbers) and hasattr(taken_of, "encoder"):
            self.encoder = taken_of.encoder


@dataclass(frozen=True, eq=False, kw_only=True)
class RemoteFrame(Frame):
    """Rows whose features are `RowNumbers`.

    Attributes:
        narrow: the encoder with only the levels that occur in the rows of these numbers.
    """

    narrow: Callable[[RowNumbers], Encoder]

    def narrowed_encoder(self) -> Encoder:
        """The encoder with only the levels that occur in these rows, which the workers find."""
        return self.narrow(self.features)  # type: ignore[arg-type]  # numbers in this class

    def with_encoder(self, encoder: Encoder) -> Self:
        """The same rows, whose features the workers will make by another encoder."""
        return replace(self, features=RowNumbers.of(self.features, encoder), encoder=encoder)


def local_frame(frame: Frame, features: NDArray[np.float32]) -> Frame:
    """The same rows, with features of this machine in place of their numbers."""
    return Frame(frame.ids, features, frame.target, frame.problem, frame.encoder, frame.group, frame.moment)
