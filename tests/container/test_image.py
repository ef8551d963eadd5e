"""The image: built as documented, small, labelled, and of nothing but what serves."""

import re

import pytest
from tests.container.engine import MARKS, Container, build, docker, documented

pytestmark = MARKS

MEGABYTES = 330
"""That the environment and the model may take, of 1,048,576 bytes; 304 when this was written."""
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
    """The tag is the user's."""
    tags = [words.split()[1] for words in documented("build")]
    assert {"tabserve", "mlserver-model-deploy"} <= {*tags}
    assert {build("--tag", f"{tag}-test", "--file", "deploy/Dockerfile", ".") for tag in tags} == {image}


def test_the_labels_say_what_it_is_and_what_it_was_built_from() -> None:
    """By the build arguments that `make image` passes."""
    told = {"VERSION": "1.2.3", "REVISION": "abc", "CREATED": "2026-01-02T03:04:05Z"}
    arguments = [word for name, value in told.items() for word in ("--build-arg", f"{name}={value}")]
    labelled = build(*arguments, "--file", "deploy/Dockerfile", ".")
    names = ["title", "licenses", *map(str.lower, told)]
    template = "|".join(f'{{{{index .Config.Labels "{LABEL}.{name}"}}}}' for name in names)
    assert docker("inspect", "--format", template, labelled).split("|") == ["tabserve", "Apache-2.0", *told.values()]
    docker("rmi", labelled)


def test_the_image_is_small(image: str) -> None:
    """The environment and the model together."""
    sizes = docker("run", "--rm", image, "du", "--summarize", "--block-size=1M", "/opt/venv", "/model")
    assert sum(int(line.split()[0]) for line in sizes.splitlines()) <= MEGABYTES


def test_installs_what_serves_and_nothing_that_trains_tests_or_compiles(hardened: Container) -> None:
    """Neither the packages, nor their tests and sources, nor a compiler, nor git, nor the case's data."""
    found = hardened.python(f"from importlib.util import find_spec; print(*map(find_spec, {TRAINING}))")
    assert {*found.split()} == {"None"}
    assert hardened.python("import shutil; print(*map(shutil.which, ['cc', 'gcc', 'git']))") == "None None None"
    sources = r"\( -name tests -o -name '*.c' -o -name '*.h' -o -name '*.pyi' -o -name '*.csv' -o -name .git \)"
    assert docker("exec", hardened.name, "sh", "-c", f"find /opt /deploy /model {sources}") == ""


def test_misses_no_package_but_what_it_does_without(image: str) -> None:
    """`pip check` complains about what `requirements/overrides-serve.txt` leaves out, and about nothing else."""
    checked = docker("run", "--rm", image, "pip", "--python", "/opt/venv/bin/python", "check", check=False)
    assert sorted(checked.splitlines()) == REPLACED


def test_the_server_is_the_first_process_and_not_root(hardened: Container) -> None:
    """So that it gets the signals itself; the user is a number, by which Kubernetes can see who it is."""
    status = docker("exec", hardened.name, "cat", "/proc/1/cmdline", "/proc/1/status")
    assert re.search(r"tabserve\0serve\0/deploy\0", status)
    assert re.search(r"^Uid:\t10001\t10001", status, re.MULTILINE)
    assert re.search(r"^Gid:\t10001\t10001", status, re.MULTILINE)
    assert hardened.inspect("{{.Config.User}}") == "10001:10001"


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_layers_are_ordered_by_their_rate_of_change(image: str, layer: int) -> None:
    """Packages below the model, the model below our code, and that below the settings."""
    made = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).splitlines()[::-1]
    order = ["COPY /opt/venv ", "COPY deploy/model ", "COPY /ours/opt/venv ", "COPY deploy/settings.json "]
    places = [next(place for place, line in enumerate(made) if line.startswith(start)) for start in order]
    assert places[layer] < places[layer + 1]
