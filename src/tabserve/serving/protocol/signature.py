"""The inputs and outputs of a model, on which requests, responses, metadata and OpenAPI depend."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from numpy.typing import NDArray

from tabserve.model.decision import OutputKind
from tabserve.serving.protocol.tensors import Input


class Features(NamedTuple):
    """The features of a request.

    Attributes:
        rows: number of rows.
        chunks: the features of consecutive rows, to be iterated once. A request that takes long to score or parse has
            several chunks, which are parsed and validated (InvalidRequest) during the iteration.
        unseen: number of rows with a level that training did not see, by column of categories; complete after the
            iteration.
    """

    rows: int
    chunks: Iterable[NDArray[Any]]
    unseen: Mapping[str, int] = MappingProxyType({})


class InputKind(NamedTuple):
    """An input tensor of a model.

    Attributes:
        datatype: of the V2 protocol.
        columns: number of columns.
        optional: whether a request may leave it out.
        names: of the columns, if one tensor holds them all.
        missing: names of the columns that may have missing cells.
        kind: what the cells are, a kind of `problem.columns`.
    """

    datatype: str
    columns: int
    optional: bool = False
    names: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    kind: str = "number"


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model.

    Attributes:
        inputs: by name.
        datatypes: the V2 datatypes that inputs may have.
        outputs: by name.
        features: makes features of the inputs of a request; raises InvalidRequest if they do not fit.
        quick: makes features of unchecked inputs if all have their usual form, else returns None; several times faster.
        parameters: of every response.
    """

    inputs: Mapping[str, InputKind]
    datatypes: tuple[str, ...]
    outputs: Mapping[str, OutputKind]
    features: Callable[[list[Input]], Features]
    quick: Callable[[list[Any]], Features | None]
    parameters: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def default_outputs(self) -> tuple[str, ...]:
        """The names of the outputs of a response to a request that names none, in their order."""
        return tuple(name for name, kind in self.outputs.items() if kind.max_rows is None)
