"""A text in, its n-grams out: the same in training as in serving."""

import re
import unicodedata
from itertools import pairwise

WORD, LETTER = re.compile(r"\w+"), re.compile(r"[^\W_]")

WHOLE = "="
"""What stands before whole words, so that none of them is taken for a part of one."""

PARTS = range(2, 6)
"""Characters in the parts of a word; the spaces around it are among them."""

LONGEST = 40
"""Characters of a word that its parts are taken from; what is longer is no word of any language."""


KNOWN_LETTERS = 1 << 12
"""Letters whose plain form is remembered: of one language there are fewer."""


class _Plain(dict[int, str]):
    """Each letter without case, accents and the many ways in which Unicode writes the same, by its number.

    Compatibility forms as one (NFKC), then case folded, then decomposed (NFKD), and the marks dropped
    (https://www.unicode.org/reports/tr15/). Letter by letter this gives the same as of the whole text, as all marks are
    dropped in the end, and takes no more time for many marks on one letter, which Python sorts.
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
    """The text in plain letters."""
    return text.lower() if text.isascii() else text.translate(PLAIN)


def says_something(text: str) -> bool:
    """Whether it has a letter or a digit."""
    return LETTER.search(text) is not None


def words(text: str) -> list[str]:
    """Its words, normalised: runs of letters, digits and underscores."""
    return WORD.findall(normalised(text))


def wholes(found: list[str]) -> list[str]:
    """Words, and the pairs of neighbours among them, as n-grams."""
    pairs = [f"{WHOLE}{one} {other}" for one, other in pairwise(found)]
    return [WHOLE + word for word in found] + pairs


def parts(word: str) -> list[str]:
    """The parts of a word, as n-grams."""
    spaced = f" {word[:LONGEST]} "
    return [spaced[start : start + size] for size in PARTS for start in range(len(spaced) - size + 1)]


def word_grams(text: str) -> list[str]:
    """A text's n-grams of whole words."""
    return wholes(words(text))


def grams(text: str) -> list[str]:
    """A text's n-grams of whole words, and of their parts."""
    found = words(text)
    return wholes(found) + [part for word in found for part in parts(word)]
