"""The forms that a cell's text can have, such as a whole number or an ISO date."""

from enum import Enum


class Form(Enum):
    """What a cell looks like; the value says it in words, for many cells."""

    WHOLE = "whole numbers"
    DECIMAL = "numbers"
    BOOLEAN = "true or false"
    DATE = "dates"
    TIME = "dates with a time"
    FOREIGN_DATE = "dates in another format than 2020-12-31"
    GROUPED = "numbers with thousands separators or signs such as % and $"
    MARK = "marks such as ? and -"
    NONE = "words such as NA and None"
    TEXT = "texts"
