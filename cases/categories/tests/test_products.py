"""The synthetic products are as hard as a marketplace's, and none of them is real."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.svm import LinearSVC

from categories.sample import LONGEST, adjective_ending, products, vocabulary

ROWS = 8_000


@pytest.fixture(scope="module")
def drawn() -> pd.DataFrame:
    """A table of the size that the figures in the docstrings are for."""
    return products(ROWS, seed=0)


def plain(texts: pd.Series) -> pd.Series:
    """Texts in lower case and without accents."""
    folded: pd.Series = texts.str.lower().str.normalize("NFD").str.encode("ascii", "ignore").str.decode("ascii")
    return folded


def test_the_same_rows_and_seed_give_the_same_table() -> None:
    """Another seed gives another table."""
    one, again, other = products(300, seed=3), products(300, seed=3), products(300, seed=4)
    pd.testing.assert_frame_equal(one, again)
    assert not one["title"].equals(other["title"])


@pytest.mark.parametrize("rows", [0, 1, 2, 11, 500])
def test_a_table_of_any_size_has_the_real_tables_columns(rows: int) -> None:
    """Products are numbered; all other columns are text without missing values."""
    table = products(rows)
    assert list(table) == ["product_id", "seller_id", "title", "concatenated_tags", "category"]
    assert table["product_id"].tolist() == [*range(1, rows + 1)]
    assert all(isinstance(text, str) and text.strip() for text in table.iloc[:, 2:].to_numpy().ravel())


def test_categories_have_the_real_shares(drawn: pd.DataFrame) -> None:
    """The shares are the vocabulary's within three rows, and rows are in random order."""
    kinds = vocabulary().kinds
    assert sum(kind.share for kind in kinds.values()) == pytest.approx(1)
    for table, tolerance in ((drawn, 3), (drawn.iloc[: ROWS // 2], 200)):
        counts = table["category"].value_counts()
        for name, kind in kinds.items():
            assert counts[name] == pytest.approx(kind.share * len(table), abs=tolerance)


def test_sellers_are_skewed_and_keep_mostly_to_one_category(drawn: pd.DataFrame) -> None:
    """Sellers have about 3.5 products, half have one; those with five or more have nine tenths in one category."""
    sizes = drawn.groupby("seller_id").size()
    assert 3 < sizes.mean() < 4
    assert 0.4 < (sizes == 1).mean() < 0.55
    assert sizes.max() > 30
    large = drawn[drawn["seller_id"].isin(sizes.index[sizes >= 5])]
    main = large.groupby("seller_id")["category"].agg(lambda group: group.value_counts(normalize=True).iloc[0])
    assert 0.85 < main.mean() < 0.97


def test_sellers_are_not_numbered_by_category(drawn: pd.DataFrame) -> None:
    """The mean seller id of each category is that of all, within sampling error."""
    sellers = drawn.drop_duplicates("seller_id").set_index("category")["seller_id"]
    for name in vocabulary().kinds:
        error = sellers.std() / np.sqrt(len(sellers[[name]]))
        assert abs(sellers[[name]].mean() - sellers.mean()) < 4 * error


def test_titles_are_as_long_as_real_ones(drawn: pd.DataFrame) -> None:
    """Titles have 3 to 60 letters, the median is about 30, and words are separated by single spaces."""
    lengths = drawn["title"].str.len()
    assert lengths.min() >= 3
    assert lengths.max() == LONGEST
    assert 27 < lengths.median() < 34
    assert (drawn["title"] == drawn["title"].str.split().str.join(" ")).all()


def test_titles_are_spelled_in_many_ways(drawn: pd.DataFrame) -> None:
    """Some titles are in capitals, lower case, without accents, abbreviated or numbered; a seller keeps to one case."""
    titles = drawn["title"]
    assert 0.04 < titles.str.isupper().mean() < 0.15
    assert 0.02 < titles.str.islower().mean() < 0.10
    assert 0.25 < titles.map(lambda title: not title.isascii()).mean() < 0.5
    assert 0.1 < titles.str.contains(r"\d").mean() < 0.3
    assert titles.str.contains(r"\b(?:c/|p/|cx|pers\.|un)", case=False).mean() > 0.02
    shouting = drawn.assign(upper=titles.str.isupper()).groupby("seller_id")["upper"].mean()
    assert ((shouting < 0.2) | (shouting > 0.8)).mean() > 0.98


def test_some_titles_repeat_and_a_few_contradict(drawn: pd.DataFrame) -> None:
    """About a tenth of the titles repeat; at most 3 % of them stand in several categories."""
    repeated = drawn["title"].duplicated().mean()
    contradicting = drawn.groupby("title")["category"].agg(lambda group: len(set(group)) > 1).mean()
    assert 0.05 < repeated < 0.2
    assert 0.003 < contradicting < 0.03


def test_tags_are_a_few_plain_words(drawn: pd.DataFrame) -> None:
    """Tags are in lower case without accents, four or five on average."""
    tags = drawn["concatenated_tags"]
    assert plain(tags).equals(tags)
    assert 3.5 < (tags.str.count(" ") + 1).mean() < 6.5


# Difficulty of the task.


def words_of(table: pd.DataFrame) -> pd.Series:
    """The distinct words of each title, in lower case and without accents."""
    return plain(table["title"]).str.findall(r"[a-z]+").map(lambda words: sorted(set(words)))


def test_common_words_occur_in_several_categories(drawn: pd.DataFrame) -> None:
    """At least half of the fifty most common words are frequent in three categories."""
    by_category = [Counter(words_of(part).explode()) for _, part in drawn.groupby("category")]
    common = [word for word, _ in Counter(words_of(drawn).explode()).most_common(50)]
    spread = [sum(counts[word] >= 10 for counts in by_category) for word in common]
    assert np.mean(np.array(spread) >= 3) > 0.5
    assert {"kit", "caixa", "bebe", "almofada", "porta"} <= set(common)


def test_many_things_are_sold_in_several_categories() -> None:
    """Each category sells some things that others sell too, and some of its own."""
    kinds = vocabulary().kinds
    sold = Counter(head for kind in kinds.values() for head in kind.things)
    assert sum(count > 1 for count in sold.values()) > 30
    for kind in kinds.values():
        shared = [head for head in kind.things if sold[head] > 1]
        assert 0.15 < len(shared) / len(kind.things) < 0.85


def model() -> Pipeline:
    """A linear support vector machine over words and character n-grams."""
    words = TfidfVectorizer(ngram_range=(1, 2), strip_accents="unicode", sublinear_tf=True)
    parts = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), min_df=2, strip_accents="unicode", sublinear_tf=True
    )
    return make_pipeline(make_union(words, parts), LinearSVC(C=0.5))


@pytest.fixture(scope="module")
def predictions(drawn: pd.DataFrame) -> dict[str, pd.Series]:
    """Out-of-fold predictions of that model, by folds of sellers and by random folds."""
    splits = {
        "seller": GroupKFold(3).split(drawn, groups=drawn["seller_id"]),
        "row": KFold(3, shuffle=True, random_state=0).split(drawn),
    }
    return {
        name: cross_val_predict(model(), drawn["title"], drawn["category"], cv=list(split))
        for name, split in splits.items()
    }


def test_a_linear_model_does_as_well_as_on_real_titles(drawn: pd.DataFrame, predictions: dict[str, pd.Series]) -> None:
    """Accuracy on unseen sellers is as on real titles, and macro F1 is a little lower."""
    accuracy = accuracy_score(drawn["category"], predictions["seller"])
    macro_f1 = f1_score(drawn["category"], predictions["seller"], average="macro")
    assert 0.80 < accuracy < 0.88
    assert 0.02 < accuracy - macro_f1 < 0.09


def test_the_first_word_alone_does_not_solve_the_task(drawn: pd.DataFrame, predictions: dict[str, pd.Series]) -> None:
    """The most common category of a first word beats the largest category, and is far from the model."""
    known = drawn["seller_id"] % 2 == 0
    first = plain(drawn["title"]).str.split().str[0]
    most_common = drawn[known].groupby(first[known])["category"].agg(lambda group: group.mode().iloc[0])
    category, predicted = drawn["category"][~known], first[~known].map(most_common).fillna("Lembrancinhas")
    by_model = accuracy_score(drawn["category"], predictions["seller"])
    assert accuracy_score(category, ["Lembrancinhas"] * len(category)) + 0.1 < accuracy_score(category, predicted)
    assert accuracy_score(category, predicted) < by_model - 0.05


def test_a_split_by_row_gives_a_higher_accuracy(drawn: pd.DataFrame, predictions: dict[str, pd.Series]) -> None:
    """By row, the model has seen the sellers before."""
    by_row, by_seller = (accuracy_score(drawn["category"], predictions[name]) for name in ("row", "seller"))
    assert by_row > by_seller + 0.005


# Forms and words.


@pytest.mark.parametrize("name", [*vocabulary().kinds])
def test_every_form_can_be_filled_in(name: str) -> None:
    """Its fields are words of the category; words that may stand alone have at least three letters."""
    kind = vocabulary().kinds[name]
    fields = dict.fromkeys(("thing", "o", *kind.words), "word")
    for form in (*kind.forms, *vocabulary().vague, *vocabulary().additions):
        assert form.format_map(fields)
    assert min(map(len, (*kind.things, *kind.words["theme"], *kind.words["occasion"]))) >= 3


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        ("caneca mágica", "a"),
        ("copo", "o"),
        ("alianças", "as"),
        ("porta retrato", "o"),
        ("tag", "a"),
        ("brincos", "os"),
    ],
)
def test_an_adjective_agrees_with_its_thing(thing: str, expected: str) -> None:
    """The first word of the thing decides gender and number."""
    assert adjective_ending(thing) == expected


def test_hardly_any_title_is_a_real_one(shared: Path, drawn: pd.DataFrame) -> None:
    """Fewer than one title in a hundred equals a real one, ignoring case."""
    real = set(pd.read_csv(shared / "data/elo7/elo7_products_29801.csv")["title"].str.lower())
    titles = set(drawn["title"].str.lower())
    assert len(titles & real) < 0.01 * len(titles)
