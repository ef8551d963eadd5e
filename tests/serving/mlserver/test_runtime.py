"""The runtime answers MLServer's requests with a model folder, and does its own batching."""

import asyncio
import shutil
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
from tabserve.serving.limits import Limits
from tabserve.serving.mlserver.registry import Registry
from tabserve.serving.mlserver.runtime import FolderModel
from tabserve.serving.mlserver.settings import batch_limits, model_folder
from tabserve.serving.mlserver.startup_checks import check_model
from tabserve.serving.slices import MAX_THREADS
from tabserve.table.frame import Frame

RUNTIME = "tabserve.serving.mlserver.runtime.FolderModel"


def settings(folder: Path, **limits: float) -> ModelSettings:
    """The settings of a `model-settings.json` with these batch limits."""
    parameters = {"uri": str(folder), "version": "v7"}
    return ModelSettings.model_validate(
        {"name": "a-model", "implementation": RUNTIME, "parameters": parameters, **limits}
    )


async def load_runtime(folder: Path, **limits: float) -> FolderModel:
    """The runtime, loaded as MLServer does at its start."""
    runtime = FolderModel(settings(folder, **limits))
    await load_batching(runtime)
    runtime.ready = await runtime.load()
    return runtime


def request_for(features: NDArray[np.float32]) -> InferenceRequest:
    """A valid request for these rows."""
    data = features.ravel().tolist()
    tensor = {"name": "predict", "datatype": "FP32", "shape": list(features.shape), "data": data}
    return InferenceRequest.model_validate({"inputs": [tensor]})


