"""A model folder travels as one file, and no file of a stranger runs code, leaves its folder or fills the memory."""

import io
import os
import pickle
import pickletools
import shutil
import stat
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model.small import content, same_answers, save_small, words

from tabserve.errors import ArtifactError
from tabserve.model import archive, pickled
from tabserve.model.archive import to_pickle, to_zip, unpack
from tabserve.model.model import MANIFEST, REPORT, load

PACK: dict[str, Callable[[Path], bytes]] = {"zip": to_zip, "pkl": to_pickle}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model of three words, with a report."""
    folder = tmp_path_factory.mktemp("small") / "model"
    save_small(folder, words())
    (folder / REPORT).write_text("<p>ok</p>")
    return folder


def refusal(data: bytes, into: Path) -> str:
    """The sentence in which unpacking fails; nothing is left behind."""
    before = {*into.parent.iterdir()}
    with pytest.raises(ArtifactError) as error:
        unpack(data, into)
    assert {*into.parent.iterdir()} == before
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip with these members."""
    with zipfile.ZipFile(data := io.BytesIO(), "w", compression) as opened:
        for name, file in members:
            opened.writestr(name, file)
    return data.getvalue()


@pytest.mark.parametrize("form", PACK)
def test_a_folder_returns_byte_for_byte(either: Path, tmp_path: Path, form: str) -> None:
    """Of every kind of predictor; the new folder loads, answers alike, and packs to the same bytes."""
    data = PACK[form](either)
    unpack(data, tmp_path / "copy")
    assert content(tmp_path / "copy") == content(either)
    assert same_answers(load(tmp_path / "copy"), load(either))
    assert PACK[form](tmp_path / "copy") == data


@pytest.mark.parametrize("form", PACK)
def test_only_the_files_of_a_model_are_packed(small: Path, tmp_path: Path, form: str) -> None:
    """The report travels too; a stranger's file does not."""
    unpack(to_zip(small), tmp_path / "model")
    (tmp_path / "model" / "notes.txt").write_text("secret")
    assert PACK[form](tmp_path / "model") == PACK[form](small)


@pytest.mark.parametrize("form", PACK)
def test_a_folder_without_a_manifest_is_not_packed(tmp_path: Path, form: str) -> None:
    """The sentence names the missing file."""
    with pytest.raises(ArtifactError, match=f"{MANIFEST} cannot be read"):
        PACK[form](tmp_path)


def test_a_pickle_is_a_dictionary_of_plain_values(small: Path) -> None:
    """Anyone's `pickle.loads` reads it, and it asks for no class."""
    document = pickle.loads(to_pickle(small))
    assert document["files"] == content(small)
    assert {opcode.name for opcode, _, _ in pickletools.genops(to_pickle(small))} <= pickled.PLAIN


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_dictionary_that_was_pickled_again_is_read(small: Path, tmp_path: Path, protocol: int) -> None:
    """By every protocol that has bytes."""
    again = pickle.dumps(pickle.loads(to_pickle(small)), protocol)
    unpack(again, tmp_path / "copy")
    assert content(tmp_path / "copy") == content(small)


@pytest.mark.parametrize("base", [None, "model"])
def test_a_zip_may_have_the_folder_around_its_files(small: Path, tmp_path: Path, base: str | None) -> None:
    """As `shutil.make_archive` and `zip -r` make it."""
    root = small.parent if base else small
    made = shutil.make_archive(str(tmp_path / "model"), "zip", root, base)
    unpack(Path(made).read_bytes(), tmp_path / "copy")
    assert content(tmp_path / "copy") == content(small)


