"""A model over titles as our own file, as skops' and as ONNX: bytes, time to load and to answer, in fresh processes."""

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
"""That a format needs, none of which this project does."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Its own options."""
    parser.add_argument("--data", type=Path, metavar="FILE", help="labelled products (default: the synthetic sample)")
    parser.add_argument("--rows", type=options.count, metavar="N", help="of them to fit on (default: all)")


def run(arguments: argparse.Namespace) -> None:
    """Fit one model, write it in each format, and print what each takes."""
    data = dataset(arguments.data, arguments.rows)
    fitted: Any = candidates(PROBLEM.seed, 1)["linear-svm-words-and-parts"].fit(data.products)
    titles: list[str] = products(TITLES, seed=1)["title"].tolist()
    print(f"{'format':<8}{'bytes':>12}{'load ms':>10}{'one µs':>10}{'1,000 ms':>10}{'labels that differ':>20}")
    ours: list[int] = []
    for name in FORMATS:
        if missing := [library for library in LIBRARIES.get(name, ()) if not find_spec(library)]:
            print(f"{name:<8} needs `pip install {' '.join(missing)}`")
            continue
        size, took = measured(name, fitted, titles)
        ours = ours or took["answers"]
        differ = sum(one != other for one, other in zip(ours, took["answers"], strict=True))
        times = f"{took['load'] * 1e3:>10.1f}{took['one'] * 1e6:>10.1f}{took['all'] * 1e3:>10.1f}"
        print(f"{name:<8}{size:>12,}{times}{differ:>20}")


def measured(name: str, fitted: TextClassifier, titles: list[str]) -> tuple[int, dict[str, Any]]:
    """Bytes of its files, and what a fresh process took and answered."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, f"model.{name}")
        WRITERS[name](fitted, path)
        command = [sys.executable, "-m", "bench.loaded", name, str(path)]
        answered = subprocess.run(command, input=json.dumps(titles), capture_output=True, text=True, check=True)  # noqa: S603 (our own words)
        return sum(file.stat().st_size for file in Path(scratch).iterdir()), json.loads(answered.stdout)


def npz(fitted: TextClassifier, path: Path) -> None:
    """As a model folder holds it."""
    fitted.get_linear().save(path)


def skops(fitted: TextClassifier, path: Path) -> None:
    """Packed, as ours is."""
    import_module("skops.io").dump(fitted, path, compression=8)  # zipfile.ZIP_DEFLATED


def onnx(fitted: TextClassifier, path: Path) -> None:
    """Rows of known n-grams in, the number of the class out; ONNX's own tokenisers know no parts of words."""
    helper, numpy_helper = import_module("onnx.helper"), import_module("onnx.numpy_helper")
    model = fitted.get_linear()
    constants = {"weights": model.weights, "squares": model.squares[:, np.newaxis]}
    constants["intercept"] = model.intercept.astype(np.float32)
    steps = (
        ("MatMul", ["rows", "weights"], "sums"),
        ("MatMul", ["rows", "squares"], "square"),
        ("Sqrt", ["square"], "length"),
        ("Div", ["sums", "length"], "scaled"),
        ("Add", ["scaled", "intercept"], "margins"),
    )
    nodes = [helper.make_node(word, taken, [given]) for word, taken, given in steps]
    nodes.append(helper.make_node("ArgMax", ["margins"], ["label"], axis=1, keepdims=0))
    kind = import_module("onnx").TensorProto
    graph = helper.make_graph(
        nodes,
        "titles",
        [helper.make_tensor_value_info("rows", kind.FLOAT, [None, len(model.grams)])],
        [helper.make_tensor_value_info("label", kind.INT64, [None])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    path.write_bytes(whole.SerializeToString())
    path.with_suffix(".txt").write_text("\n".join(model.grams), encoding="utf-8")


WRITERS = {"npz": npz, "skops": skops, "onnx": onnx}
