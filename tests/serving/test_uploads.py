"""An uploaded model is verified apart from the server, and takes the place of the one before it whole or not at all."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.model.small import (
    CARD_TEXT,
    TEXTS,
    content,
    put_content,
    same_answers,
    save_small,
    set_within,
    trees,
    with_checksums,
    words,
)

from tabserve.errors import ArtifactError, InvalidUpload, ServerError, TabserveError, TooLarge
from tabserve.model import pickled
from tabserve.model.archive import to_pickle, to_zip
from tabserve.model.model import GOLDEN, Model, load
from tabserve.serving.load_settings import LoadSettings
from tabserve.serving.uploads import Uploads, current
from tabserve.serving.verification import verify

MIB = 2**20


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Zips of two models over texts that answer differently."""
    folders = [tmp_path_factory.mktemp("packed") / "model" for _ in range(2)]
    for seed, folder in enumerate(folders):
        save_small(folder, words(seed))
    return [*map(to_zip, folders)]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The path of a folder for uploads."""
    return tmp_path / "volume" / "uploads"


def opened(folder: Path, check: Callable[[Path], Model] = load) -> Uploads[Model]:
    """Uploads into a folder, as after a start of the server."""
    return Uploads(folder, LoadSettings(load_max_bytes=MIB), check)


def kept_model(uploads: Uploads[Model]) -> Model:
    """The current model, loaded again."""
    folder = uploads.current()
    assert folder is not None
    return load(folder)


def test_the_usual_limits_are_enough_for_any_predictor(tmp_path: Path, kept: Path) -> None:
    """XGBoost needs the most memory."""
    model = save_small(tmp_path / "model", trees())
    uploads = Uploads(kept, LoadSettings(), load)
    assert same_answers(uploads.install(to_pickle(tmp_path / "model"), "model.PKL"), model)


def test_the_last_upload_counts_and_survives_a_restart(packed: list[bytes], kept: Path) -> None:
    """Both forms; the one before is removed."""
    uploads = opened(kept)
    assert uploads.current() is None
    for seed, data in enumerate(packed):
        assert same_answers(uploads.install(data, "model.zip"), words(seed))
        assert same_answers(kept_model(uploads), words(seed))
    assert same_answers(kept_model(opened(kept)), words(1))
    assert current(kept) == uploads.current()
    assert len([*kept.glob("uploaded-*")]) == 1
    folder = uploads.current()
    assert folder is not None
    uploads.install(to_pickle(folder), "model.pkl")
    assert same_answers(kept_model(uploads), words(1))


class Running:
    """A pickled instance creates a folder when it is opened."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._marker),)


def test_a_refused_upload_leaves_the_current_model_and_nothing_else(
    packed: list[bytes], kept: Path, tmp_path: Path
) -> None:
    """Each kind of file by one sentence that names the file as the client does, and no path of the server."""
    uploads = opened(kept)
    uploads.install(packed[0], "model.zip")
    before = content(kept)
    for name, data, kind, sentence in hostile(packed, tmp_path):
        with pytest.raises(kind) as error:
            uploads.install(data, name)
        assert sentence in str(error.value)
        assert str(kept) not in str(error.value)
        assert "\n" not in str(error.value)
        assert content(kept) == before
    assert not (tmp_path / "it ran").exists()
    assert same_answers(kept_model(uploads), words(0))


def hostile(packed: list[bytes], tmp_path: Path) -> list[tuple[str, bytes, type[TabserveError], str]]:
    """Names, files, errors and parts of their sentences."""
    save_small(tmp_path / "wrong", words())
    put_content(GOLDEN, {"features": TEXTS[:1].tolist(), "outputs": [[1.0, 2.0, 3.0]]})(tmp_path / "wrong")
    save_small(tmp_path / "broken", words())
    with_checksums(set_within("decision", temperature=-1.0))(tmp_path / "broken")
    running = pickle.dumps({"model": Running(tmp_path / "it ran")})
    return [
        ("model.txt", packed[1], InvalidUpload, "The file is called 'model.txt'; expected a name in .zip or .pkl."),
        ("", packed[1], InvalidUpload, "The file is called ''; "),
        (
            "../x\n.zip",
            packed[1] + bytes(MIB),
            TooLarge,
            f"'../x\\n.zip' has {len(packed[1]) + MIB} bytes; send at most",
        ),
        ("a.zip", b"", InvalidUpload, "'a.zip' was not loaded: The file is neither a zip nor a whole .pkl; "),
        ("a.zip", packed[1][:-9], InvalidUpload, "'a.zip' was not loaded: The zip is damaged or cut short "),
        ("a.pkl", running, InvalidUpload, "'a.pkl' was not loaded: The .pkl asks for 'posix.mkdir', "),
        ("a.zip", to_zip(tmp_path / "wrong"), InvalidUpload, ": The model answers golden.json differently than "),
        ("a.zip", to_zip(tmp_path / "broken"), InvalidUpload, ": manifest.json does not describe a decision: "),
    ]


