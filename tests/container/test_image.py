"""The image: built as documented, small, labelled, and without anything that does not serve."""

import re

import pytest
from tests.container.engine import MARKS, Container, build, docker, documented_arguments

pytestmark = MARKS

MAX_MIB = 330
"""Size limit of the environment and the model in MiB; they had 304 when this was written."""
TRAINING = ["sklearn", "pyarrow", "matplotlib", "tritonclient", "gevent", "pip", "setuptools"]
REPLACED = [
    "mlserver 1.7.1 requires gevent, which is not installed.",
    "mlserver 1.7.1 requires geventhttpclient, which is not installed.",
    "mlserver 1.7.1 requires tritonclient, which is not installed.",
    "py-grpc-prometheus 0.8.0 requires setuptools, which is not installed.",
    "tabserve 0.1.0 requires xgboost, which is not installed.",
]
LABEL = "org.opencontainers.image"


def test_every_documented_build_gives_the_same_image(image: str) -> None:
    """Only the tag differs between the documented builds."""
    tags = [words.split()[1] for words in documented_arguments("build")]
    assert {"tabserve", "mlserver-model-deploy"} <= {*tags}
    assert {build("--tag", f"{tag}-test", "--file", "deploy/Dockerfile", ".") for tag in tags} == {image}


def test_the_labels_name_version_revision_and_date() -> None:
    """The labels come from the build arguments of `make image`."""
    labels = {"VERSION": "1.2.3", "REVISION": "abc", "CREATED": "2026-01-02T03:04:05Z"}
    arguments = [word for name, value in labels.items() for word in ("--build-arg", f"{name}={value}")]
    image = build(*arguments, "--file", "deploy/Dockerfile", ".")
    names = ["title", "licenses", *map(str.lower, labels)]
    template = "|".join(f'{{{{index .Config.Labels "{LABEL}.{name}"}}}}' for name in names)
    assert docker("inspect", "--format", template, image).split("|") == ["tabserve", "Apache-2.0", *labels.values()]
    docker("rmi", image)


def test_the_image_is_small(image: str) -> None:
    """Environment and model together stay below the limit."""
    sizes = docker("run", "--rm", image, "du", "--summarize", "--block-size=1M", "/opt/venv", "/model")
    assert sum(int(line.split()[0]) for line in sizes.splitlines()) <= MAX_MIB


def test_installs_what_serves_and_nothing_that_trains_tests_or_compiles(hardened: Container) -> None:
    """It has no training package, no tests or sources of packages, no compiler, no git and no data of the case."""
    specs = hardened.python(f"from importlib.util import find_spec; print(*map(find_spec, {TRAINING}))")
    assert {*specs.split()} == {"None"}
    assert hardened.python("import shutil; print(*map(shutil.which, ['cc', 'gcc', 'git']))") == "None None None"
    sources = r"\( -name tests -o -name '*.c' -o -name '*.h' -o -name '*.pyi' -o -name '*.csv' -o -name .git \)"
    assert docker("exec", hardened.name, "sh", "-c", f"find /opt /deploy /model {sources}") == ""


def test_only_packages_that_are_left_out_on_purpose_are_missing(image: str) -> None:
    """`pip check` misses only what `requirements/overrides-serve.txt` leaves out."""
    checked = docker("run", "--rm", image, "pip", "--python", "/opt/venv/bin/python", "check", check=False)
    assert sorted(checked.splitlines()) == REPLACED


def test_the_server_is_the_first_process_and_not_root(hardened: Container) -> None:
    """As first process it gets the signals; the numeric user shows Kubernetes that it is not root."""
    status = docker("exec", hardened.name, "cat", "/proc/1/cmdline", "/proc/1/status")
    assert re.search(r"tabserve\0serve\0/deploy\0", status)
    assert re.search(r"^Uid:\t10001\t10001", status, re.MULTILINE)
    assert re.search(r"^Gid:\t10001\t10001", status, re.MULTILINE)
    assert hardened.inspect("{{.Config.User}}") == "10001:10001"


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_layers_are_ordered_by_their_rate_of_change(image: str, layer: int) -> None:
    """The order is packages, model, our code, settings."""
    layers = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).splitlines()[::-1]
    order = ["COPY /opt/venv ", "COPY deploy/model ", "COPY /ours/opt/venv ", "COPY deploy/settings.json "]
    indices = [next(index for index, line in enumerate(layers) if line.startswith(start)) for start in order]
    assert indices[layer] < indices[layer + 1]
