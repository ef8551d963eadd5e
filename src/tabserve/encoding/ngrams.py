"""The n-grams of a text, for training and serving alike."""

import re
import unicodedata
from itertools import pairwise

WORD, LETTER = re.compile(r"\w+"), re.compile(r"[^\W_]")

WHOLE = "="
"""Prefix of n-grams of whole words, which keeps them apart from parts of words."""

PARTS = range(2, 6)
"""Lengths of the parts of a word, with a space before and after it."""

LONGEST = 40
"""Characters of a word that parts are taken from; no language has longer words."""


KNOWN_LETTERS = 1 << 12
"""Size of the cache of letters; one language has fewer."""


class _Plain(dict[int, str]):
    """A translation table to letters without case and accents, filled at a letter's first use.

    A letter is composed (NFKC), case-folded, decomposed (NFKD), and loses its marks
    (https://www.unicode.org/reports/tr15/). Since all marks are dropped, this equals the normalisation of the whole
    text, but takes no quadratic time for many marks on one letter.
    """

    def __missing__(self, number: int) -> str:
        folded = unicodedata.normalize("NFKC", chr(number)).casefold()
        decomposed = unicodedata.normalize("NFKD", folded)
        plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
        if len(self) < KNOWN_LETTERS:
            self[number] = plain
        return plain


PLAIN = _Plain()


def normalised(text: str) -> str:
    """The text in lower case, without accents."""
    return text.lower() if text.isascii() else text.translate(PLAIN)


def says_something(text: str) -> bool:
    """Whether it has a letter or a digit."""
    return LETTER.search(text) is not None


def words(text: str) -> list[str]:
    """The normalised words: runs of letters, digits and underscores."""
    return WORD.findall(normalised(text))


def wholes(words: list[str]) -> list[str]:
    """The n-grams of whole words and of pairs of neighbours."""
    pairs = [f"{WHOLE}{word} {following}" for word, following in pairwise(words)]
    return [WHOLE + word for word in words] + pairs


def parts(word: str) -> list[str]:
    """The n-grams of a word's parts."""
    spaced = f" {word[:LONGEST]} "
    return [spaced[start : start + size] for size in PARTS for start in range(len(spaced) - size + 1)]


def word_grams(text: str) -> list[str]:
    """The n-grams of a text's whole words."""
    return wholes(words(text))


def grams(text: str) -> list[str]:
    """The n-grams of a text's whole words and of their parts."""
    text_words = words(text)
    return wholes(text_words) + [part for word in text_words for part in parts(word)]
