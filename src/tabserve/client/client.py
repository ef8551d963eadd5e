"""Asks a served model for predictions over the V2 protocol, whatever the transport."""

import reprlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.client.proxy import Proxy, way, without_password
from tabserve.errors import ServerError

OUTPUTS = {"predict": ("INT64", 1), "predict_proba": ("FP32", 2)}
"""The V2 datatype and the columns of what can be asked for: the label, and the probability of both classes."""

DTYPES = {"FP32": "<f4", "INT64": "<i8"}
"""How gRPC's raw bytes hold the values of each V2 datatype in `OUTPUTS`."""


class Answer(NamedTuple):
    """A model's answer for some rows.

    Attributes:
        outputs: the values of each output by name, shape (rows, columns).
        threshold: where the model cuts its labels, if it says so.
    """

    outputs: Mapping[str, NDArray[Any]]
    threshold: float | None


class Tensor(NamedTuple):
    """An output as it came: nothing of it is what it should be until it is compared with what was asked."""

    datatype: object
    shape: object
    values: NDArray[Any]


class Client(ABC):
    """Asks one model of one server; how the question travels is a subclass's matter."""

    def __init__(self, address: str, model: str, timeout: float, proxy: Proxy | None) -> None:
        self._address, self._model, self._timeout, self._proxy = address, model, timeout, proxy
        self._named = without_password(address) + way(proxy)

    @abstractmethod
    def ready(self) -> bool:
        """Whether the model can answer now."""

    def ask(self, features: NDArray[np.float32], outputs: Sequence[str]) -> Answer:
        """The named outputs, of those in `OUTPUTS`, for float32 features of shape (rows, features).

        Raises:
            InvalidRequest: the server refuses; the message is its own.
            ServerError: no server answers, in time, or as a V2 server does.
            UsageError: the address is none.
        """
        tensors, threshold = self._infer(features, outputs)
        try:
            return Answer({name: _values(tensors, name, len(features)) for name in outputs}, _number(threshold))
        except ValueError as error:
            raise self._stranger(str(error)) from error

    @abstractmethod
    def _infer(self, features: NDArray[np.float32], outputs: Sequence[str]) -> tuple[Mapping[str, Tensor], object]:
        """What came: the outputs by name, and the threshold."""

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


def _values(tensors: Mapping[str, Tensor], name: str, rows: int) -> NDArray[Any]:
    """An output's values, shape (rows, columns), if it is what was asked for; a ValueError says what it is not."""
    if name not in tensors:
        raise ValueError(f"its answer lacks the output {name!r}.")
    (datatype, shape, values), (expected, columns) = tensors[name], OUTPUTS[name]
    wanted = (rows, columns)
    if datatype != expected or shape != [*wanted]:
        raise ValueError(
            f"its output {name!r} is {reprlib.repr(datatype)} of shape {reprlib.repr(shape)},"
            f" expected {expected!r} of shape {[*wanted]}."
        )
    dtype = DTYPES[expected]
    if values.shape not in {wanted, (values.size,)} or values.size != rows * columns:
        raise ValueError(f"its output {name!r} does not hold the values that its shape {shape} promises.")
    if not np.can_cast(values.dtype, dtype, "same_kind") or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"its output {name!r} holds something other than {expected} from 0 to 1.")
    return values.astype(dtype).reshape(wanted)


def _number(threshold: object) -> float | None:
    """The threshold, which travels as text because gRPC's parameters know no fractions."""
    if threshold is None:
        return None
    try:
        number = float(threshold) if isinstance(threshold, str | float | int) else float("nan")
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        raise ValueError(f"its threshold is {reprlib.repr(threshold)}, expected a number.")
    return number
