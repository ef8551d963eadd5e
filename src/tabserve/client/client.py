"""A client of a served model over the V2 protocol; subclasses implement the transports."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.client.answer import Answer, Tensor, validate_answer
from tabserve.client.cells import to_send
from tabserve.client.metadata import Metadata, parse
from tabserve.client.proxy import Proxy, mention, without_password
from tabserve.errors import InvalidRequest, ServerError, UsageError
from tabserve.wording import listed

MALFORMED = (ValueError, KeyError, TypeError, AttributeError)
"""Exceptions raised when code reads a JSON document of an unexpected structure."""

Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
"""The cells of each column by its name: numbers, texts, booleans, dates; None, NaN or an empty text if missing."""


class Input(NamedTuple):
    """A tensor of a request, its values of shape (rows, columns)."""

    name: str
    datatype: str
    values: NDArray[Any]


class Client(ABC):
    """A client of one model of one server."""

    def __init__(self, address: str, model: str | None, timeout: float, proxy: Proxy | None) -> None:
        self._address, self._model, self._timeout, self._proxy = address, model, timeout, proxy
        self._server = without_password(address) + mention(proxy)  # in messages

    @cached_property
    def model(self) -> str:
        """The model's name: the one that the client was created with, or else the server's only model.

        Raises:
            UsageError: the server has several models, or does not list its models.
            ServerError: it has no model yet, or no server answers.
        """
        names = [self._model] if self._model else sorted({*self._model_names()})
        if len(names) > 1:
            raise UsageError(f"The server at {self._server} has the models {listed(names)}; name the one to ask.")
        if not names:
            raise ServerError(f"The server at {self._server} has no model yet; try again once one is loaded.")
        return names[0]

    @cached_property
    def metadata(self) -> Metadata:
        """The model's columns and outputs, as the server describes them; requested once.

        Raises:
            TabserveError: as `ask`.
        """
        document = self._metadata_document()
        try:
            return parse(document)
        except MALFORMED as error:
            reason = str(error) if type(error) is ValueError else "its metadata are none of a model"
            raise self._not_v2(f"{reason}.") from error

    @abstractmethod
    def ready(self) -> bool:
        """Whether the model can answer requests now; False also if no server answers."""

    def ask(self, features: NDArray[np.float32], outputs: Sequence[str]) -> Answer:
        """Request outputs for a matrix of numbers.

        Args:
            features: shape (rows, columns), the columns in the model's order.
            outputs: names of the outputs.

        Raises:
            InvalidRequest: the server refuses the request; the message is the server's.
            ServerError: no server answers in time, or its response is not one of the V2 protocol.
            UsageError: the address is invalid, or the model has columns that are not numeric.
        """
        if (name := self.metadata.tensor) is None:
            names = listed(column.name for column in self.metadata.columns)
            raise UsageError(f"The model takes no matrix of numbers, but a tensor for each of {names}.")
        return self._ask([Input(name, "FP32", features)], outputs)

    def ask_columns(self, columns: Columns, outputs: Sequence[str]) -> Answer:
        """Request outputs for rows that are given by column; an optional column may be left out.

        Raises:
            InvalidRequest: a needed column is missing, or the model does not have a column.
            TabserveError: as `ask`.
        """
        self._check_names(columns)
        sent = [column for column in self.metadata.columns if column.name in columns]
        arrays = {column.name: to_send(column, columns[column.name]) for column in sent}
        if self.metadata.tensor is None:
            return self._ask(
                [Input(column.name, column.datatype, arrays[column.name][:, None]) for column in sent], outputs
            )
        missing = np.full(len(arrays[sent[0].name]), np.nan)
        matrix = np.stack([arrays.get(column.name, missing) for column in self.metadata.columns], axis=1)
        return self.ask(matrix.astype(np.float32), outputs)

    def _check_names(self, names: Collection[str]) -> None:
        known = {column.name: column.optional for column in self.metadata.columns}
        needed = [name for name, optional in known.items() if not optional]
        if not names or not {*needed} <= {*names}:
            raise InvalidRequest(
                f"The model needs the columns {listed(needed or known)}; found {listed(names) or 'none'}."
            )
        if unknown := [name for name in names if name not in known]:
            raise InvalidRequest(f"The model has no columns {listed(unknown)}; it takes {listed(known)}.")

    def _ask(self, inputs: Sequence[Input], outputs: Sequence[str]) -> Answer:
        _check_finite(inputs)
        tensors, threshold = self._infer(inputs, outputs)
        try:
            return validate_answer(tensors, threshold, outputs, len(inputs[0].values), self.metadata)
        except ValueError as error:
            raise self._not_v2(str(error)) from error

    @abstractmethod
    def _model_names(self) -> list[str]:
        """The names of the server's models.

        Raises:
            UsageError: the server does not list them.
        """

    @abstractmethod
    def _metadata_document(self) -> Any:  # noqa: ANN401  any JSON
        """The model's metadata, in the structure of REST's JSON."""

    @abstractmethod
    def _infer(self, inputs: Sequence[Input], outputs: Sequence[str]) -> tuple[Mapping[str, Tensor], object]:
        """Send a request; returns the response's outputs by name, and its threshold, neither validated."""

    def _no_model_list(self) -> UsageError:
        return UsageError(f"The server at {self._server} does not tell which models it has; name the one to ask.")

    def _unreachable(self) -> ServerError:
        advice = "start one with 'tabserve serve FOLDER', or ask at the address of another"
        return ServerError(f"No server answers at {self._server}; {advice}.".replace(",;", ";"))

    def _timed_out(self) -> ServerError:
        return ServerError(f"The server at {self._server} did not answer within {self._timeout:g} s.")

    def _not_v2(self, reason: str) -> ServerError:
        return ServerError(f"What answers at {self._server} is no V2 inference server; {reason}")


def wait(is_ready: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until a server or a model is ready.

    Args:
        is_ready: asks whether it is.
        what: the subject of the error's sentence, such as "The model".
        seconds: deadline.

    Raises:
        ServerError: it was not ready in time.
    """
    deadline = time.monotonic() + seconds
    while not is_ready():
        if time.monotonic() > deadline:
            raise ServerError(f"{what} was not ready within {seconds:g} s; the server's log may say why.")
        time.sleep(0.2)


def _check_finite(inputs: Sequence[Input]) -> None:
    """Refuse infinite numbers, which JSON would encode as null, a missing number."""
    for name, _, values in inputs:
        if values.dtype.kind == "f" and (infinite := np.isinf(values)).any():
            row, column = np.argwhere(infinite)[0]
            raise InvalidRequest(
                f"Row {row}, column {column} of input {name!r}, is infinite; expected a finite number."
            )
