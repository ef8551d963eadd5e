"""What all weights that answer have in common."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.problem.problem import Problem


class Predictor(Protocol):
    """Features in, raw outputs out; a decision makes answers of these.

    Attributes:
        FILE: name of the file that holds it in a model folder.
        BATCH_ROWS: rows in one call of a server: more gain little speed and make others wait longer.
        PARALLEL: whether several threads gain anything; not where Python's lock is held all the while.
        LIBRARIES: what makes it, beside those that make every model.
    """

    FILE: ClassVar[str]
    BATCH_ROWS: ClassVar[int]
    PARALLEL: ClassVar[bool]
    LIBRARIES: ClassVar[tuple[str, ...]]

    @classmethod
    def read(cls, path: Path, file: bytes, problem: Problem, encoder: Encoder, /) -> Self:
        """What a file holds.

        Args:
            path: what a refusal calls the file.
            file: its bytes, which are not trusted.
            problem: what it must be for.
            encoder: makes its features.

        Raises:
            ArtifactError: it is no such file, or for another problem.
        """

    @property
    def outputs(self) -> int:
        """How many raw outputs a row has."""

    @property
    def facts(self) -> Mapping[str, str]:
        """What tells it from others: its size."""

    @property
    def described(self) -> str:
        """What it is and how large, in words for the model card."""

    def raw(self, features: Any, /) -> NDArray[Any]:  # noqa: ANN401  an array of what the predictor takes
        """Raw outputs, shape (rows, outputs)."""

    def from_json(self, rows: list[Any], /) -> NDArray[Any]:
        """The features of rows that were written as JSON.

        Raises:
            ValueError: they are none of this model.
        """

    def examples(self, features: NDArray[Any], /) -> NDArray[Any]:
        """Rows that belong to nobody, for `from_json` to read at each load; `features` are those of training rows."""

    def written(self) -> bytes:
        """A file as `read` takes it."""

    def save(self, path: Path, /) -> None:
        """Write the file.

        Raises:
            OSError: it cannot be written.
        """

    def on_one_thread(self) -> None:
        """Use one thread in each call from now on: on shared cores, waiting for more costs more than they save."""
