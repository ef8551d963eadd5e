"""Synthetic product titles of a marketplace of handmade goods, drawn from the project's own vocabulary.

No title is a real one. A seller keeps to few categories, things and themes and to one spelling, so that rows of one
seller resemble each other, and a split by row also measures how well sellers are recognised.

The noise below is chosen so that a linear model scores about as on real titles; its score is therefore no finding.
"""

import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from random import Random
from typing import NamedTuple

import pandas as pd

LONGEST = 60
"""Most characters of a title."""

SELLER_LOCATION, SELLER_SCALE = 0.09, 1.42
"""Log-normal distribution of a seller's products beyond the first: half have none, the mean is 2.5."""

STRAYING = 0.12
"""Share of products that a random seller lists, whatever else that seller sells."""

MISLISTED = 0.08
"""Share of products that are listed in the wrong category."""

VAGUE = 0.08
"""Share of titles that hardly name the product."""

HABIT = 0.65
"""Probability that a seller reuses a thing, form, theme or tag."""

REPEATED = 0.1
"""Probability that a seller reuses a whole title, even in another category."""

WORDY, TALKATIVE = 0.2, 0.2
"""Share of sellers who add words to every title, and probability that others do."""

MISTYPED = 0.03
"""Share of titles with a typo."""

MORE_TAGS = 4
"""Mean number of tags beyond the first; most tags have several words."""


class Kind(NamedTuple):
    """The share of a category and the parts of its titles."""

    share: float
    forms: Sequence[str]
    things: Mapping[str, Sequence[str]]
    words: Mapping[str, Sequence[str]]


class Vocabulary(NamedTuple):
    """The words shared by all categories, and each category's own."""

    feminine: Sequence[str]
    masculine: Sequence[str]
    vague: Sequence[str]
    additions: Sequence[str]
    numbering: Sequence[str]
    abbreviations: Mapping[str, str]
    kinds: Mapping[str, Kind]


@cache
def vocabulary() -> Vocabulary:
    """Read the vocabulary file; a category's own words override the shared ones."""
    content = tomllib.loads(files("categories").joinpath("vocabulary.toml").read_text(encoding="utf-8"))
    words, categories = content.pop("words"), content.pop("categories")
    kinds = {name: Kind(**{**kind, "words": words | kind.get("words", {})}) for name, kind in categories.items()}
    return Vocabulary(kinds=kinds, **content)


def products(rows: int, seed: int = 0) -> pd.DataFrame:
    """Draw `rows` synthetic products; deterministic for the same rows and seed.

    Returns:
        A table with the columns product_id, seller_id, title, concatenated_tags and category, in random order.
    """
    rng = Random(f"{seed} {rows}")  # noqa: S311  nothing secret is drawn
    listed = list(_listings(rng, rows))
    rng.shuffle(listed)
    table = pd.DataFrame(listed, columns=["seller_id", "title", "concatenated_tags", "category"])
    table.insert(0, "product_id", range(1, rows + 1))
    return table


def _listings(rng: Random, rows: int) -> Iterator[tuple[int, str, str, str]]:
    """Draw seller, title, tags and category of every product, seller by seller."""
    categories = _categories(rng, rows)
    ids = iter(rng.sample(range(1, 10 * rows + 1), rows))
    while categories:
        seller, seller_id = Seller(rng), next(ids)
        size = 1 + int(rng.lognormvariate(SELLER_LOCATION, SELLER_SCALE))
        for category in categories[-size:]:
            yield seller_id, *seller.listing(category), category
        del categories[-size:]


def _categories(rng: Random, rows: int) -> list[str]:
    """Draw every product's category in the real shares; neighbours share a category, except strays."""
    kinds = vocabulary().kinds
    names = [name for name, kind in kinds.items() for _ in range(round(rows * kind.share))]
    names = (names + [*kinds][:1] * rows)[:rows]
    indices = rng.sample(range(rows), int(rows * STRAYING))
    strays = [names[index] for index in indices]
    for index, name in zip(sorted(indices), strays, strict=True):
        names[index] = name
    return names


class Spelling(NamedTuple):
    """A seller's spelling."""

    case: Callable[[str], str]
    accented: bool
    abbreviated: bool
    numbered: bool

    @classmethod
    def draw(cls, rng: Random) -> "Spelling":
        """Draw a spelling."""
        case = rng.choices((_capitals, _capital, str.upper, str.lower), (48, 40, 8, 4))[0]
        return cls(case, rng.random() < 0.7, rng.random() < 0.12, rng.random() < 0.07)

    def apply(self, text: str, rng: Random) -> str:
        """Spell a text, without words repeated in a row."""
        words = text.split()
        words = [word for word, before in zip(words, ["", *words], strict=False) if word != before]
        if self.abbreviated:
            words = [vocabulary().abbreviations.get(word, word) for word in words]
        if self.numbered:
            words.append(rng.choice(vocabulary().numbering).format(rng.randrange(1, 400)))
        spelled = self.case(" ".join(words))
        return spelled if self.accented else strip_accents(spelled)