def test_a_model_that_the_server_does_not_accept_is_refused(packed: list[bytes], kept: Path) -> None:
    """Such as one of other columns; the current model stays."""

    def accept(folder: Path) -> Model:
        model = load(folder)
        if same_answers(model, words(1)):
            raise ArtifactError(f"{folder} holds a model that nobody wants.")
        return model

    uploads = opened(kept, accept)
    uploads.install(packed[0], "model.zip")
    with pytest.raises(InvalidUpload, match=r"^'b\.zip' was not loaded: the file holds a model that nobody wants\.$"):
        uploads.install(packed[1], "b.zip")
    assert same_answers(kept_model(uploads), words(0))


def test_uploads_at_the_same_time_take_turns(packed: list[bytes], kept: Path) -> None:
    """Also of two processes with one folder: each is answered with its own model, and one of them stays, whole."""
    loading = set[int]()

    def alone(folder: Path) -> Model:
        loading.add(1)
        assert len(loading) == 1
        model = load(folder)
        loading.clear()
        return model

    one, other = opened(kept, alone), opened(kept, alone)
    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(each.install, packed[seed], "m.zip") for each in (one, other) for seed in range(2)]
        for seed, answer in enumerate(answers):
            assert same_answers(answer.result(120), words(seed % 2))
    assert len([*kept.glob("uploaded-*")]) == 1
    assert any(same_answers(kept_model(one), words(seed)) for seed in range(2))


CRASH = """
import os, signal, sys
from pathlib import Path
from tabserve.serving.load_settings import LoadSettings
from tabserve.serving.uploads import Uploads, current
uploads = Uploads(Path(sys.argv[1]), LoadSettings(), lambda folder: os.kill(os.getpid(), signal.SIGKILL))
uploads.install(Path(sys.argv[2]).read_bytes(), "model.zip")
"""


def test_a_crash_during_an_upload_leaves_the_model_before_it(packed: list[bytes], kept: Path, tmp_path: Path) -> None:
    """The next start removes what it has left, and nothing that is not of an upload."""
    opened(kept).install(packed[0], "model.zip")
    (kept / "notes").mkdir()
    before = content(kept)
    (tmp_path / "model.zip").write_bytes(packed[1])
    words_of_it = [sys.executable, "-c", CRASH, str(kept), str(tmp_path / "model.zip")]
    assert subprocess.run(words_of_it, timeout=120, check=False).returncode == -signal.SIGKILL
    assert len([*kept.glob("uploaded-*")]) == 2
    assert same_answers(kept_model(opened(kept)), words(0))
    assert content(kept) == before
    assert (kept / "notes").is_dir()


def test_an_upload_that_takes_too_long_is_refused(packed: list[bytes], tmp_path: Path) -> None:
    """The process is ended."""
    with pytest.raises(InvalidUpload, match=r"takes more than 0\.05 seconds; train a smaller model\.$"):
        verify(packed[0], tmp_path / "model", 0.05, 4096 * MIB)


def test_an_upload_that_takes_too_much_memory_is_refused(tmp_path: Path) -> None:
    """Its process alone runs out of memory."""
    large = pickled.dumps({"manifest.json": bytes(100 * MIB)})
    with pytest.raises(InvalidUpload, match=rf"takes more than {300 * MIB} bytes of memory, or 60 seconds; "):
        verify(large, tmp_path / "model", 60, 300 * MIB)


def test_a_folder_that_cannot_be_written_is_named(packed: list[bytes], tmp_path: Path, kept: Path) -> None:
    """At the start, or when it vanishes later."""
    (tmp_path / "file").write_text(CARD_TEXT)
    with pytest.raises(ServerError, match=rf"^Models cannot be kept in {tmp_path / 'file'}: File exists; "):
        opened(tmp_path / "file")
    uploads = opened(kept)
    for path in kept.iterdir():
        path.unlink()
    kept.rmdir()
    with pytest.raises(ServerError, match=rf"^Models cannot be kept in {kept}: No such file or directory; "):
        uploads.install(packed[0], "model.zip")
