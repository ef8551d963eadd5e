"""The runtime answers MLServer's requests with a model folder, and keeps batching to itself."""

import asyncio
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from mlserver import ModelSettings
from mlserver.batching import load_batching
from mlserver.errors import InferenceError, MLServerError
from mlserver.registry import MultiModelRegistry
from mlserver.types import InferenceRequest
from numpy.typing import NDArray

from tabserve.errors import ArtifactError, ServerError, TooLarge
from tabserve.model.decision import Scores, threshold_of
from tabserve.model.model import Model, load
from tabserve.serving.batching import MAX_THREADS
from tabserve.serving.limits import Limits
from tabserve.serving.mlserver.registry import Registry
from tabserve.serving.mlserver.runtime import FolderModel
from tabserve.serving.mlserver.settings import batch_limits, model_folder
from tabserve.serving.mlserver.startup_checks import check_model
from tabserve.table.frame import Frame

RUNTIME = "tabserve.serving.mlserver.runtime.FolderModel"


def settings(folder: Path, **limits: float) -> ModelSettings:
    """Settings as `model-settings.json` makes them."""
    parameters = {"uri": str(folder), "version": "v7"}
    return ModelSettings.model_validate(
        {"name": "a-model", "implementation": RUNTIME, "parameters": parameters, **limits}
    )


async def loaded(folder: Path, **limits: float) -> FolderModel:
    """The runtime after all that MLServer does to it at the start."""
    runtime = FolderModel(settings(folder, **limits))
    await load_batching(runtime)
    runtime.ready = await runtime.load()
    return runtime


def request_for(features: NDArray[np.float32]) -> InferenceRequest:
    """A valid request."""
    data = features.ravel().tolist()
    tensor = {"name": "predict", "datatype": "FP32", "shape": list(features.shape), "data": data}
    return InferenceRequest.model_validate({"inputs": [tensor]})


