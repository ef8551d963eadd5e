"""The parameters that clients put beside a request, its inputs and its outputs: what would be ignored is refused."""

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
"""Triton's parameters that would change the answer, and why they cannot; where they are 0, they ask for nothing.

As its extensions classification, sequence and shared_memory have them, in
https://github.com/triton-inference-server/server/tree/main/docs/protocol.
"""

CONTENT_TYPE = "content_type"
"""MLServer's parameter that names the codec of a request, an input or an output."""

CODECS = ("np", "pd", "str")
"""Codecs that leave values as V2 has them; the others, such as base64, would be decoded first."""


def of(item: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """The parameters of a request, of an input or of an output; empty where it has none.

    Raises:
        InvalidRequest: they are no object.
    """
    found = item.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidRequest(f"{place} has {shown(found)} as its 'parameters'; expected an object.")
    return found


def check(item: Mapping[str, Any], place: str, datatype: str = BYTES) -> None:
    """Refuse a parameter that asks for what is not done.

    Args:
        item: the request, the input or the output.
        place: what the refusal calls it.
        datatype: V2's, of an output: only texts are answered by MLServer's codec for texts.

    Raises:
        InvalidRequest: with the parameter's name.
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
