"""What a request may hold: the bytes of a body into the text of each product, or the sentence that refuses them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.texts import check_length, check_text
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.problem.columns import Column
from tabserve.serving.protocol import document
from tabserve.serving.protocol.columns import encoded
from tabserve.serving.protocol.document import Bytes
from tabserve.serving.protocol.signature import Features
from tabserve.wording import shown


def features(body: Bytes, encoder: Encoder, most: int) -> Features:
    """The texts of a request's products, in their order.

    Args:
        body: JSON, such as `{"products": [{"title": "Lembrancinha"}]}`; members that are not named here are ignored.
        encoder: the model's; a product needs the columns that are never empty, and may have the others.
        most: products that a request may hold.

    Returns:
        As many rows as products; nothing else of the body is kept.

    Raises:
        InvalidRequest: the body is something else.
        TooLarge: it holds more products, or longer texts, or would take too much memory to read.
    """
    products = _products(document.parse(body, "an object with a list of products"), encoder.columns[0].name)
    if len(products) > most:
        raise TooLarge(f"The request has {len(products)} products; send at most {most} at a time.")
    rows = [_cells(product, f"products[{place}]", encoder.columns) for place, product in enumerate(products)]
    return encoded([partial(_sliced, column) for column in zip(*rows, strict=True)], len(rows), encoder)


def _products(found: object, needed: str) -> list[Any]:
    expected = f'expected {{"products": [{{"{needed}": …}}, …]}}'
    if not isinstance(found, dict):
        raise InvalidRequest(f"The body is {shown(found)}; {expected}.")
    if "products" not in found:
        raise InvalidRequest(f"The body has no member 'products'; {expected}.")
    products = found["products"]
    if not isinstance(products, list) or not products:
        raise InvalidRequest(f"The body's 'products' is {shown(products)}; expected a list of at least one product.")
    return products


def _sliced(column: Sequence[str | None], start: int, stop: int) -> Sequence[str | None]:
    return column[start:stop]


def _cells(product: object, place: str, columns: tuple[Column, ...]) -> list[str | None]:
    """The cells of a product, in the order of the columns."""
    if not isinstance(product, dict):
        raise InvalidRequest(f"{place} is {shown(product)}; expected an object with a {columns[0].name!r}.")
    return [_cell(product, place, column) for column in columns]


def _cell(product: dict[str, Any], place: str, column: Column) -> str | None:
    if column.missing:
        given = product.get(column.name)
        return None if given is None else check_length(given, f"{place}.{column.name}")
    if column.name not in product:
        raise InvalidRequest(f"{place} has no {column.name!r}; expected a text with letters or digits.")
    return check_text(product[column.name], f"{place}.{column.name}")
