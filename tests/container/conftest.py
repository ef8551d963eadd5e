"""The image, and a container of it, which several tests share."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.container.engine import HARDENED, ROOT, Container, build, documented_arguments, running


@pytest.fixture(scope="session")
def image() -> str:
    """The image, built from this work tree as the README says, under another tag."""
    tag, name, *rest = documented_arguments("build")[0].split()
    return build(tag, f"{name}-test", *rest)


@pytest.fixture(scope="session")
def hardened(image: str) -> Iterator[Container]:
    """A hardened container; shared, so tests must not stop it."""
    with running(image, *HARDENED) as started:
        yield started


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """Golden rows and the committed model's probabilities."""
    rows = json.loads((ROOT / "deploy/model/golden.json").read_text())
    return {"features": rows["features"], "probability": [positive for (positive,) in rows["outputs"]]}
