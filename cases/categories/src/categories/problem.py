"""Elo7's challenge: which category does a product belong to?"""

from tabserve.problem.problem import Problem

PROBLEM = Problem(
    name="categories",
    features=("title",),
    target="category",
    id="product_id",
    group="seller_id",
    labels=("Lembrancinhas", "Decoração", "Bebê", "Papel e Cia", "Outros", "Bijuterias e Jóias"),
)
"""Titles alone, as every product has one; folds keep a seller's products together, as a new one comes from anybody."""

TAGS = "concatenated_tags"
"""The other column of texts, which not every product has."""

OTHERS = (
    TAGS,
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