class Running:
    """A pickled instance creates a file when it is opened."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._marker),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: ("a", 2, {"a": [it]}), lambda it: [1.5, {2: "b"}, it]])
def test_a_pickle_that_runs_code_is_refused_by_the_function_it_asks_for(
    tmp_path: Path, protocol: int, wrap: Callable[[object], object]
) -> None:
    """However deep it lies; nothing runs, though `pickle.loads` does run it."""
    marker = tmp_path / "it ran"
    hostile = pickle.dumps(wrap(Running(marker)), protocol)
    assert refusal(hostile, tmp_path / "out").startswith("The .pkl asks for 'posix.mkdir', and to open it could run ")
    assert not marker.exists()
    pickle.loads(hostile)
    assert marker.exists()


@pytest.mark.parametrize(
    ("hostile", "asked"),
    [
        (b"cos\nsystem\n(S'touch ran'\ntR.", "os.system"),
        (b"(S'touch ran'\nios\nsystem\n.", "os.system"),
        (b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93.", "os.system"),
        (pickle.dumps(OrderedDict(a=1)), "collections.OrderedDict"),
        (pickle.dumps(np.arange(3)), "numpy._core."),
    ],
)
def test_any_other_pickle_is_refused_by_the_class_it_asks_for(tmp_path: Path, hostile: bytes, asked: str) -> None:
    """Handmade ones, too."""
    assert refusal(hostile, tmp_path / "out").startswith(f"The .pkl asks for '{asked}")


def test_the_document_shows_that_refusal(tmp_path: Path) -> None:
    """In the words of the message."""
    document = (Path(__file__).parents[2] / "docs/loading.md").read_text()
    assert refusal(b"cos\nsystem\n(S'ls'\ntR.", tmp_path / "out").partition(";")[0] in document


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "holds something other than a model folder"),
        ({}, "holds something other than a model folder"),
        ({"a": 1.5}, "holds something other than a model folder"),
        ({"format": pickled.FORMAT, "version": 2}, "has version 2, expected 1"),
        ({"format": pickled.FORMAT, "version": 1}, "has no dictionary of files as bytes"),
        ({"format": pickled.FORMAT, "version": 1, "files": {"a": "b"}}, "has no dictionary of files as bytes"),
        ({"format": pickled.FORMAT, "version": 1, "files": {"a": b"b"}}, "do not have their checksums"),
    ],
)
def test_a_pickle_of_other_plain_values_is_refused(tmp_path: Path, document: object, sentence: str) -> None:
    """The sentence says what is wrong."""
    assert sentence in refusal(pickle.dumps(document), tmp_path / "out")


@pytest.mark.parametrize("name", ["../manifest.json", "/etc/passwd", "a/b", "", "notes.txt", 7])
def test_a_pickle_with_files_of_no_model_is_refused(small: Path, tmp_path: Path, name: Any) -> None:  # noqa: ANN401
    """Also those that would leave the folder."""
    data = pickled.dumps(content(small) | {name: b"x"})
    assert "which no model folder holds" in refusal(data, tmp_path / "out")


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",  # bytes of 2**63 - 1
        b"\x80\x04}r\xff\xff\xff\x7f.",  # a memo of 2**31 entries
        b"\x80\x04" + b"}" * 200_000 + b".",
        b"\x80\x04.",
        b"\x80\x04}h\x07.",
        b"\x80\x04NNNs.",
        b"\x80\x04\x8c\x01a\x8c\x01b\x8c\x01cs.",
        b"\x80\x04(}.",
        b"\x80\x04\x95" + b"\xff" * 8 + b"}.",  # a frame of 2**64 - 1 bytes
        b"\x80\x63}.",
    ],
)
def test_a_pickle_that_asks_for_memory_or_nonsense_is_refused(tmp_path: Path, hostile: bytes) -> None:
    """Before it gets the memory."""
    refusal(hostile, tmp_path / "out")


def special(name: str, kind: int) -> zipfile.ZipInfo:
    """A member that is no regular file."""
    member = zipfile.ZipInfo(name)
    member.external_attr = (kind | 0o777) << 16
    return member


GOOD = (MANIFEST, b"{}")

ZIPS: dict[str, tuple[bytes, str]] = {
    "parent": (zipped(GOOD, ("../manifest.json", b"x")), "the member '../manifest.json'"),
    "only parent": (zipped(("../manifest.json", b"x")), "the member '../manifest.json'"),
    "absolute": (zipped(("/etc/passwd", b"x")), "the member '/etc/passwd'"),
    "windows": (zipped(("..\\manifest.json", b"x")), "the member '..\\\\manifest.json'"),
    "deep": (zipped(("a/../../manifest.json", b"x")), "the member 'a/../../manifest.json'"),
    "two folders": (zipped(("a/manifest.json", b"x"), ("b/golden.json", b"x")), "the member 'b/golden.json'"),
    "foreign": (zipped(GOOD, ("run.py", b"x")), "the member 'run.py'"),
    "folder": (zipped(("manifest.json/", b"")), "holds no manifest.json"),
    "no manifest": (zipped(("golden.json", b"{}")), "holds no manifest.json"),
    "link": (zipped((special(MANIFEST, stat.S_IFLNK), b"/etc/passwd")), "'manifest.json' is a link"),
    "device": (zipped((special(MANIFEST, stat.S_IFCHR), b"")), "'manifest.json' is a link or a special file"),
    "link to a folder": (zipped((special("model/", stat.S_IFLNK), b"/etc")), "'model/' is a link"),
    "lzma": (zipped(GOOD, compression=zipfile.ZIP_LZMA), "is not compressed by deflate"),
    "many": (zipped(*((f"{index}", b"") for index in range(40))), "has 40 members, at most 32"),
    "bomb": (zipped((MANIFEST, bytes(50_000_000))), "would become 50000000, at most "),
    "empty": (zipped(), "neither a zip nor a whole .pkl"),
}


@pytest.mark.parametrize("case", ZIPS)
def test_a_hostile_zip_is_refused(tmp_path: Path, case: str) -> None:
    """Its sentence names the member or the size; nothing is written anywhere."""
    data, words_of_it = ZIPS[case]
    assert words_of_it in refusal(data, tmp_path / "out")


def test_a_member_that_comes_twice_is_refused(tmp_path: Path) -> None:
    """Two readers might take another one each."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped(GOOD, GOOD)
    assert "each once" in refusal(data, tmp_path / "out")


