"""The workflows and hooks are valid, and safe as far as tools can tell."""

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
    """Run an installed program; its output is the failure's message."""
    command = [Path(sysconfig.get_path("scripts"), program), *arguments]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_workflows_follow_the_schema() -> None:
    """GitHub would accept every workflow."""
    run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)


def test_workflows_are_safe() -> None:
    """The audit finds no unpinned action, kept credential or needless permission."""
    run("zizmor", "--offline", "--quiet", ROOT / ".github")


def test_jobs_with_write_permission_run_no_code_of_ours() -> None:
    """A publishing job uses another job's artifacts, so that a malicious package cannot publish."""
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
    """Every hook runs a program of .venv, so that hooks and `make lint` agree."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    programs = [Path(hook["entry"].split()[0]) for hook in hooks]
    assert {program.parent for program in programs} == {Path(".venv/bin")}
    assert [
        program.name for program in programs if not Path(sysconfig.get_path("scripts"), program.name).exists()
    ] == []


@pytest.mark.parametrize("caller", CALLERS, ids=lambda path: path.name)
def test_only_targets_of_the_makefile_are_called(caller: Path) -> None:
    """Every make target that a workflow or hook calls exists."""
    targets = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    called = re.findall(r"\bmake ([a-z-]+)", caller.read_text())
    assert set(called) <= set(targets[1].split())