class Seller:
    """A seller, who is likely to reuse earlier words and titles."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self._spelling = Spelling.draw(rng)
        self._wordy = rng.random() < WORDY
        self._used: defaultdict[str, list[str]] = defaultdict(list)

    def reuse_or_draw(self, what: str, draw: Callable[[], str], habit: float = HABIT) -> str:
        """Reuse an earlier choice with probability `habit`, or else draw a new one."""
        used = self._used[what]
        if used and self.rng.random() < habit:
            return self.rng.choice(used)
        used.append(draw())
        return used[-1]

    def listing(self, category: str) -> tuple[str, str]:
        """Draw title and tags of a product that is listed in this category."""
        if self.rng.random() < MISLISTED:
            category = _draw_category(self.rng)
        title = self.reuse_or_draw("title", lambda: self._title(category), REPEATED)
        count = 1 + int(self.rng.expovariate(1 / MORE_TAGS))
        tags = [self.reuse_or_draw("tag", lambda: self._tag(category)) for _ in range(count)]
        return title, " ".join(dict.fromkeys(tags))

    def _title(self, category: str) -> str:
        text = self._form(category).format_map(Words(self, category))
        title = self._spelling.apply(text, self.rng)
        if self.rng.random() < MISTYPED:
            title = add_typo(title, self.rng)
        return title[:LONGEST].rstrip()

    def _form(self, category: str) -> str:
        """Draw the form of a title, whose words are still to be filled in."""
        if self.rng.random() < VAGUE:
            return self.reuse_or_draw("vague form", lambda: self.rng.choice(vocabulary().vague))
        form = self.reuse_or_draw(f"form {category}", lambda: self.rng.choice(vocabulary().kinds[category].forms))
        more = self.rng.randint(1, 3) if self._wordy else int(self.rng.random() < TALKATIVE)
        return " ".join([form, *self.rng.sample(vocabulary().additions, more)])

    def _tag(self, category: str) -> str:
        """Draw a tag, in lower case and without accents."""
        name = self.rng.choice(("thing", "thing", "theme", "theme", "occasion", "audience", "name"))
        return strip_accents(" ".join(Words(self, category)[name].split())).lower()


class Words:
    """The words of one title, drawn when its form asks for them."""

    def __init__(self, seller: Seller, category: str) -> None:
        self._seller, self._category, self._thing = seller, category, ""

    def __getitem__(self, name: str) -> str:
        """Draw a word for a field of the form."""
        kind, rng = vocabulary().kinds[self._category], self._seller.rng
        if name == "o":
            return adjective_ending(self._thing)
        if name == "thing":
            self._thing = self._seller.reuse_or_draw(f"thing {self._category}", lambda: draw_thing(kind, rng))
            return self._thing
        habit = HABIT if name == "theme" else 0
        return self._seller.reuse_or_draw(name, lambda: rng.choice(kind.words[name]), habit)


def draw_thing(kind: Kind, rng: Random) -> str:
    """Draw a thing that is sold, maybe with its variant; the first in the vocabulary is the most common."""
    head = _draw_ranked([*kind.things], rng)
    return f"{head} {_draw_ranked(kind.things[head], rng)}".rstrip()


def adjective_ending(thing: str) -> str:
    """The ending of an adjective that agrees with a thing: o, a, os or as."""
    first = thing.split(maxsplit=1)[0]
    feminine = first.rstrip("s").endswith("a") and first not in vocabulary().masculine
    gender = "a" if feminine or first in vocabulary().feminine else "o"
    return gender + "s" * first.endswith("s")


def add_typo(text: str, rng: Random) -> str:
    """Leave out a letter, double it or swap it with the next, after the first two letters."""
    if len(text) < 6:
        return text
    index = rng.randrange(2, len(text) - 2)
    before, letter, following, after = text[:index], text[index], text[index + 1], text[index + 2 :]
    typed = before + rng.choice((following, letter + letter + following, following + letter)) + after
    return " ".join(typed.split())


def strip_accents(text: str) -> str:
    """Remove the accents of a text."""
    return unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()


def _capitals(text: str) -> str:
    return " ".join(map(_capital, text.split()))


def _capital(text: str) -> str:
    """Capitalise the first letter only, so that names keep theirs."""
    return text[:1].upper() + text[1:]


def _draw_category(rng: Random) -> str:
    kinds = vocabulary().kinds
    return rng.choices([*kinds], [kind.share for kind in kinds.values()])[0]


def _draw_ranked(items: Sequence[str], rng: Random) -> str:
    """Draw an item, the first most often: ranks follow Benford's law of first digits."""
    return items[int((len(items) + 1) ** rng.random()) - 1]