def test_a_member_is_inflated_no_further_than_it_claims(tmp_path: Path) -> None:
    """A zip that lies about a size takes no more memory than its truth would."""
    lie = zipped((MANIFEST, bytes(50_000_000))).replace((50_000_000).to_bytes(4, "little"), b"\x64\0\0\0")
    tracemalloc.start()
    try:
        refusal(lie, tmp_path / "out")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x03\x04", b"\x80", b"hello", b"\x1f\x8b", bytes(1_000)])
def test_other_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    """An empty file among them; the sentence says what is expected."""
    assert refusal(data, tmp_path / "out").endswith(f"{pickled.OFFER}.")


@pytest.mark.parametrize("form", PACK)
def test_a_truncated_file_is_refused(small: Path, tmp_path: Path, form: str) -> None:
    """Wherever it was cut."""
    data = PACK[form](small)
    for end in range(0, len(data), 97):
        refusal(data[:end], tmp_path / "out")


@pytest.mark.parametrize("form", PACK)
@given(drawn=st.data())
def test_a_changed_file_is_refused_or_gives_the_same_folder(small: Path, form: str, drawn: st.DataObject) -> None:
    """Whatever bytes were replaced, inserted or dropped: a clean refusal, or the files that were packed."""
    data = PACK[form](small)
    start = drawn.draw(st.integers(0, len(data)))
    dropped, inserted = drawn.draw(st.integers(0, 40)), drawn.draw(st.binary(max_size=40))
    with TemporaryDirectory() as parent:
        into = Path(parent, "out")
        try:
            unpack(data[:start] + inserted + data[start + dropped :], into)
        except ArtifactError:
            assert not into.exists()
        else:
            assert content(into).items() <= content(small).items()


@given(data=st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda tail: archive.ZIP + tail)))
def test_any_bytes_are_refused(data: bytes) -> None:
    """By one sentence."""
    with TemporaryDirectory() as parent:
        refusal(data, Path(parent, "out"))