def within(seconds: float, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  whatever the work gives
    """The result of asynchronous work that may take so long."""
    return asyncio.run(asyncio.wait_for(work, seconds))


def test_encodings_are_imported_before_any_model_loads() -> None:
    """MLServer encodes its host's name while a thread reads an archive's names; two imports just then ended starts."""
    known = "{'encodings.idna', 'encodings.cp437'} <= {*sys.modules}"
    code = f"import sys, tabserve.serving.mlserver.runtime; sys.exit(not {known})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_it_answers_as_the_model_does(model_folder: Path, model: Model, sample_frame: Frame) -> None:
    """Labels and both probabilities, to the bit, with the threshold and the version."""
    features = sample_frame.features[:300]

    async def answer() -> Any:  # noqa: ANN401  an InferenceResponse
        return await (await loaded(model_folder)).predict(request_for(features))

    response = within(30, answer())
    predict, proba = response.outputs
    expected = model.score(features)
    assert predict.data.root == expected.label.tolist()
    assert np.array_equal(np.array(proba.data.root, np.float32).reshape(proba.shape)[:, 1], expected.probability)
    assert (response.model_name, response.model_version) == ("a-model", "v7")
    assert float(response.parameters.threshold) == threshold_of(model.decision)


def test_it_answers_as_a_model_over_texts_does_too(texts_folder: Path) -> None:
    """One runtime: the folder alone says what is taken, and what is given."""
    model, texts = load(texts_folder), ["azul de bebê", "convite", "?a"]
    tensor = {"name": "title", "datatype": "BYTES", "shape": [3], "data": texts}

    async def answer() -> Any:  # noqa: ANN401  an InferenceResponse
        return await (await loaded(texts_folder)).predict(InferenceRequest.model_validate({"inputs": [tensor]}))

    response = within(30, answer())
    predict, proba = response.outputs
    expected = model.score(np.array(texts, np.object_))
    assert [*predict.data.root] == [model.problem.labels[place].encode() for place in expected.label]
    assert np.array_equal(np.array(proba.data.root, np.float32).reshape(proba.shape), expected.probability)
    assert dict(response.parameters) == {"content_type": None, "headers": None}


def test_metadata_lists_one_input_and_two_outputs(model_folder: Path) -> None:
    """As V2 describes them, and the version that can be asked for."""

    async def metadata() -> Any:  # noqa: ANN401  a MetadataModelResponse
        return await (await loaded(model_folder)).metadata()

    found = within(30, metadata())
    assert [(each.name, each.datatype, each.shape) for each in found.inputs] == [("predict", "FP32", [-1, 200])]
    assert [(each.name, each.datatype, each.shape) for each in found.outputs] == [
        ("predict", "INT64", [-1, 1]),
        ("predict_proba", "FP32", [-1, 2]),
    ]
    assert found.versions == ["v7"]


def test_mlservers_own_batching_stays_off(model_folder: Path) -> None:
    """Its hook finds nothing to do, though the settings name both of its limits; ours has taken them."""

    async def load() -> FolderModel:
        return await loaded(model_folder, max_batch_size=32, max_batch_time=3600)

    runtime = within(30, load())
    assert not {"predict", "predict_stream"} & set(vars(runtime))
    assert (runtime._loaded._batcher._max_batch_size, runtime._loaded._batcher._max_batch_time) == (32, 3600)


def test_requests_are_joined_in_batches(model_folder: Path, sample_frame: Frame, model: Model) -> None:
    """With `max_batch_time`, three requests make one full batch, though nobody would otherwise be answered in time."""
    parts = np.split(sample_frame.features[:6], [1, 3])

    async def answers() -> list[Any]:
        runtime = await loaded(model_folder, max_batch_size=6, max_batch_time=3600)
        return await asyncio.gather(*(runtime.predict(request_for(part)) for part in parts))

    labels = [label for response in within(30, answers()) for label in response.outputs[0].data.root]
    assert labels == model.score(sample_frame.features[:6]).label.tolist()


def test_an_invalid_request_is_the_clients_error(model_folder: Path) -> None:
    """Status 400, with the sentence."""

    async def answer() -> None:
        await (await loaded(model_folder)).predict(request_for(np.zeros((1, 3), np.float32)))

    with pytest.raises(InferenceError, match=r"expected \[rows, 200\]") as raised:
        within(30, answer())
    assert raised.value.status_code == 400


def test_a_failure_while_scoring_is_the_servers_error(model_folder: Path) -> None:
    """Status 500, without a word about the inside."""

    def broken(features: NDArray[np.float32]) -> Scores:
        raise MemoryError(features.shape)

    async def answer() -> None:
        runtime = await loaded(model_folder)
        runtime._loaded._batcher._model = broken
        await runtime.predict(request_for(np.zeros((1, 200), np.float32)))

    with pytest.raises(MLServerError, match=r"^Scoring failed; the server's log says why\.$") as raised:
        within(30, answer())
    assert raised.value.status_code == 500


def test_of_a_model_that_was_replaced_nothing_stays(model_folder: Path, sample_frame: Frame) -> None:
    """Neither its threads nor its memory, though what is loaded is not looked at by later collections."""

    async def check() -> None:
        models = []
        for _ in range(8):
            model = await loaded(model_folder, max_batch_size=1)
            await model.predict(request_for(sample_frame.features[:64]))
            models.append(weakref.ref(model))
        await loaded(model_folder)
        del model
        await loaded(model_folder)
        assert [found() for found in models] == [None] * 8
        assert sum(each.name.startswith("slices") for each in threading.enumerate()) <= MAX_THREADS

    within(60, check())


def test_a_damaged_folder_does_not_load(tmp_path: Path) -> None:
    """The error names it."""
    with pytest.raises(ArtifactError, match="nowhere"):
        within(30, loaded(tmp_path / "nowhere"))


def test_the_model_folder_is_beside_its_settings_or_where_the_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative `parameters.uri` starts at the settings file; TABSERVE_MODEL wins."""
    document = {"name": "x", "implementation": RUNTIME, "parameters": {"uri": "./model"}}
    read = ModelSettings.model_validate(document | {"_source": str(tmp_path / "model-settings.json")})
    assert model_folder(read) == tmp_path / "model"
    monkeypatch.setenv("TABSERVE_MODEL", "elsewhere")
    assert model_folder(read) == Path("elsewhere")


def test_settings_without_a_folder_are_refused() -> None:
    """There is nothing to serve then."""
    with pytest.raises(ServerError, match=r"'x' has no `parameters\.uri`"):
        model_folder(ModelSettings.model_validate({"name": "x", "implementation": RUNTIME}))


def test_batch_limits_are_rows_and_seconds() -> None:
    """No size stands for the default."""
    assert batch_limits(settings(Path()), 256) == (256, 0.0)
    assert batch_limits(settings(Path(), max_batch_size=7, max_batch_time=0.5), 256) == (7, 0.5)


@pytest.mark.parametrize(
    "limits",
    [
        {"max_batch_size": -1},
        {"max_batch_time": -0.1},
        {"max_batch_time": float("inf")},
        {"max_batch_time": float("nan")},
    ],
)
def test_senseless_batch_limits_are_refused(limits: dict[str, float]) -> None:
    """In one sentence that names both."""
    with pytest.raises(ServerError, match=r"`max_batch_size` .* and `max_batch_time` .*; expected rows of at least 1"):
        batch_limits(settings(Path(), **limits), 256)


def test_a_model_is_verified_once_at_a_start_and_anew_at_each_reload(model_folder: Path, tmp_path: Path) -> None:
    """By the registry it also gets the server's limits, of which no variable tells."""
    folder = shutil.copytree(model_folder, tmp_path / "model")
    given = settings(folder)
    verified = check_model(given)
    assert verified is not None
    (folder / "model.ubj").write_bytes(b"")
    registry = Registry(MultiModelRegistry(), lambda: None, Limits(max_rows=7), {folder: verified})

    async def load_twice() -> FolderModel:
        first = await registry.load(given)
        with pytest.raises(ArtifactError, match=r"model\.ubj does not have the checksum"):
            await registry.load(given)
        return cast("FolderModel", first)

    runtime = within(30, load_twice())
    assert runtime._loaded.model is verified
    with pytest.raises(TooLarge, match="at most 7"):
        runtime.read({"inputs": [{"name": "x", "datatype": "FP32", "shape": [8, 200], "data": [0] * 1600}]})


def test_without_a_server_of_ours_the_variables_are_the_limits(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where `mlserver start` serves the runtime."""
    monkeypatch.setenv("TABSERVE_MAX_ROWS", "7")
    assert within(30, loaded(model_folder)).limits.max_rows == 7
