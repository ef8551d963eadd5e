"""The protocol of a trained model: features in, raw outputs out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.problem.problem import Problem


class Predictor(Protocol):
    """Features in, raw outputs out; a decision turns these into answers.

    Attributes:
        FILE: name of its file in a model folder.
        BATCH_ROWS: most rows in one call of a server; more gain little speed and delay other requests.
        PARALLEL: whether calls in several threads run at once; not if they hold Python's lock.
        LIBRARIES: libraries that train it, beside those that train every model.
    """

    FILE: ClassVar[str]
    BATCH_ROWS: ClassVar[int]
    PARALLEL: ClassVar[bool]
    LIBRARIES: ClassVar[tuple[str, ...]]

    @classmethod
    def read(cls, path: Path, file: bytes, problem: Problem, encoder: Encoder, /) -> Self:
        """Load a model file.

        Args:
            path: the file's name in errors.
            file: its bytes, which are not trusted.
            problem: the model must answer it.
            encoder: makes its features.

        Raises:
            ArtifactError: the file holds something else, or a model of another problem.
        """

    @property
    def outputs(self) -> int:
        """Number of raw outputs of a row."""

    @property
    def facts(self) -> Mapping[str, str]:
        """Its size, in words for people."""

    @property
    def described(self) -> str:
        """What it is and how large, in words for the model card."""

    def raw(self, features: Any, /) -> NDArray[Any]:  # noqa: ANN401  an array of what the predictor takes
        """Raw outputs, shape (rows, outputs)."""

    def from_json(self, rows: list[Any], /) -> NDArray[Any]:
        """The features of rows that were written as JSON.

        Raises:
            ValueError: the rows do not fit this model.
        """

    def examples(self, features: NDArray[Any], /) -> NDArray[Any]:
        """Golden rows, drawn so that they are nobody's row, given the features of training rows."""

    def to_bytes(self) -> bytes:
        """The bytes of a file that `read` takes."""

    def on_one_thread(self) -> None:
        """Use one thread per call from now on; on shared cores, waiting for more threads costs more than they save."""


@runtime_checkable
class Explainable(Protocol):
    """A predictor that tells how much each feature contributed to its raw outputs."""

    def contributions(self, features: NDArray[np.float32], /) -> NDArray[np.float32]:
        """The contribution of each feature to each output, and last the base value, which is the same for every row.

        Returns:
            Shape (rows, outputs, features + 1); the last axis adds up to the output, or to what it is a function of.
        """
