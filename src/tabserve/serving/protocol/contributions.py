"""The output `contributions`: how much each feature of a row added to its answer, for requests that name it."""

from math import prod

from tabserve.encoding.encoder import Encoder
from tabserve.model.decision import OutputKind
from tabserve.problem.problem import Problem

NAME = "contributions"
"""The name of the output."""

BASE_VALUE = "base value"
"""The name of its last column, which is not a feature: the same for every row."""

MAX_VALUES = 200_000
"""Most values of a response; encoding them as JSON keeps the event loop for some 20 ms."""


def output_kind(problem: Problem, encoder: Encoder, outputs: int, max_rows: int) -> OutputKind:
    """The output of a model that can be explained.

    Args:
        problem: names the labels, of which there are as many as outputs if there are several outputs.
        encoder: names the features.
        outputs: number of raw outputs of the model.
        max_rows: most rows of a request for this output; fewer if each has many values.
    """
    columns = (*encoder.names, BASE_VALUE)
    labels = problem.labels if outputs > 1 else ()
    shape = (len(labels), len(columns)) if labels else (len(columns),)
    return OutputKind(
        "FP32",
        shape,
        lambda explained: explained.contributions.reshape(-1, *shape),
        labels,
        columns,
        (*encoder.sources, BASE_VALUE),
        max(1, min(max_rows, MAX_VALUES // prod(shape))),
    )
