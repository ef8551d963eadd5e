"""A process that loads a model over texts from one file and answers with it: `python -m bench.loaded FORMAT FILE`.

Nothing is imported before it is needed, as the time that it takes is what is measured.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

Predict = Callable[[list[str]], Sequence[int]]

BATCH = 64
"""Texts that ONNX answers at a time: each is a row as wide as the vocabulary."""


def npz(path: Path) -> Predict:
    """Our own file."""
    from categories.problem import PROBLEM  # noqa: PLC0415
    from tabserve.encoding.encoder import Encoder  # noqa: PLC0415
    from tabserve.predictors.linear import Linear  # noqa: PLC0415

    model = Linear.read(path, path.read_bytes(), PROBLEM, Encoder.learn(PROBLEM, {}))
    return lambda texts: model.raw(texts).argmax(axis=1).tolist()


def skops(path: Path) -> Predict:
    """A file of skops, with the whole of scikit-learn's model."""
    library = import_module("skops.io")
    model = library.load(path, trusted=library.get_untrusted_types(file=path))
    return lambda texts: model.predict(texts).tolist()


def onnx(path: Path) -> Predict:
    """A graph of ONNX, which takes rows of known n-grams; the vocabulary is a file beside it."""
    import numpy as np  # noqa: PLC0415

    from tabserve.encoding.ngrams import grams  # noqa: PLC0415

    session = import_module("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    known = {gram: column for column, gram in enumerate(path.with_suffix(".txt").read_text("utf-8").split("\n"))}

    def predict(texts: list[str]) -> Sequence[int]:
        answers: list[int] = []
        for start in range(0, len(texts), BATCH):
            some = texts[start : start + BATCH]
            rows = np.zeros((len(some), len(known)), np.float32)
            for row, text in zip(rows, some, strict=True):
                row[[known[gram] for gram in grams(text) if gram in known]] = 1
            answers += session.run(None, {"rows": rows})[0].tolist()
        return answers

    return predict


FORMATS: dict[str, Callable[[Path], Predict]] = {"npz": npz, "skops": skops, "onnx": onnx}


def main() -> None:
    """Load, answer the texts that come on stdin one by one and all at once, and print what it took as JSON."""
    texts = json.load(sys.stdin)
    began = time.perf_counter()
    predict = FORMATS[sys.argv[1]](Path(sys.argv[2]))
    loaded = time.perf_counter()
    answers = [predict([text])[0] for text in texts]
    one_by_one = time.perf_counter()
    predict(texts)
    ended = time.perf_counter()
    took = {"load": loaded - began, "one": (one_by_one - loaded) / len(texts), "all": ended - one_by_one}
    print(json.dumps({**took, "answers": answers}))


if __name__ == "__main__":
    main()
