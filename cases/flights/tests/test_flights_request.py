"""`scripts/request.py` prints how late each flight arrives, or one sentence about what went wrong."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cases.flights.tests.served import Api
from cases.flights.tests.small import FLIGHT

SCRIPT = Path(__file__).parents[1] / "scripts/request.py"

Script = Callable[..., subprocess.CompletedProcess[str]]


def test_each_flight_is_printed_with_its_interval(before_api: Api, script: Script, tmp_path: Path) -> None:
    """In the file's order."""
    (tmp_path / "flights.json").write_text(json.dumps([FLIGHT, {**FLIGHT, "dest": "LAX"}]))
    ended = script(SCRIPT, "--data", tmp_path / "flights.json", "--url", before_api.url, "--wait", 30)
    lines = [
        re.fullmatch(r"UA EWR–(\w+) 2013-11-04: \S+ min \(\S+ to \S+\)", line) for line in ended.stdout.splitlines()
    ]
    assert [line and line[1] for line in lines] == ["IAH", "LAX"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "cannot be read: "),
        ("[]", "holds no list of flights; expected one, such as flights.json of this case."),
        ('{"carrier": "UA"}', "holds no list of flights; "),
        ('[{"carrier": "UA"}]', """The API answers 400: {"error":"flights[0] has no 'origin'; """),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(
    before_api: Api, script: Script, tmp_path: Path, content: str, sentence: str
) -> None:
    """By the script or by the API."""
    (tmp_path / "flights.json").write_text(content)
    ended = script(SCRIPT, "--data", tmp_path / "flights.json", "--url", before_api.url)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (3, "", 1)
    assert sentence in ended.stderr


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--url", "foo"], 2, "'foo' is not an address such as http://localhost:8000.\n"),
        (["--data", "/nowhere.json"], 3, "/nowhere.json cannot be read: "),
        (["--url", "http://127.0.0.1:1"], 5, "No API answers at http://127.0.0.1:1 ("),
    ],
)
def test_every_other_failure_has_its_exit_code(script: Script, words: list[str], code: int, sentence: str) -> None:
    """And one sentence."""
    ended = script(SCRIPT, *words)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (code, "", 1)
    assert ended.stderr.startswith(sentence)


def test_a_history_that_is_not_kept_is_an_error(before_api: Api, script: Script, tmp_path: Path) -> None:
    """The predictions are printed before."""
    (tmp_path / "flights.json").write_text(json.dumps([FLIGHT]))
    ended = script(SCRIPT, "--data", tmp_path / "flights.json", "--url", before_api.url, "--history", 1)
    assert (ended.returncode, ended.stdout.count("\n")) == (3, 1)
    assert "TABSERVE_HISTORY" in ended.stderr
