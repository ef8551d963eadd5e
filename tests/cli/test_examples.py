"""Every example in the help of `tabserve` and its commands does what it says."""

import argparse
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest

from tabserve.cli import main
from tabserve.client.local_server import Server, free_ports, running_process
from tabserve.errors import Drifted
from tabserve.plan import plan_file
from tabserve.plan.options import Options
from tabserve.plan.plan import make_plan
from tabserve.table.frame import Frame
from tabserve.table.source import as_source
from tabserve.training import bootstrap, default_candidates
from tabserve.training.default_candidates import Trees

ROOT = Path(__file__).parents[2]

EXAMPLE = re.compile(r"^(?:  |example: )(tabserve \w.*)$", re.MULTILINE)


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The parser of the command, and that of each word by its name."""
    whole = main._parser()
    yield "tabserve", whole
    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


EXAMPLES = {name: EXAMPLE.findall(parser.epilog or "") for name, parser in parsers()}
ALL = [*dict.fromkeys(line for lines in EXAMPLES.values() for line in lines)]
SERVED = [line for line in ALL if line.startswith("tabserve serve ")]


def test_every_command_has_an_example() -> None:
    """Of itself; and every line is parsed by the command it is of."""
    assert {*EXAMPLES} >= {
        "tabserve",
        "train",
        "serve",
        "ask",
        "score",
        "pack",
        "check",
        "compare",
        "drift",
        "threshold",
    }
    assert not [name for name, lines in EXAMPLES.items() if not lines]
    assert not [line for name, lines in EXAMPLES.items() for line in lines if name not in line]


@pytest.fixture
def workplace(model_folder: Path, sample_frame: Frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the examples: the settings, two model folders, and rows with a target and without."""
    monkeypatch.chdir(tmp_path)
    for name in ("model", "churn"):
        shutil.copytree(model_folder, tmp_path / "build" / name)
    shutil.copytree(model_folder, tmp_path / "deploy/model")
    for name in ("settings.json", "model-settings.json"):
        shutil.copy(ROOT / "deploy" / name, tmp_path / "deploy")
    frame, problem = sample_frame.take(np.arange(300)), sample_frame.problem
    rows = pd.DataFrame(frame.features, columns=list(problem.features)).assign(**{str(problem.id): frame.ids})
    rows.to_csv(tmp_path / "new.csv", index=False)
    rows.assign(**{problem.target: frame.target}).to_csv(tmp_path / "labelled.csv", index=False)
    write_own_tables(tmp_path)
    return tmp_path


def write_own_tables(folder: Path) -> None:
    """Write the tables of the examples that train, and the plan of one of them."""
    rng, rows = np.random.default_rng(0), 120
    months = rng.integers(1, 60, rows)
    churned = np.where(months + rng.normal(0, 20, rows) < 30, "yes", "no")
    pd.DataFrame({"months": months, "churned": churned}).to_csv(folder / "churn.csv", index=False)
    night = np.datetime_as_string(np.datetime64("2026-01-01") + np.arange(rows))
    hotels = {
        "night": night,
        "rooms": months,
        "price": months * 2.5 + rng.normal(size=rows),
        "url": "u",
        "photo": night,
    }
    pd.DataFrame(hotels).to_csv(folder / "hotels.csv", index=False)
    plan = make_plan(as_source(folder / "churn.csv"), Options("churned"))
    plan_file.write(plan, folder / "churn.toml")


@pytest.mark.parametrize("line", [line for line in ALL if line not in SERVED])
def test_an_example_runs(
    line: str, workplace: Path, served: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends well, prints something, and writes the file that it names; drift may be found."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)
    monkeypatch.setattr(default_candidates, "USUAL", (Trees(2, 10, 0.3),))
    monkeypatch.setenv("MLSERVER_HTTP_PORT", served.url.rpartition(":")[2])
    monkeypatch.setenv("MLSERVER_GRPC_PORT", served.grpc.rpartition(":")[2])
    words = shlex.split(line)
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as exiting:
        main.main()
    stdout, stderr = capsys.readouterr()
    assert exiting.value.code in {0, Drifted.exit_code if words[1] == "drift" else 0}, stderr
    assert stdout
    if "--out" in words:
        assert (workplace / words[words.index("--out") + 1]).is_file()


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("line", SERVED)
def test_an_example_serves_until_a_signal(line: str) -> None:
    """On other ports than those of the example; the model has the name of the example, or of its folder."""
    http, grpc, metrics = map(str, free_ports(3))
    words = [sys.executable, "-m", *shlex.split(line), "--host", "127.0.0.1", "--port", http]
    words += ["--grpc-port", grpc, "--metrics-port", metrics]
    name = "churn" if "churn" in words else "xgboost-model" if "deploy" in words else Path(words[4]).name
    url = f"http://127.0.0.1:{http}/v2/models/{name}"
    with running_process(words, os.environ, f"{url}/ready") as (process, log):
        assert urlopen(url, timeout=20).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "Traceback" not in log.read_text()
