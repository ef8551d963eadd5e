"""Asks a served model for predictions over the V2 protocol, whatever the transport."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.client.answer import Answer, Tensor, answer_of
from tabserve.client.metadata import DTYPES, Column, Metadata, parsed
from tabserve.client.proxy import Proxy, way, without_password
from tabserve.encoding.categories import spelling
from tabserve.errors import InvalidRequest, ServerError, UsageError
from tabserve.serving.protocol.datatypes import BYTES
from tabserve.wording import listed, shown

MALFORMED = (ValueError, KeyError, TypeError, AttributeError)
"""What reading a document raises that is not what it should be."""

Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
"""The cells of each column by its name: numbers, texts, true or false; None, NaN or an empty text if one is missing."""


class Input(NamedTuple):
    """A tensor of a request, its values of shape (rows, columns)."""

    name: str
    datatype: str
    values: NDArray[Any]


class Client(ABC):
    """Asks one model of one server; how the question travels is a subclass's matter."""

    def __init__(self, address: str, model: str | None, timeout: float, proxy: Proxy | None) -> None:
        self._address, self._given, self._timeout, self._proxy = address, model, timeout, proxy
        self._named = without_password(address) + way(proxy)

    @cached_property
    def model(self) -> str:
        """The name of the model that is asked: the given one, or else the only one that the server has.

        Raises:
            UsageError: the server has several models, or does not tell which.
            ServerError: it has none yet, or no server answers.
        """
        names = [self._given] if self._given else sorted({*self._names()})
        if len(names) > 1:
            raise UsageError(f"The server at {self._named} has the models {listed(names)}; name the one to ask.")
        if not names:
            raise ServerError(f"The server at {self._named} has no model yet; try again once one is loaded.")
        return names[0]

    @cached_property
    def metadata(self) -> Metadata:
        """What the server says of the model.

        Raises:
            TabserveError: as `ask`.
        """
        document = self._described()
        try:
            return parsed(document)
        except MALFORMED as error:
            reason = str(error) if type(error) is ValueError else "its metadata are none of a model"
            raise self._stranger(f"{reason}.") from error

    @abstractmethod
    def ready(self) -> bool:
        """Whether the model can answer now."""

    def ask(self, features: NDArray[np.float32], outputs: Sequence[str]) -> Answer:
        """The named outputs for numbers of shape (rows, columns), in the model's order of the columns.

        Raises:
            InvalidRequest: the server refuses; the message is its own.
            ServerError: no server answers, in time, or as a V2 server does.
            UsageError: the address is none, or the model takes columns that are no numbers.
        """
        if (name := self.metadata.tensor) is None:
            names = listed(column.name for column in self.metadata.columns)
            raise UsageError(f"The model takes no matrix of numbers, but a tensor for each of {names}.")
        return self._answer([Input(name, "FP32", features)], outputs)

    def ask_columns(self, columns: Columns, outputs: Sequence[str]) -> Answer:
        """The named outputs for the cells of columns, by their names; one that may be missing may be left out.

        Raises:
            TabserveError: as `ask`; or the columns are others than the model's.
        """
        self._check_names(columns)
        there = [column for column in self.metadata.columns if column.name in columns]
        arrays = {each.name: _array(each, columns[each.name]) for each in there}
        if self.metadata.tensor is None:
            return self._answer(
                [Input(each.name, each.datatype, arrays[each.name][:, None]) for each in there], outputs
            )
        missing = np.full(len(arrays[there[0].name]), np.nan)
        matrix = np.stack([arrays.get(column.name, missing) for column in self.metadata.columns], axis=1)
        return self.ask(matrix.astype(np.float32), outputs)

    def _check_names(self, names: Collection[str]) -> None:
        known = {column.name: column.optional for column in self.metadata.columns}
        needed = [name for name, optional in known.items() if not optional]
        if not names or not {*needed} <= {*names}:
            raise InvalidRequest(
                f"The model needs the columns {listed(needed or known)}; found {listed(names) or 'none'}."
            )
        if strange := [name for name in names if name not in known]:
            raise InvalidRequest(f"The model has no columns {listed(strange)}; it takes {listed(known)}.")

    def _answer(self, inputs: Sequence[Input], outputs: Sequence[str]) -> Answer:
        _check_finite(inputs)
        tensors, threshold = self._infer(inputs, outputs)
        try:
            return answer_of(tensors, threshold, outputs, len(inputs[0].values), self.metadata)
        except ValueError as error:
            raise self._stranger(str(error)) from error

    @abstractmethod
    def _names(self) -> list[str]:
        """Those of the server's models.

        Raises:
            UsageError: the server does not tell.
        """

    @abstractmethod
    def _described(self) -> Any:  # noqa: ANN401  any JSON
        """The model's metadata, as REST has them."""

    @abstractmethod
    def _infer(self, inputs: Sequence[Input], outputs: Sequence[str]) -> tuple[Mapping[str, Tensor], object]:
        """What came: the outputs by name, and the threshold."""

    def _untold(self) -> UsageError:
        return UsageError(f"The server at {self._named} does not tell which models it has; name the one to ask.")

    def _nobody(self) -> ServerError:
        advice = "start one with 'tabserve serve deploy', or ask at the address of another"
        return ServerError(f"No server answers at {self._named}; {advice}.".replace(",;", ";"))

    def _late(self) -> ServerError:
        return ServerError(f"The server at {self._named} did not answer within {self._timeout:g} s.")

    def _stranger(self, reason: str) -> ServerError:
        return ServerError(f"What answers at {self._named} is no V2 inference server; {reason}")


def wait(is_ready: Callable[[], bool], what: str, seconds: float) -> None:
    """Return once a server says that it is ready.

    Args:
        is_ready: asks it.
        what: is to be ready, as the sentence begins.
        seconds: that it may take.

    Raises:
        ServerError: it was not, within these seconds.
    """
    deadline = time.monotonic() + seconds
    while not is_ready():
        if time.monotonic() > deadline:
            raise ServerError(f"{what} was not ready within {seconds:g} s; the server's log may say why.")
        time.sleep(0.2)


def _array(column: Column, cells: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    """The cells as their column has them; where it has texts, numbers and truths are spelled as levels are."""
    if column.datatype == BYTES:
        texts = [_text(column.name, row, cell) for row, cell in enumerate(np.array(cells, np.object_).tolist())]
        return np.array(texts, np.object_)
    try:
        return np.array(cells, DTYPES[column.datatype])
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"Column {column.name!r} holds something other than numbers: {error}.") from error


def _text(column: str, row: int, cell: object) -> str:
    if not isinstance(cell, str | bool | int | float | None) or cell in (math.inf, -math.inf):
        raise InvalidRequest(
            f"Row {row}, column {column!r}, is {shown(cell)}; expected a text, a number, true or false."
        )
    return spelling(cell)


def _check_finite(inputs: Sequence[Input]) -> None:
    """Refuse infinite numbers, which JSON would spell as missing ones."""
    for each in inputs:
        if each.values.dtype.kind == "f" and (infinite := np.isinf(each.values)).any():
            row, column = np.argwhere(infinite)[0]
            raise InvalidRequest(
                f"Row {row}, column {column} of input {each.name!r}, is infinite; expected a finite number."
            )