def run_within(seconds: float, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  whatever the work gives
    """Run asynchronous work with a deadline, and return its result."""
    return asyncio.run(asyncio.wait_for(work, seconds))


def test_predict_returns_the_models_predictions(model_folder: Path, model: Model, sample_frame: Frame) -> None:
    """Labels and probabilities are equal to the bit; the response has the threshold and the version."""
    features = sample_frame.features[:300]

    async def answer() -> Any:  # noqa: ANN401  an InferenceResponse
        return await (await load_runtime(model_folder)).predict(request_for(features))

    response = run_within(30, answer())
    predict, proba = response.outputs
    expected = model.score(features)
    assert predict.data.root == expected.label.tolist()
    assert np.array_equal(np.array(proba.data.root, np.float32).reshape(proba.shape)[:, 1], expected.probability)
    assert (response.model_name, response.model_version) == ("a-model", "v7")
    assert float(response.parameters.threshold) == threshold_of(model.decision)


def test_predict_returns_the_predictions_of_a_text_model(texts_folder: Path) -> None:
    """The same runtime serves it; the folder alone decides about inputs and outputs."""
    model, texts = load(texts_folder), ["azul de bebê", "convite", "?a"]
    tensor = {"name": "title", "datatype": "BYTES", "shape": [3], "data": texts}

    async def answer() -> Any:  # noqa: ANN401  an InferenceResponse
        return await (await load_runtime(texts_folder)).predict(InferenceRequest.model_validate({"inputs": [tensor]}))

    response = run_within(30, answer())
    predict, proba = response.outputs
    expected = model.score(np.array(texts, np.object_))
    assert [*predict.data.root] == [model.problem.labels[index].encode() for index in expected.label]
    assert np.array_equal(np.array(proba.data.root, np.float32).reshape(proba.shape), expected.probability)
    assert dict(response.parameters) == {"content_type": None, "headers": None}


def test_metadata_lists_one_input_and_every_output(model_folder: Path) -> None:
    """It also lists the version that a client may request."""

    async def metadata() -> Any:  # noqa: ANN401  a MetadataModelResponse
        return await (await load_runtime(model_folder)).metadata()

    response = run_within(30, metadata())
    assert [(item.name, item.datatype, item.shape) for item in response.inputs] == [("predict", "FP32", [-1, 200])]
    assert [(item.name, item.datatype, item.shape) for item in response.outputs] == [
        ("predict", "INT64", [-1, 1]),
        ("predict_proba", "FP32", [-1, 2]),
        ("contributions", "FP32", [-1, 201]),
    ]
    assert response.versions == ["v7"]


def test_mlservers_own_batching_stays_off(model_folder: Path) -> None:
    """The settings' batch limits apply to our batching, and MLServer wraps no method of the runtime."""

    async def load() -> FolderModel:
        return await load_runtime(model_folder, max_batch_size=32, max_batch_time=3600)

    runtime = run_within(30, load())
    assert not {"predict", "predict_stream"} & set(vars(runtime))
    assert (runtime._loaded._batcher._max_batch_size, runtime._loaded._batcher._max_batch_time) == (32, 3600)


def test_concurrent_requests_are_scored_in_one_batch(model_folder: Path, sample_frame: Frame, model: Model) -> None:
    """Three requests fill a batch, and are answered long before `max_batch_time`."""
    parts = np.split(sample_frame.features[:6], [1, 3])

    async def answers() -> list[Any]:
        runtime = await load_runtime(model_folder, max_batch_size=6, max_batch_time=3600)
        return await asyncio.gather(*(runtime.predict(request_for(part)) for part in parts))

    labels = [label for response in run_within(30, answers()) for label in response.outputs[0].data.root]
    assert labels == model.score(sample_frame.features[:6]).label.tolist()


def test_an_invalid_request_is_a_clients_error(model_folder: Path) -> None:
    """The status is 400, and the sentence says what was expected."""

    async def answer() -> None:
        await (await load_runtime(model_folder)).predict(request_for(np.zeros((1, 3), np.float32)))

    with pytest.raises(InferenceError, match=r"expected \[rows, 200\]") as raised:
        run_within(30, answer())
    assert raised.value.status_code == 400


def test_a_failure_while_scoring_is_a_servers_error(model_folder: Path) -> None:
    """The status is 500, and the sentence tells nothing of the exception."""

    def broken(features: NDArray[np.float32]) -> Scores:
        raise MemoryError(features.shape)

    async def answer() -> None:
        runtime = await load_runtime(model_folder)
        runtime._loaded._batcher._model = broken
        await runtime.predict(request_for(np.zeros((1, 200), np.float32)))

    with pytest.raises(MLServerError, match=r"^Scoring failed; the server's log says why\.$") as raised:
        run_within(30, answer())
    assert raised.value.status_code == 500


def test_a_replaced_model_is_freed(model_folder: Path, sample_frame: Frame) -> None:
    """Its threads end and its memory is freed, though loaded models are excluded from garbage collections."""

    async def check() -> None:
        models = []
        for _ in range(8):
            model = await load_runtime(model_folder, max_batch_size=1)
            await model.predict(request_for(sample_frame.features[:64]))
            models.append(weakref.ref(model))
        await load_runtime(model_folder)
        del model
        await load_runtime(model_folder)
        assert [reference() for reference in models] == [None] * 8
        assert sum(thread.name.startswith("slices") for thread in threading.enumerate()) <= MAX_THREADS

    run_within(60, check())


def test_a_missing_folder_does_not_load(tmp_path: Path) -> None:
    """The error names the folder."""
    with pytest.raises(ArtifactError, match="nowhere"):
        run_within(30, load_runtime(tmp_path / "nowhere"))


def test_the_model_folder_is_that_of_the_variable_or_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative `parameters.uri` is relative to the settings file; TABSERVE_MODEL overrides it."""
    document = {"name": "x", "implementation": RUNTIME, "parameters": {"uri": "./model"}}
    parsed = ModelSettings.model_validate(document | {"_source": str(tmp_path / "model-settings.json")})
    assert model_folder(parsed) == tmp_path / "model"
    monkeypatch.setenv("TABSERVE_MODEL", "elsewhere")
    assert model_folder(parsed) == Path("elsewhere")


def test_settings_without_a_model_folder_are_refused() -> None:
    """The error names the missing setting."""
    with pytest.raises(ServerError, match=r"'x' has no `parameters\.uri`"):
        model_folder(ModelSettings.model_validate({"name": "x", "implementation": RUNTIME}))


def test_batch_limits_are_rows_and_seconds() -> None:
    """Without a size, the default applies."""
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
def test_batch_limits_out_of_range_are_refused(limits: dict[str, float]) -> None:
    """One sentence names both limits."""
    with pytest.raises(ServerError, match=r"`max_batch_size` .* and `max_batch_time` .*; expected rows of at least 1"):
        batch_limits(settings(Path(), **limits), 256)


def test_a_model_is_verified_once_at_the_start_and_again_at_each_reload(model_folder: Path, tmp_path: Path) -> None:
    """The registry also gives it the server's limits, which no variable sets here."""
    folder = shutil.copytree(model_folder, tmp_path / "model")
    model_settings = settings(folder)
    verified = check_model(model_settings)
    assert verified is not None
    (folder / "model.ubj").write_bytes(b"")
    registry = Registry(MultiModelRegistry(), lambda: None, Limits(max_rows=7), {folder: verified})

    async def load_twice() -> FolderModel:
        first = await registry.load(model_settings)
        with pytest.raises(ArtifactError, match=r"model\.ubj does not have the checksum"):
            await registry.load(model_settings)
        return cast("FolderModel", first)

    runtime = run_within(30, load_twice())
    assert runtime._loaded.model is verified
    with pytest.raises(TooLarge, match="at most 7"):
        runtime.validate({"inputs": [{"name": "x", "datatype": "FP32", "shape": [8, 200], "data": [0] * 1600}]})


def test_under_plain_mlserver_the_variables_set_the_limits(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mlserver start` has no other source of limits."""
    monkeypatch.setenv("TABSERVE_MAX_ROWS", "7")
    assert run_within(30, load_runtime(model_folder)).limits.max_rows == 7
