"""Elo7's challenge as a problem: predict a product's category from its title."""

from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Multiclass

PROBLEM = Problem(
    name="categories",
    columns=(Column("title", "text"),),
    target="category",
    task=Multiclass(("Lembrancinhas", "Decoração", "Bebê", "Papel e Cia", "Outros", "Bijuterias e Jóias")),
    id="product_id",
    group="seller_id",
)
"""Titles alone, as every product has one. Folds keep a seller's products together: a product may have a new seller."""

TAGS = Column("concatenated_tags", "text", missing=True)
"""The other text column, which may be missing."""

OTHERS = (
    TAGS.name,
    "query",  # a shopper's search, which does not exist for a new product
    "search_page",
    "position",
    "creation_date",
    "price",
    "weight",
    "express_delivery",
    "minimum_quantity",
    "view_counts",
    "order_counts",
)
"""Columns of the challenge's table that are read only if the problem names them."""

EXTRACTED = ("orig_row", "src")
"""Additional columns of extracts of that table."""
