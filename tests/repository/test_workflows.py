"""The workflows and hooks that run on other machines are valid, and safe as far as tools can tell."""

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
CALLERS = [*WORKFLOWS, ROOT / ".ci/run", ROOT / ".pre-commit-config.yaml"]


def run(program: str, *arguments: str | Path) -> None:
    """Run an installed program; its complaint is the failure's message."""
    command = [Path(sysconfig.get_path("scripts"), program), *arguments]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_workflows_follow_the_schema() -> None:
    """GitHub would accept every workflow."""
    run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)


def test_workflows_are_safe() -> None:
    """The audit finds no unpinned action, no kept credential and no permission too many."""
    run("zizmor", "--offline", "--quiet", ROOT / ".github")


def test_who_may_write_runs_no_code_of_ours() -> None:
    """A job that may publish takes what another built: no package that goes bad there gets the right to publish."""
    jobs = [job for path in WORKFLOWS for job in yaml.safe_load(path.read_text())["jobs"].values()]
    writing = [job for job in jobs if "write" in job["permissions"].values()]
    assert {permission for job in writing for permission in job["permissions"]} == {"contents", "id-token", "packages"}
    for job in writing:
        steps = yaml.safe_dump(job["steps"])
        assert len(job["permissions"]) == 1
        assert not re.findall(r"checkout|setup-python|\b(?:make|python|pip)\b", steps)


def test_hooks_are_valid() -> None:
    """pre-commit would accept its configuration."""
    run("pre-commit", "validate-config", ".pre-commit-config.yaml")


def test_hooks_call_programs_that_are_locked() -> None:
    """Every hook runs a program of .venv, so that a hook and `make lint` never disagree."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    programs = [Path(hook["entry"].split()[0]) for hook in hooks]
    assert {program.parent for program in programs} == {Path(".venv/bin")}
    assert [p.name for p in programs if not Path(sysconfig.get_path("scripts"), p.name).exists()] == []


@pytest.mark.parametrize("caller", CALLERS, ids=lambda path: path.name)
def test_only_words_of_the_makefile_are_called(caller: Path) -> None:
    """A target renamed in the Makefile and not where it is called is noticed here."""
    words = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert words
    called = re.findall(r"\bmake ([a-z-]+)", caller.read_text())
    assert set(called) <= set(words[1].split())
