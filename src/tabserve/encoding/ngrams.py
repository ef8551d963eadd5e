"""Make the n-grams of a text, the same in training and in serving."""

import re
import unicodedata
from itertools import pairwise

WORD, LETTER = re.compile(r"\w+"), re.compile(r"[^\W_]")

WHOLE = "="
"""Prefix of n-grams of whole words, which parts of words never have."""

PARTS = range(2, 6)
"""Lengths of the parts of a word, including the space before and after the word."""

LONGEST = 40
"""Characters of a word of which parts are made; hardly a word is longer."""

KNOWN_LETTERS = 1 << 12
"""Most letters in the cache; a language has fewer."""


class _PlainLetters(dict[int, str]):
    """A table for `str.translate` from letters to lower-case letters without accents; filled at their first use.

    A letter is composed (NFKC), case-folded, decomposed (NFKD), and loses its marks
    (https://www.unicode.org/reports/tr15/). As all marks are dropped, the result equals that of the whole text, without
    the quadratic time of many marks on one letter.
    """

    def __missing__(self, number: int) -> str:
        folded = unicodedata.normalize("NFKC", chr(number)).casefold()
        decomposed = unicodedata.normalize("NFKD", folded)
        plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
        if len(self) < KNOWN_LETTERS:
            self[number] = plain
        return plain


PLAIN = _PlainLetters()


def normalise(text: str) -> str:
    """The text in lower case, without accents."""
    return text.lower() if text.isascii() else text.translate(PLAIN)


def has_letter_or_digit(text: str) -> bool:
    """Whether the text has a letter or a digit; an underscore is neither."""
    return LETTER.search(text) is not None


def words(text: str) -> list[str]:
    """The words of the normalised text: runs of letters, digits and underscores."""
    return WORD.findall(normalise(text))


def word_and_pair_grams(words: list[str]) -> list[str]:
    """The n-grams of whole words and of pairs of neighbouring words."""
    pairs = [f"{WHOLE}{word} {following}" for word, following in pairwise(words)]
    return [WHOLE + word for word in words] + pairs


def part_grams(word: str) -> list[str]:
    """The n-grams of the parts of a word."""
    spaced = f" {word[:LONGEST]} "
    return [spaced[start : start + size] for size in PARTS for start in range(len(spaced) - size + 1)]


def word_grams(text: str) -> list[str]:
    """The n-grams of the whole words of a text."""
    return word_and_pair_grams(words(text))


def grams(text: str) -> list[str]:
    """The n-grams of the whole words of a text, and of their parts."""
    text_words = words(text)
    return word_and_pair_grams(text_words) + [part for word in text_words for part in part_grams(word)]
