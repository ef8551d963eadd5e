"""A linear model over n-grams: its answers, and the files from which it is read."""

import io
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError
from tabserve.predictors import npz
from tabserve.predictors.linear import Linear
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Multiclass

GRAMS = ("=colar", "=caixa de", "cai", "ola")
RNG = np.random.default_rng(0)
MODEL = Linear(
    GRAMS,
    RNG.normal(size=(4, 3)).astype(np.float32),
    RNG.uniform(1, 3, 4).astype(np.float32),
    np.array([0.5, 0.0, -0.5]),
)
PROBLEM = Problem("things", (Column("title", "text"),), task=Multiclass(("colar", "caixa", "manta")))


FILE = MODEL.to_bytes()


def read(file: bytes) -> Linear:
    """The model of a file."""
    return Linear.read(Path("model.npz"), file, PROBLEM, Encoder.learn(PROBLEM, {}))


TITLES = st.lists(st.sampled_from(["colar", "caixa", "de", "CAIXÃO", "x", "cola", "?"]), max_size=6).map(" ".join)


@given(st.lists(TITLES, min_size=1, max_size=20))
def test_a_text_has_the_same_answer_alone_and_among_others(texts: list[str]) -> None:
    """To the bit."""
    together, alone = MODEL.raw(texts), [MODEL.raw([text]) for text in texts]
    assert (together == np.concatenate(alone)).all()


@given(TITLES)
def test_the_margins_are_the_weighted_mean_of_the_known_n_grams(text: str) -> None:
    """As the docstring of the class says, computed n-gram by n-gram."""
    present = {"=colar": "colar" in text.split(), "=caixa de": "caixa de" in text.replace("? ", "")}
    present |= {"cai": "cai" in text.lower(), "ola": "ola" in text}
    known = [GRAMS.index(gram) for gram, is_there in present.items() if is_there]
    length = np.sqrt(MODEL.squares[known].astype(np.float64).sum()) if known else 1.0
    expected = MODEL.weights[known].astype(np.float64).sum(axis=0) / length + MODEL.intercept
    np.testing.assert_allclose(MODEL.raw([text])[0], expected, rtol=1e-12)


def test_a_text_without_known_n_grams_gets_the_intercept() -> None:
    """Also an empty text."""
    assert (MODEL.raw(["???", ""]) == MODEL.intercept).all()


def test_a_model_is_the_same_after_saving_and_reading() -> None:
    """Its answers to the bit, and its bytes when saved again."""
    restored, texts = read(FILE), ["caixa de colar", "caixão", ""]
    assert (restored.raw(texts) == MODEL.raw(texts)).all()
    assert restored.grams == MODEL.grams
    assert restored.to_bytes() == FILE


def pack(**arrays: Any) -> bytes:  # noqa: ANN401  whatever a file may hold
    """A model file with some arrays replaced, or left out if they are None."""
    with np.load(io.BytesIO(FILE)) as file:
        whole = {**file, **arrays}
    file = io.BytesIO()
    np.savez(file, **{name: array for name, array in whole.items() if array is not None})
    return file.getvalue()


def bomb() -> bytes:
    """A small file that unpacks to a much larger one."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("grams.npy", "w") as member:
        for _ in range(3):
            member.write(bytes(2**20))
    return file.getvalue()


def with_header(header: str, packing: int = zipfile.ZIP_STORED) -> bytes:
    """The model's file with another header of its weights."""
    file, values = io.BytesIO(), bytes(48)
    with zipfile.ZipFile(io.BytesIO(FILE)) as whole, zipfile.ZipFile(file, "w", packing) as archive:
        for name in whole.namelist():
            archive.writestr(name, whole.read(name))
        with warnings.catch_warnings(action="ignore"):  # of a name that stands there twice: the last one counts
            line = f"{header}\n".encode()
            archive.writestr("weights.npy", b"\x93NUMPY\x01\0" + len(line).to_bytes(2, "little") + line + values)
    return file.getvalue()


def with_shape(shape: str, kind: str = "'<f4'") -> bytes:
    """The model's file whose weights claim this shape and type."""
    return with_header(f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}")


BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is not a model of n-grams"),
    "no zip": (lambda: b"PK\x03\x04 nothing", "is not a model of n-grams"),
    "cut short": (lambda: FILE[:-30], "is not a model of n-grams"),
    "an array missing": (lambda: pack(weights=None), "is not a model of n-grams"),
    "a pickled array": (lambda: pack(intercept=np.array([{}, 1, 2], object)), "is not a model of n-grams"),
    "weights of float64": (lambda: pack(weights=np.zeros((4, 3))), "its weights are <f8"),
    "weights of one dimension": (lambda: pack(weights=np.zeros(12, np.float32)), "of 1 dimensions"),
    "another number of classes": (lambda: pack(weights=np.zeros((4, 2), np.float32)), "4 different n-grams"),
    "fewer weights than n-grams": (lambda: pack(weights=np.zeros((3, 3), np.float32)), "4 different n-grams"),
    "an n-gram twice": (lambda: pack(grams=np.frombuffer(b"a\nb\nc\na", np.uint8)), "4 different n-grams"),
    "n-grams in no UTF-8": (lambda: pack(grams=np.frombuffer(b"\xff\n", np.uint8)), "is not a model of n-grams"),
    "a weight that is NaN": (lambda: pack(squares=np.full(4, np.nan, np.float32)), "not finite"),
    **{
        f"weights of shape {shape}": (partial(with_shape, shape), "is not a model of n-grams")
        for shape in ("(1,6", "(4L, 3L)", f"({'9' * 20}, 6)", f"(0, {'9' * 20})", f"({2**32}, {2**32})")
    },
    **{
        f"a header of {header:.9}": (partial(with_header, header), "its weights are not as numpy writes them")
        for header in ("'''", "{}", "-" * 9_000, "[" * 9_000)
    },
    "a type that is a tuple": (lambda: with_shape("(4, 3)", "('<f4',)"), "its weights are not as numpy writes them"),
    "packed by lzma": (lambda: with_header("", zipfile.ZIP_LZMA), "is packed otherwise than by deflate"),
    "a member that is no array": (lambda: FILE.replace(b"squares.npy", b"squares.txt"), "squares.npy"),
    "intercepts too far apart": (lambda: pack(intercept=np.array([1.7e308, -1.7e308, 0])), "probabilities overflow"),
    "a negative square": (lambda: pack(squares=np.full(4, -1, np.float32)), "negative"),
}


@pytest.mark.parametrize("model", BROKEN)
def test_a_file_that_is_no_model_is_refused(model: str) -> None:
    """In one sentence that names the file; nothing is unpickled."""
    make, message = BROKEN[model]
    with pytest.raises(ArtifactError) as refused:
        read(make())
    assert str(refused.value).startswith("model.npz ")
    assert message in str(refused.value)


@given(st.data())
def test_a_damaged_file_is_refused_or_read(data: st.DataObject) -> None:
    """No other exception is raised, whichever bytes are damaged."""
    model = bytearray(FILE)
    for index in data.draw(st.lists(st.integers(0, len(model) - 1), min_size=1, max_size=3)):
        model[index] = data.draw(st.integers(0, 255))
    with suppress(ArtifactError):
        read(bytes(model))


def test_weights_in_fortran_order_are_the_same_model() -> None:
    """As transposing scikit-learn's weights gives them."""
    model = read(pack(weights=np.asfortranarray(MODEL.weights)))
    assert (model.weights == MODEL.weights).all()


def test_a_file_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is unpacked."""
    monkeypatch.setattr(npz, "MAX_BYTES", 2**20)
    with pytest.raises(ArtifactError, match=r"unpacks to 3145728 bytes"):
        read(bomb())


def test_examples_are_not_texts_of_the_table() -> None:
    """They are drawn word by word from the model's n-grams; the seed decides."""
    drawn = MODEL.examples()
    assert len(drawn) == 8
    assert {word for text in drawn for word in text.split()} <= {"colar", "caixa", "de"}
    assert np.array_equal(drawn, MODEL.examples(np.array(["a text of the table"], np.object_)))
    assert not np.array_equal(drawn, MODEL.examples(seed=1))


def test_a_model_of_word_parts_alone_has_examples_of_parts() -> None:
    """As trained on a table in which no word occurs twice."""
    linear = Linear((" man", "ola"), np.eye(2, 3, dtype=np.float32), np.ones(2, np.float32), np.zeros(3))
    assert {word for text in linear.examples() for word in text.split()} == {"man", "ola"}
