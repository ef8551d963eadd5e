"""Check the parameters of a request, its inputs and outputs: those that would be ignored are refused."""

from collections.abc import Mapping
from typing import Any

from tabserve.errors import InvalidRequest
from tabserve.serving.protocol.datatypes import BYTES
from tabserve.wording import listed, shown

NO_STATE = "a model here keeps nothing from one request to the next"
NO_SHARED_MEMORY = "tensors travel in the request and in the answer alone"

REFUSED = {
    "classification": "the output predict_proba has the probability of every label",
    "sequence_id": NO_STATE,
    "sequence_start": NO_STATE,
    "sequence_end": NO_STATE,
    "shared_memory_region": NO_SHARED_MEMORY,
    "shared_memory_byte_size": NO_SHARED_MEMORY,
    "shared_memory_offset": NO_SHARED_MEMORY,
}
"""Triton's parameters that would change the answer, with the reason of the refusal; a value of 0 or false is accepted.

They belong to its extensions classification, sequence and shared_memory, see
https://github.com/triton-inference-server/server/tree/main/docs/protocol.
"""

CONTENT_TYPE = "content_type"
"""MLServer's parameter that names the codec of a request, an input or an output."""

CODECS = ("np", "pd", "str")
"""Codecs that do not change values; others, such as base64, would need decoding."""


def of(item: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """The parameters of a request, an input or an output; empty if it has none.

    Raises:
        InvalidRequest: they are not an object.
    """
    parameters = item.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidRequest(f"{place} has {shown(parameters)} as its 'parameters'; expected an object.")
    return parameters


def check(item: Mapping[str, Any], place: str, datatype: str = BYTES) -> None:
    """Refuse a parameter that asks for something that is not supported.

    Args:
        item: the request, input or output.
        place: its position in words.
        datatype: of an output; only BYTES may have MLServer's codec for texts.

    Raises:
        InvalidRequest: the message names the parameter.
    """
    if not (parameters := of(item, place)):
        return
    for name, reason in REFUSED.items():
        if parameters.get(name):
            raise InvalidRequest(f"{place} has the parameter {shown(name)}; leave it out: {reason}.")
    codec = parameters.get(CONTENT_TYPE)
    codecs = CODECS if datatype == BYTES else CODECS[:2]
    if codec and codec not in codecs:
        raise InvalidRequest(f"{place} has the {CONTENT_TYPE} {shown(codec)}; expected {listed(codecs)}, or none.")
