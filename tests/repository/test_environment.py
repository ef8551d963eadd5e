"""The pinned environments agree with each other and with pyproject.toml, and conda can read environment.yml."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rattler import MatchSpec

ROOT = Path(__file__).parents[2]
LOCKS = {path.stem: path for path in (ROOT / "requirements").glob("*.txt") if not path.stem.startswith("overrides")}
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SUPPORTED = SpecifierSet(PROJECT["requires-python"])
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def entries(lock: str) -> list[str]:
    """The requirements of a lock file, continuation lines joined, comments dropped."""
    text = re.sub(r"^\s*#.*\n", "", LOCKS[lock].read_text(), flags=re.MULTILINE)
    return text.replace("\\\n", " ").splitlines()


def pins(lock: str) -> dict[str, str]:
    """Version specifiers of the packages that this Python on Linux would install."""
    parsed = (Requirement(entry.split(" --hash=")[0]) for entry in entries(lock))
    return {
        canonicalize_name(pin.name): str(pin.specifier)
        for pin in parsed
        if pin.marker is None or pin.marker.evaluate({"sys_platform": "linux", "os_name": "posix"})
    }


def direct_requirements(*extras: str) -> dict[str, Requirement]:
    """The requirements of pyproject.toml itself."""
    named = [*PROJECT["dependencies"], *(name for extra in extras for name in EXTRAS[extra])]
    return {canonicalize_name(Requirement(name).name): Requirement(name) for name in named}


@pytest.mark.parametrize("lock", sorted(LOCKS))
def test_every_pin_is_exact_and_carries_hashes(lock: str) -> None:
    """Each entry of a lock allows only the file that was resolved."""
    assert entries(lock), f"{LOCKS[lock]} is empty"
    exact = re.compile(r"[\w.-]+==[\w.!]+ .*--hash=sha256:[0-9a-f]{64}")
    assert [entry for entry in entries(lock) if not exact.match(entry)] == []


@pytest.mark.parametrize("lock", sorted(LOCKS))
def test_a_lock_names_no_download_address(lock: str) -> None:
    """The user chooses the index; no address and no folder of another machine is stored."""
    assert re.findall(r".*(?:://|--index|--find-links|@ |/(?:home|root|tmp)/).*", LOCKS[lock].read_text()) == []


@pytest.mark.parametrize("lock", sorted(set(LOCKS) - {"environment", "kserve", "peers"}))  # environments of their own
def test_a_package_has_one_version_in_every_lock(lock: str) -> None:
    """Training and serving use the tested versions."""
    complete = pins("environment")
    replaced = {"xgboost-cpu": "xgboost"}
    own = {"pandas", "pytz", "pyspark", "py4j"} if lock == "spark" else set()
    versions = {name: version for name, version in pins(lock).items() if name not in own}
    assert {name: complete[replaced.get(name, name)] for name in versions} == versions


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("environment", ("train", "serve", "postgresql", "notebook", "dev")),
        ("dev", ("train", "serve", "postgresql", "dev")),
        ("serve", ("serve", "postgresql")),
        ("spark", ("spark",)),
    ],
)
def test_every_direct_dependency_is_pinned_within_its_bounds(lock: str, extras: tuple[str, ...]) -> None:
    """A dependency that is added to pyproject.toml must be locked."""
    versions = pins(lock)
    if "xgboost-cpu" in versions:
        versions["xgboost"] = versions["xgboost-cpu"]
    for name, requirement in direct_requirements(*extras).items():
        assert requirement.specifier.contains(versions[name].removeprefix("==")), (
            f"{name} is locked outside {requirement}"
        )


def test_the_extras_are_all_covered() -> None:
    """An extra that is added to pyproject.toml must be locked."""
    assert set(EXTRAS) == {"train", "serve", "postgresql", "notebook", "spark", "dev"}


def test_the_locks_of_the_image_have_no_training_library_and_no_cuda() -> None:
    """The serving lock has no training library but pandas, which MLServer requires."""
    serving = pins("serve")
    assert [name for name in serving if name in {"scikit-learn", "matplotlib", "pyarrow", "pyspark", "xgboost"}] == []
    assert [name for lock in ("serve", "dev", "spark") for name in pins(lock) if name.startswith("nvidia")] == []


def test_conda_reads_the_environment_and_gets_the_complete_lock() -> None:
    """Conda installs a supported Python and pip; pip installs everything else from the complete lock."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    specs = {spec.name.normalized: spec for spec in map(MatchSpec, conda)}
    assert set(specs) == {"python", "pip"}
    assert str(specs["python"].version).removesuffix(".*") in SUPPORTED
    assert pip == {"pip": ["-r requirements/environment.txt"]}
