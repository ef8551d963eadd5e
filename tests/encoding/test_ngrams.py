"""A text and its n-grams, whatever the script, the case and the accents."""

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
def test_every_letter_of_portuguese_is_read_without_accent_and_case(letter: str) -> None:
    """Composed and decomposed alike, as one letter of the plain alphabet."""
    plain = normalise(letter)
    assert plain in string.ascii_lowercase
    assert len(plain) == 1
    forms = {unicodedata.normalize(form, letter) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert {normalise(form) for form in forms | {letter.upper(), letter.lower()}} == {plain}


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    """What is normalised stays as it is, so that it matters to nobody how often that was done."""
    assert normalise(normalise(text)) == normalise(text)


MARKED = st.text(st.sampled_from("aœİßΑᾳςﬁが½\u0301\u0345\u0307\u0323\u3099\ufdfa"), max_size=20)


@given(st.text() | MARKED)
def test_letter_by_letter_is_as_the_whole_text(text: str) -> None:
    """As Unicode's own steps over all of it, which take longer the more marks one letter has."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    decomposed = unicodedata.normalize("NFKD", folded)
    assert normalise(text) == "".join(letter for letter in decomposed if not unicodedata.combining(letter))


@given(st.text(st.characters(codec="ascii")))
def test_the_short_way_for_plain_letters_says_the_same(text: str) -> None:
    """As the long way, with letters in front that force it."""
    assert normalise("é" + text) == "e" + normalise(text)


@given(st.text(max_size=200))
def test_whole_words_are_told_from_parts(text: str) -> None:
    """By the sign before them, which no word holds."""
    whole, every = word_grams(text), grams(text)
    assert every[: len(whole)] == whole
    assert all(gram.startswith(WHOLE) for gram in whole)
    assert not any(gram.startswith(WHOLE) for gram in every[len(whole) :])


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=80))
def test_parts_cover_a_word_and_no_more(word: str) -> None:
    """Each lies in the word with a space on either side, and is as long as parts are."""
    found = part_grams(word)
    spaced = f" {word[:LONGEST]} "
    assert all(part in spaced and len(part) in PARTS for part in found)
    assert found[0] == spaced[:2]
    assert spaced[-2:] in found


@pytest.mark.parametrize("text", ["", " ", "\t\n", "!!! ... ***", "😀🎀", "— – •"])
def test_a_text_without_letters_and_digits_has_no_words(text: str) -> None:
    """Nor any n-gram."""
    assert words(text) == grams(text) == []
    assert not has_letter_or_digit(text)


@pytest.mark.parametrize(("text", "expected"), [("_", False), ("a", True), ("- 1", True), ("ー", True), ("__é", True)])
def test_a_letter_or_a_digit_says_something(text: str, expected: bool) -> None:
    """An underscore, which is a letter to regular expressions, does not."""
    assert has_letter_or_digit(text) is expected


def test_words_and_their_pairs() -> None:
    """In their order."""
    assert word_grams("Kit  Bebê-Conforto") == ["=kit", "=bebe", "=conforto", "=kit bebe", "=bebe conforto"]
