"""Different texts are counted exactly while they are few, and estimated in constant memory above."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.plan.sketch import SIZE, Sketch, hash_texts
from tabserve.plan.tally import KEPT, MAX_COUNTED, Tally


def tally_of(*batches: list[str]) -> Tally:
    """The tally of the texts of some batches."""
    tally = Tally()
    for batch in batches:
        counts = Counter(batch)
        tally.add(pa.array([*counts], pa.string()), np.array([*counts.values()], np.int64))
    return tally


@given(st.lists(st.lists(st.text(max_size=3))))
def test_few_texts_are_counted_exactly(batches: list[list[str]]) -> None:
    """However they are cut into batches."""
    tally, counts = tally_of(*batches), Counter(text for batch in batches for text in batch)
    assert dict(tally.levels) == counts
    assert tally.distinct == len(counts)
    assert tally.repeats == any(count > 1 for count in counts.values())


def test_many_texts_are_estimated() -> None:
    """To a few per cent, without a repeat if there is none, and the frequent ones are still counted exactly."""
    texts = [f"text {number}" for number in range(8 * MAX_COUNTED)]
    batches = [[*texts[start : start + 5_000], "often", "often"] for start in range(0, len(texts), 5_000)]
    tally = tally_of(*batches)
    assert tally.distinct == pytest.approx(len(texts), rel=0.06)
    assert tally.levels[0] == ("often", 2 * len(batches))
    assert len(tally.levels) == KEPT
    assert not tally_of(texts).repeats


def test_a_repeat_among_many_texts_is_seen_in_the_sample() -> None:
    """If one text in a hundred occurs twice, the sample shows one."""
    texts = [f"text {number}" for number in range(3 * MAX_COUNTED)]
    tally = tally_of(texts[:20_000], [*texts[20_000:], *texts[15_000:15_300]])
    assert tally.repeats


@given(st.lists(st.text(), unique=True))
def test_different_texts_have_different_hashes(texts: list[str]) -> None:
    """Also empty texts, texts of zeros and texts of several bytes per character; a slice hashes as the whole does."""
    hashes = hash_texts(pa.array(texts, pa.string()))
    assert len({*hashes.tolist()}) == len(texts)
    assert hash_texts(pa.array(texts, pa.string())[1:]).tolist() == hashes[1:].tolist()


def test_a_small_sketch_is_exact() -> None:
    """As long as it keeps every hash."""
    texts = pa.array([str(number) for number in range(SIZE - 1)])
    sketch = Sketch.empty().add(texts, np.ones(len(texts), np.int64)).add(texts[:9], np.ones(9, np.int64))
    assert (sketch.distinct, sketch.repeats) == (SIZE - 1, True)
