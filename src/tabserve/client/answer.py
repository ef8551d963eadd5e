"""Validation of a server's response against the request and the model's metadata."""

import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.client.metadata import DTYPES, INT64, Metadata, Output
from tabserve.serving.protocol.datatypes import BYTES
from tabserve.wording import listed

PROBABILITIES = "predict_proba"

AMOUNTS = (-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max), "that are finite")
"""The least and the greatest amount, and how a message describes the range."""


class Answer(NamedTuple):
    """A model's validated response for some rows.

    Attributes:
        outputs: the values of each output by name, shape (rows, columns), or (rows, labels, columns).
        threshold: the probability from which on the model answers the positive label; None if it has no threshold.
    """

    outputs: Mapping[str, NDArray[Any]]
    threshold: float | None


class Tensor(NamedTuple):
    """An output of a response, not yet validated."""

    datatype: object
    shape: object
    values: NDArray[Any]


def validate_answer(
    tensors: Mapping[str, Tensor], threshold: object, outputs: Sequence[str], rows: int, metadata: Metadata
) -> Answer:
    """Check that the response holds the requested outputs, in the shapes and datatypes that the metadata give.

    Args:
        tensors: the outputs of the response, by name.
        threshold: the response's parameter of that name.
        outputs: names of the requested outputs.
        rows: how many rows were sent.
        metadata: the model's.

    Raises:
        ValueError: the response differs; the message is the end of a sentence about the server.
    """
    values = {name: _values(tensors, name, rows, metadata.outputs.get(name), metadata.labels) for name in outputs}
    return Answer(values, _parse_threshold(threshold))


def _values(
    tensors: Mapping[str, Tensor], name: str, rows: int, expected: Output | None, labels: Sequence[str]
) -> NDArray[Any]:
    """The validated values of an output, in the shape that its metadata give."""
    if expected is None:
        raise ValueError(f"its metadata lack the output {name!r}, which it answers.")
    if name not in tensors:
        raise ValueError(f"its answer lacks the output {name!r}.")
    datatype, shape, values = tensors[name]
    expected_shape = (rows, *expected.shape)
    if datatype != expected.datatype or shape != [*expected_shape]:
        raise ValueError(
            f"its output {name!r} is {reprlib.repr(datatype)} of shape {reprlib.repr(shape)},"
            f" expected {expected.datatype!r} of shape {[*expected_shape]}."
        )
    if values.shape not in {expected_shape, (values.size,)} or values.size != math.prod(expected_shape):
        raise ValueError(f"its output {name!r} does not hold the values that its shape {shape} promises.")
    if description := _violated(name, expected.datatype, values, labels):
        raise ValueError(f"its output {name!r} holds something other than {description}.")
    return values.astype(DTYPES[expected.datatype]).reshape(expected_shape)


def _violated(name: str, datatype: str, values: NDArray[Any], labels: Sequence[str]) -> str:
    """Describe the values that an output may have, if some of its values are others; else an empty text.

    An output holds labels as text, labels 0 and 1, probabilities, or amounts.
    """
    if datatype == BYTES:
        texts = values.ravel().tolist()
        fits = all(isinstance(text, str) and (text in labels or not labels) for text in texts)
        return "" if fits else f"the labels {listed(labels)}"
    low, high, limits = (0.0, 1.0, "from 0 to 1") if datatype == INT64 or name == PROBABILITIES else AMOUNTS
    fits = np.can_cast(values.dtype, DTYPES[datatype], "same_kind") and bool(((values >= low) & (values <= high)).all())
    return "" if fits else f"{datatype} {limits}"


def _parse_threshold(threshold: object) -> float | None:
    """The threshold as a number; it is sent as text because parameters of gRPC cannot hold fractions."""
    if threshold is None:
        return None
    try:
        number = float(threshold) if isinstance(threshold, str | float | int) else float("nan")
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        raise ValueError(f"its threshold is {reprlib.repr(threshold)}, expected a number.")
    return number
