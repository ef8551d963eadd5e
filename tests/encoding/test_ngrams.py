"""Normalisation and n-grams of a text, whatever its script, case and accents."""

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.encoding.ngrams import (
    LONGEST,
    PARTS,
    WHOLE,
    grams,
    has_letter_or_digit,
    normalise,
    part_grams,
    word_grams,
    words,
)

PORTUGUESE = "áàâãéêíóôõúüçÁÀÂÃÉÊÍÓÔÕÚÜÇªº"


@pytest.mark.parametrize("letter", [*PORTUGUESE, *string.ascii_letters])
def test_every_portuguese_letter_is_normalised_to_its_plain_letter(letter: str) -> None:
    """Composed or decomposed, upper or lower case."""
    plain = normalise(letter)
    assert plain in string.ascii_lowercase
    assert len(plain) == 1
    forms = {unicodedata.normalize(form, letter) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert {normalise(form) for form in forms | {letter.upper(), letter.lower()}} == {plain}


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    """A normalised text stays as it is."""
    assert normalise(normalise(text)) == normalise(text)


MARKED = st.text(st.sampled_from("aœİßΑᾳςﬁが½\u0301\u0345\u0307\u0323\u3099\ufdfa"), max_size=20)


@given(st.text() | MARKED)
def test_normalising_letter_by_letter_equals_normalising_the_whole_text(text: str) -> None:
    """By Unicode's own steps, which take longer the more marks a letter has."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    decomposed = unicodedata.normalize("NFKD", folded)
    assert normalise(text) == "".join(letter for letter in decomposed if not unicodedata.combining(letter))


@given(st.text(st.characters(codec="ascii")))
def test_the_fast_path_for_ascii_gives_the_same_text(text: str) -> None:
    """As the general path, which a leading accented letter forces."""
    assert normalise("é" + text) == "e" + normalise(text)


@given(st.text(max_size=200))
def test_n_grams_of_whole_words_have_a_prefix_that_parts_lack(text: str) -> None:
    """The n-grams of whole words come first."""
    whole, every = word_grams(text), grams(text)
    assert every[: len(whole)] == whole
    assert all(gram.startswith(WHOLE) for gram in whole)
    assert not any(gram.startswith(WHOLE) for gram in every[len(whole) :])


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=80))
def test_the_parts_of_a_word_cover_it(word: str) -> None:
    """Each part lies in the word with a space on either side, and has a valid length."""
    parts = part_grams(word)
    spaced = f" {word[:LONGEST]} "
    assert all(part in spaced and len(part) in PARTS for part in parts)
    assert parts[0] == spaced[:2]
    assert spaced[-2:] in parts


@pytest.mark.parametrize("text", ["", " ", "\t\n", "!!! ... ***", "😀🎀", "— – •"])
def test_a_text_without_letters_and_digits_has_no_words(text: str) -> None:
    """Nor n-grams."""
    assert words(text) == grams(text) == []
    assert not has_letter_or_digit(text)


@pytest.mark.parametrize(("text", "expected"), [("_", False), ("a", True), ("- 1", True), ("ー", True), ("__é", True)])
def test_an_underscore_is_neither_a_letter_nor_a_digit(text: str, expected: bool) -> None:
    """Though regular expressions count it as a word character."""
    assert has_letter_or_digit(text) is expected


def test_word_grams_are_the_words_and_then_their_pairs() -> None:
    """In the order of the text."""
    assert word_grams("Kit  Bebê-Conforto") == ["=kit", "=bebe", "=conforto", "=kit bebe", "=bebe conforto"]
