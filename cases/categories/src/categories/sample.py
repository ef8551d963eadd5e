"""Synthetic product titles of a marketplace of handmade goods, made of a vocabulary of the project's own.

No title belongs to anybody. A seller keeps to few categories, things and themes and to one way of spelling, so that
rows of one seller resemble each other: a split by row also measures how well sellers are recognised.

The noise below is set so that a linear model does about as well as on real titles; that it does is no finding.
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
"""Letters that a title has room for."""

SELLER_LOCATION, SELLER_SCALE = 0.09, 1.42
"""Log-normal: how many products a seller has beside the first; half have none, the mean is 2.5."""

STRAYING = 0.12
"""Share of products that are listed by any seller, whatever else that one sells."""

MISLISTED = 0.08
"""Share of products that are listed in another category than their own."""

VAGUE = 0.08
"""Share of titles that hardly say what is sold."""

HABIT = 0.65
"""How often a seller takes a thing, a form, a theme or a tag again."""

REPEATED = 0.1
"""How often a seller takes a whole title again, be it in another category."""

WORDY, TALKATIVE = 0.2, 0.2
"""Share of sellers who add to every title, and how often the others do."""

MISTYPED = 0.03
"""Share of titles with a typing mistake."""

MORE_TAGS = 4
"""Mean number of tags beside the first; most have several words."""


class Kind(NamedTuple):
    """What titles of one category are made of."""

    share: float
    forms: Sequence[str]
    things: Mapping[str, Sequence[str]]
    words: Mapping[str, Sequence[str]]


class Vocabulary(NamedTuple):
    """What all categories share, and each category's own."""

    feminine: Sequence[str]
    masculine: Sequence[str]
    vague: Sequence[str]
    additions: Sequence[str]
    numbering: Sequence[str]
    abbreviations: Mapping[str, str]
    kinds: Mapping[str, Kind]


@cache
def vocabulary() -> Vocabulary:
    """The vocabulary file's content; a category's own words stand before those of all."""
    content = tomllib.loads(files("categories").joinpath("vocabulary.toml").read_text(encoding="utf-8"))
    words, categories = content.pop("words"), content.pop("categories")
    kinds = {name: Kind(**{**kind, "words": words | kind.get("words", {})}) for name, kind in categories.items()}
    return Vocabulary(kinds=kinds, **content)


def products(rows: int, seed: int = 0) -> pd.DataFrame:
    """Draw `rows` synthetic products; the same rows and seed give the same table.

    Returns:
        A table with the columns product_id, seller_id, title, concatenated_tags and category, in no order.
    """
    rng = Random(f"{seed} {rows}")  # noqa: S311  nothing secret is drawn
    listed = list(_listings(rng, rows))
    rng.shuffle(listed)
    table = pd.DataFrame(listed, columns=["seller_id", "title", "concatenated_tags", "category"])
    table.insert(0, "product_id", range(1, rows + 1))
    return table


def _listings(rng: Random, rows: int) -> Iterator[tuple[int, str, str, str]]:
    """Seller, title, tags and category of every product, one seller after the other."""
    categories = _categories(rng, rows)
    ids = iter(rng.sample(range(1, 10 * rows + 1), rows))
    while categories:
        seller, seller_id = Seller(rng), next(ids)
        size = 1 + int(rng.lognormvariate(SELLER_LOCATION, SELLER_SCALE))
        for category in categories[-size:]:
            yield seller_id, *seller.listing(category), category
        del categories[-size:]


def _categories(rng: Random, rows: int) -> list[str]:
    """Every product's category, in the real shares; neighbours share theirs, but for those that stray."""
    kinds = vocabulary().kinds
    names = [name for name, kind in kinds.items() for _ in range(round(rows * kind.share))]
    names = (names + [*kinds][:1] * rows)[:rows]
    places = rng.sample(range(rows), int(rows * STRAYING))
    strays = [names[place] for place in places]
    for place, name in zip(sorted(places), strays, strict=True):
        names[place] = name
    return names


class Spelling(NamedTuple):
    """How a seller writes."""

    case: Callable[[str], str]
    accented: bool
    abbreviated: bool
    numbered: bool

    @classmethod
    def drawn(cls, rng: Random) -> "Spelling":
        """Some seller's way of writing."""
        case = rng.choices((_capitals, _capital, str.upper, str.lower), (48, 40, 8, 4))[0]
        return cls(case, rng.random() < 0.7, rng.random() < 0.12, rng.random() < 0.07)

    def of(self, text: str, rng: Random) -> str:
        """A text as this seller writes it, without words said twice in a row."""
        words = text.split()
        words = [word for word, before in zip(words, ["", *words], strict=False) if word != before]
        if self.abbreviated:
            words = [vocabulary().abbreviations.get(word, word) for word in words]
        if self.numbered:
            words.append(rng.choice(vocabulary().numbering).format(rng.randrange(1, 400)))
        written = self.case(" ".join(words))
        return written if self.accented else unaccented(written)


