"""The pinned environments agree with each other and with pyproject.toml, and conda can read environment.yml."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rattler import MatchSpec

ROOT = Path(__file__).parents[2]
LOCKS = {path.stem: path for path in (ROOT / "requirements").glob("*.txt") if not path.stem.startswith("overrides")}
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def entries(lock: str) -> list[str]:
    """The requirements of a lock file, continuation lines joined, comments dropped."""
    text = re.sub(r"^\s*#.*\n", "", LOCKS[lock].read_text(), flags=re.MULTILINE)
    return text.replace("\\\n", " ").splitlines()


def pins(lock: str) -> dict[str, str]:
    """Package to version, for those that this Python on Linux would install."""
    parsed = (Requirement(entry.split(" --hash=")[0]) for entry in entries(lock))
    return {
        canonicalize_name(pin.name): str(pin.specifier)
        for pin in parsed
        if pin.marker is None or pin.marker.evaluate({"sys_platform": "linux", "os_name": "posix"})
    }


def direct(*extras: str) -> dict[str, Requirement]:
    """What pyproject.toml itself asks for."""
    named = [*PROJECT["dependencies"], *(name for extra in extras for name in EXTRAS[extra])]
    return {canonicalize_name(Requirement(name).name): Requirement(name) for name in named}


@pytest.mark.parametrize("lock", sorted(LOCKS))
def test_every_pin_is_exact_and_carries_hashes(lock: str) -> None:
    """No entry of a lock can be another file than the one that was resolved."""
    assert entries(lock), f"{LOCKS[lock]} is empty"
    exact = re.compile(r"[\w.-]+==[\w.!]+ .*--hash=sha256:[0-9a-f]{64}")
    assert [entry for entry in entries(lock) if not exact.match(entry)] == []


@pytest.mark.parametrize("lock", sorted(LOCKS))
def test_a_lock_names_no_place_to_download_from(lock: str) -> None:
    """Whoever installs chooses the index; no address or folder of another machine is stored."""
    assert re.findall(r".*(?:://|--index|--find-links|@ |/(?:home|root|tmp)/).*", LOCKS[lock].read_text()) == []


@pytest.mark.parametrize("lock", sorted(set(LOCKS) - {"environment", "kserve"}))  # a client alone, and none of ours
def test_a_package_has_one_version_in_every_lock(lock: str) -> None:
    """What was tested is what trains and what serves."""
    complete = pins("environment")
    replaced = {"xgboost-cpu": "xgboost"}
    own = {"pandas", "pytz", "pyspark", "py4j"} if lock == "spark" else set()
    found = {name: version for name, version in pins(lock).items() if name not in own}
    assert {name: complete[replaced.get(name, name)] for name in found} == found


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("environment", ("train", "serve", "notebook", "dev")),
        ("dev", ("train", "serve", "dev")),
        ("serve", ("serve",)),
        ("spark", ("spark",)),
    ],
)
def test_every_direct_dependency_is_pinned_within_its_bounds(lock: str, extras: tuple[str, ...]) -> None:
    """A dependency added to pyproject.toml and not locked is noticed here."""
    found = pins(lock)
    if "xgboost-cpu" in found:
        found["xgboost"] = found["xgboost-cpu"]
    for name, requirement in direct(*extras).items():
        assert requirement.specifier.contains(found[name].removeprefix("==")), f"{name} is locked outside {requirement}"


def test_the_extras_are_all_covered() -> None:
    """An extra added to pyproject.toml and not locked is noticed here."""
    assert set(EXTRAS) == {"train", "serve", "notebook", "spark", "dev"}


def test_the_image_brings_no_training_library_and_no_cuda() -> None:
    """The serving lock leaves out what only training needs; MLServer itself asks for pandas."""
    brought = pins("serve")
    assert [name for name in brought if name in {"scikit-learn", "matplotlib", "pyarrow", "pyspark", "xgboost"}] == []
    assert [name for lock in ("serve", "dev", "spark") for name in pins(lock) if name.startswith("nvidia")] == []


def test_conda_reads_the_environment_and_gets_the_complete_lock() -> None:
    """Conda gives Python 3.11 and pip; pip gives everything else from the complete lock, beside this file."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    specs = {spec.name.normalized: spec for spec in map(MatchSpec, conda)}
    assert set(specs) == {"python", "pip"}
    assert str(specs["python"].version) == PROJECT["requires-python"].removeprefix("==")
    assert pip == {"pip": ["-r requirements/environment.txt"]}
