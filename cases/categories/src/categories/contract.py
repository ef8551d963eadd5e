"""What a request may hold: the bytes of a body into the text of each product, or the sentence that refuses them."""

from collections.abc import Sequence
from typing import Any

from tabserve.encoding.texts import check_length, check_text, join_row
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.serving.protocol import document
from tabserve.serving.protocol.document import Bytes
from tabserve.serving.protocol.signature import Features
from tabserve.serving.protocol.texts import parts
from tabserve.wording import shown


def features(body: Bytes, columns: Sequence[str], most: int) -> Features:
    """The texts of a request's products, in their order.

    Args:
        body: JSON, such as `{"products": [{"title": "Lembrancinha"}]}`; members that are not named here are ignored.
        columns: that the model was trained with; a product needs the first, and may have the others.
        most: products that a request may hold.

    Returns:
        As many rows as products; nothing else of the body is kept.

    Raises:
        InvalidRequest: the body is something else.
        TooLarge: it holds more products, or longer texts, or would take too much memory to read.
    """
    products = _products(document.read(body, "an object with a list of products"), columns[0])
    if len(products) > most:
        raise TooLarge(f"The request has {len(products)} products; send at most {most} at a time.")
    texts = [_text(product, f"products[{place}]", columns) for place, product in enumerate(products)]
    return Features(len(texts), parts(texts))


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


def _text(product: object, place: str, columns: Sequence[str]) -> str:
    """The text of a product, its columns joined as in training."""
    needed, *others = columns
    if not isinstance(product, dict):
        raise InvalidRequest(f"{place} is {shown(product)}; expected an object with a {needed!r}.")
    if needed not in product:
        raise InvalidRequest(f"{place} has no {needed!r}; expected a text with letters or digits.")
    text = check_text(product[needed], f"{place}.{needed}")
    if not others:
        return text
    given = (check_length(product[name], f"{place}.{name}") for name in others if product.get(name) is not None)
    return join_row([text, *filter(str.strip, given)])
