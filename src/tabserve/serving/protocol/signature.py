"""What a model takes and what it gives: all that a request, an answer and a document of its routes depend on."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from numpy.typing import NDArray

from tabserve.model.decision import OutputKind
from tabserve.serving.protocol.tensors import Input


class Features(NamedTuple):
    """The features of a request.

    Attributes:
        rows: how many they are.
        parts: some rows each, as the model scores them; to be taken once. More than one of a request that is long to
            score, or to read: they are parsed, validated and refused (InvalidRequest) while they are taken.
        unseen: for each column of categories, in how many rows its level is one that training did not see; complete
            once all parts are taken.
    """

    rows: int
    parts: Iterable[NDArray[Any]]
    unseen: Mapping[str, int] = MappingProxyType({})


class InputKind(NamedTuple):
    """A tensor that the model is asked with.

    Attributes:
        datatype: of V2.
        columns: how many.
        optional: whether it may be left out.
        names: of the columns, where they are several.
    """

    datatype: str
    columns: int
    optional: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives.

    Attributes:
        inputs: what it is asked with, by name.
        datatypes: of V2, those that its inputs may have.
        outputs: what it can be asked for, by name, in the order of an answer to whoever names none.
        features: those in the inputs of a request; raises InvalidRequest where they are not what the model takes.
        quick: the same of inputs that nothing was checked of, if they are as nearly all are; None where they are not.
        parameters: what each answer says of the model.
    """

    inputs: Mapping[str, InputKind]
    datatypes: tuple[str, ...]
    outputs: Mapping[str, OutputKind]
    features: Callable[[list[Input]], Features]
    quick: Callable[[list[Any]], Features | None]
    parameters: Mapping[str, str] = field(default_factory=dict)
