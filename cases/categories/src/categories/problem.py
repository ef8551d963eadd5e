"""Elo7's challenge: which category does a product belong to?"""

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
"""Titles alone, as every product has one; folds keep a seller's products together, as a new one comes from anybody."""

TAGS = Column("concatenated_tags", "text", missing=True)
"""The other column of texts, which not every product has."""

OTHERS = (
    TAGS.name,
    "query",  # what a shopper typed: it does not exist for a product that is being listed
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
"""Columns of the challenge's table that are not read, unless the problem names them."""

EXTRACTED = ("orig_row", "src")
"""Columns that extracts of that table have beside them."""
