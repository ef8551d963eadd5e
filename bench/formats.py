"""A model of titles in our own format, in skops and in ONNX: bytes, time to load and to answer, in fresh processes."""

import argparse
import json
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.loaded import FORMATS
from categories.candidates import candidates
from categories.dataset import dataset
from categories.problem import PROBLEM
from categories.sample import products
from tabserve.cli import options
from tabserve.training.text_classifier import TextClassifier

TITLES = 1_000

LIBRARIES = {"skops": ("skops",), "onnx": ("onnx", "onnxruntime")}
"""Libraries that a format needs; this project needs none of them."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `formats`."""
    parser.add_argument("--data", type=Path, metavar="FILE", help="labelled products (default: the synthetic sample)")
    parser.add_argument("--rows", type=options.count, metavar="N", help="products to fit on (default: all)")


def run(arguments: argparse.Namespace) -> None:
    """Fit one model, write it in each format, and print size and times of each."""
    data = dataset(arguments.data, arguments.rows)
    fitted: Any = candidates(PROBLEM.seed, 1)["linear-svm-words-and-parts"].fit(data.products)
    titles: list[str] = products(TITLES, seed=1)["title"].tolist()
    print(f"{'format':<8}{'bytes':>12}{'load ms':>10}{'one µs':>10}{'1,000 ms':>10}{'labels that differ':>20}")
    ours: list[int] = []
    for name in FORMATS:
        if missing := [library for library in LIBRARIES.get(name, ()) if not find_spec(library)]:
            print(f"{name:<8} needs `pip install {' '.join(missing)}`")
            continue
        size, timing = measure(name, fitted, titles)
        ours = ours or timing["answers"]
        differ = sum(label != other for label, other in zip(ours, timing["answers"], strict=True))
        times = f"{timing['load'] * 1e3:>10.1f}{timing['one'] * 1e6:>10.1f}{timing['all'] * 1e3:>10.1f}"
        print(f"{name:<8}{size:>12,}{times}{differ:>20}")


def measure(name: str, fitted: TextClassifier, titles: list[str]) -> tuple[int, dict[str, Any]]:
    """Size of a format's files in bytes, and the timings and labels of a fresh process."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, f"model.{name}")
        WRITERS[name](fitted, path)
        command = [sys.executable, "-m", "bench.loaded", name, str(path)]
        finished = subprocess.run(command, input=json.dumps(titles), capture_output=True, text=True, check=True)  # noqa: S603 (our own arguments)
        return sum(file.stat().st_size for file in Path(scratch).iterdir()), json.loads(finished.stdout)


def npz(fitted: TextClassifier, path: Path) -> None:
    """Write our own format, as in a model folder."""
    path.write_bytes(fitted.get_predictor().to_bytes())


def skops(fitted: TextClassifier, path: Path) -> None:
    """Write a file of skops, compressed as ours is."""
    import_module("skops.io").dump(fitted, path, compression=8)  # zipfile.ZIP_DEFLATED


def onnx(fitted: TextClassifier, path: Path) -> None:
    """Write an ONNX graph from known n-grams to the class index, as ONNX's tokenisers know no parts of words."""
    helper, numpy_helper = import_module("onnx.helper"), import_module("onnx.numpy_helper")
    model = fitted.get_predictor()
    constants = {"weights": model.weights, "squares": model.squares[:, np.newaxis]}
    constants["intercept"] = model.intercept.astype(np.float32)
    steps = (
        ("MatMul", ["rows", "weights"], "sums"),
        ("MatMul", ["rows", "squares"], "square"),
        ("Sqrt", ["square"], "length"),
        ("Div", ["sums", "length"], "scaled"),
        ("Add", ["scaled", "intercept"], "margins"),
    )
    nodes = [helper.make_node(operator, inputs, [output]) for operator, inputs, output in steps]
    nodes.append(helper.make_node("ArgMax", ["margins"], ["label"], axis=1, keepdims=0))
    kind = import_module("onnx").TensorProto
    graph = helper.make_graph(
        nodes,
        "titles",
        [helper.make_tensor_value_info("rows", kind.FLOAT, [None, len(model.grams)])],
        [helper.make_tensor_value_info("label", kind.INT64, [None])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    document = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    path.write_bytes(document.SerializeToString())
    path.with_suffix(".txt").write_text("\n".join(model.grams), encoding="utf-8")


WRITERS = {"npz": npz, "skops": skops, "onnx": onnx}