class Seller:
    """Whoever lists products; what was taken once is likely to be taken again."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self._spelling = Spelling.drawn(rng)
        self._wordy = rng.random() < WORDY
        self._taken: defaultdict[str, list[str]] = defaultdict(list)

    def usual(self, what: str, fresh: Callable[[], str], habit: float = HABIT) -> str:
        """Something that was taken before, or else something fresh."""
        taken = self._taken[what]
        if taken and self.rng.random() < habit:
            return self.rng.choice(taken)
        taken.append(fresh())
        return taken[-1]

    def listing(self, category: str) -> tuple[str, str]:
        """Title and tags of a product that is listed in this category."""
        if self.rng.random() < MISLISTED:
            category = _any_category(self.rng)
        title = self.usual("title", lambda: self._title(category), REPEATED)
        count = 1 + int(self.rng.expovariate(1 / MORE_TAGS))
        tags = [self.usual("tag", lambda: self._tag(category)) for _ in range(count)]
        return title, " ".join(dict.fromkeys(tags))

    def _title(self, category: str) -> str:
        text = self._form(category).format_map(Words(self, category))
        written = self._spelling.of(text, self.rng)
        if self.rng.random() < MISTYPED:
            written = mistyped(written, self.rng)
        return written[:LONGEST].rstrip()

    def _form(self, category: str) -> str:
        """A title to be filled in."""
        if self.rng.random() < VAGUE:
            return self.usual("vague form", lambda: self.rng.choice(vocabulary().vague))
        form = self.usual(f"form {category}", lambda: self.rng.choice(vocabulary().kinds[category].forms))
        more = self.rng.randint(1, 3) if self._wordy else int(self.rng.random() < TALKATIVE)
        return " ".join([form, *self.rng.sample(vocabulary().additions, more)])

    def _tag(self, category: str) -> str:
        """Something that shoppers may search for, in lower case and without accents."""
        name = self.rng.choice(("thing", "thing", "theme", "theme", "occasion", "audience", "name"))
        return unaccented(" ".join(Words(self, category)[name].split())).lower()


class Words:
    """The words of one title, drawn as its form asks for them."""

    def __init__(self, seller: Seller, category: str) -> None:
        self._seller, self._category, self._thing = seller, category, ""

    def __getitem__(self, name: str) -> str:
        """A word for this place of a form."""
        kind, rng = vocabulary().kinds[self._category], self._seller.rng
        if name == "o":
            return ending(self._thing)
        if name == "thing":
            self._thing = self._seller.usual(f"thing {self._category}", lambda: thing(kind, rng))
            return self._thing
        habit = HABIT if name == "theme" else 0
        return self._seller.usual(name, lambda: rng.choice(kind.words[name]), habit)


def thing(kind: Kind, rng: Random) -> str:
    """Something that is sold, and maybe which; what stands first in the vocabulary is the most common."""
    head = _ranked([*kind.things], rng)
    return f"{head} {_ranked(kind.things[head], rng)}".rstrip()


def ending(thing: str) -> str:
    """The last letters of an adjective that agrees with a thing: o, a, os or as."""
    first = thing.split(maxsplit=1)[0]
    feminine = first.rstrip("s").endswith("a") and first not in vocabulary().masculine
    gender = "a" if feminine or first in vocabulary().feminine else "o"
    return gender + "s" * first.endswith("s")


def mistyped(text: str, rng: Random) -> str:
    """One letter left out, doubled or swapped with the next, behind the first two."""
    if len(text) < 6:
        return text
    at = rng.randrange(2, len(text) - 2)
    before, letter, following, after = text[:at], text[at], text[at + 1], text[at + 2 :]
    typed = before + rng.choice((following, letter + letter + following, following + letter)) + after
    return " ".join(typed.split())


def unaccented(text: str) -> str:
    """The same letters without accents."""
    return unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()


def _capitals(text: str) -> str:
    return " ".join(map(_capital, text.split()))


def _capital(text: str) -> str:
    """The first letter alone: a name further on keeps its own."""
    return text[:1].upper() + text[1:]


def _any_category(rng: Random) -> str:
    kinds = vocabulary().kinds
    return rng.choices([*kinds], [kind.share for kind in kinds.values()])[0]


def _ranked(items: Sequence[str], rng: Random) -> str:
    """One of them, the first the most often: ranks are distributed as Benford's first digits."""
    return items[int((len(items) + 1) ** rng.random()) - 1]
