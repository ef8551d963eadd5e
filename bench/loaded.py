"""A process that loads a model of texts from one file and answers with it: `python -m bench.loaded FORMAT FILE`.

Each library is imported where it is needed, as the time to load includes it.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

Predict = Callable[[list[str]], Sequence[int]]

BATCH = 64
"""Texts in one call of ONNX: each is a row as wide as the vocabulary."""


def npz(path: Path) -> Predict:
    """Load our own format."""
    from categories.problem import PROBLEM  # noqa: PLC0415
    from tabserve.encoding.encoder import Encoder  # noqa: PLC0415
    from tabserve.predictors.linear import Linear  # noqa: PLC0415

    model = Linear.read(path, path.read_bytes(), PROBLEM, Encoder.learn(PROBLEM, {}))
    return lambda texts: model.raw(texts).argmax(axis=1).tolist()


def skops(path: Path) -> Predict:
    """Load a file of skops, which holds scikit-learn's model."""
    library = import_module("skops.io")
    model = library.load(path, trusted=library.get_untrusted_types(file=path))
    return lambda texts: model.predict(texts).tolist()


def onnx(path: Path) -> Predict:
    """Load an ONNX graph, which takes rows of known n-grams; the vocabulary is a file beside it."""
    import numpy as np  # noqa: PLC0415

    from tabserve.encoding.ngrams import grams  # noqa: PLC0415

    session = import_module("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    known = {gram: column for column, gram in enumerate(path.with_suffix(".txt").read_text("utf-8").split("\n"))}

    def predict(texts: list[str]) -> Sequence[int]:
        answers: list[int] = []
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            rows = np.zeros((len(batch), len(known)), np.float32)
            for row, text in zip(rows, batch, strict=True):
                row[[known[gram] for gram in grams(text) if gram in known]] = 1
            answers += session.run(None, {"rows": rows})[0].tolist()
        return answers

    return predict


FORMATS: dict[str, Callable[[Path], Predict]] = {"npz": npz, "skops": skops, "onnx": onnx}


def main() -> None:
    """Load, answer the texts from stdin one by one and then all at once, and print the timings as JSON."""
    texts = json.load(sys.stdin)
    began = time.perf_counter()
    predict = FORMATS[sys.argv[1]](Path(sys.argv[2]))
    loaded = time.perf_counter()
    answers = [predict([text])[0] for text in texts]
    one_by_one = time.perf_counter()
    predict(texts)
    ended = time.perf_counter()
    timings = {"load": loaded - began, "one": (one_by_one - loaded) / len(texts), "all": ended - one_by_one}
    print(json.dumps({**timings, "answers": answers}))


if __name__ == "__main__":
    main()
