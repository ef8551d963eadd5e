"""The few words of JSON Schema (https://json-schema.org) that the document of the routes is made of."""

from collections.abc import Iterable
from typing import Any

Node = dict[str, Any]

TEXT, WHOLE, FLAG, OBJECT = ({"type": kind} for kind in ("string", "integer", "boolean", "object"))


def array(items: Node) -> Node:
    """The schema of a list of these."""
    return {"type": "array", "items": items}


def or_null(schema: Node) -> Node:
    """The schema of this, or of nothing."""
    return {"anyOf": [schema, {"type": "null"}]}


def enum(names: Iterable[str]) -> Node:
    """The schema of one of these names; of any, where there are none."""
    return {"enum": each} if (each := [*dict.fromkeys(names)]) else TEXT


def any_of(schemas: Iterable[Node]) -> Node:
    """The schema of what is as one of these say, each said once; of any object, where there are none."""
    each: list[Node] = []
    for schema in schemas:
        each += [schema] if schema not in each else []
    return {"anyOf": each} if each else OBJECT


def open_object(members: Node, **others: Node) -> Node:
    """The schema of an object with these members, perhaps those, and any more."""
    return {"type": "object", "properties": {**members, **others}, "required": [*members]}


def closed_object(members: Node, **others: Node) -> Node:
    """The schema of an object with these members, perhaps those, and no more."""
    return {**open_object(members, **others), "additionalProperties": False}
