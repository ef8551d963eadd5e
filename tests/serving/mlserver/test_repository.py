"""`tabserve serve` takes a model folder as it is, and gives the model a name."""

import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from tests.serving.wire import DEPLOY, write_settings

from tabserve.client.local_server import SERVE, free_ports, running
from tabserve.client.rest import RestClient
from tabserve.errors import ArtifactError, ServerError, UsageError
from tabserve.model.model import load
from tabserve.serving.mlserver import server
from tabserve.serving.mlserver.repository import is_model_folder, name_of

SECONDS = 20


def wait_for(sentence: str, log: Path) -> None:
    """Wait until a sentence is in the log."""
    deadline = time.monotonic() + SECONDS
    while sentence not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("build/churn", "churn"),
        ("build/churn/", "churn"),
        ("build/x/../churn", "churn"),
        ("build/Preços 2024!", "Precos-2024"),
        ("build/.v1.2-", "v1.2"),
        ("build/日本", "model"),
        ("build/stats", "model"),
        ("/", "model"),
    ],
)
def test_a_model_is_named_after_its_folder(folder: str, name: str) -> None:
    """In characters that a path holds as they are, and never as a route of the server."""
    assert name_of(Path(folder)) == name


def test_a_link_names_the_model_that_it_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A roll-out moves the link, and the name stays; the working directory has its own name."""
    (tmp_path / "model-1").mkdir()
    (tmp_path / "served").symlink_to("model-1")
    monkeypatch.chdir(tmp_path / "model-1")
    assert (name_of(tmp_path / "served"), name_of(Path())) == ("served", "model-1")


def test_a_folder_with_settings_of_a_model_is_a_folder_of_settings(model_folder: Path, tmp_path: Path) -> None:
    """Even if it is the model's own folder."""
    both = shutil.copytree(model_folder, tmp_path / "both")
    assert is_model_folder(both)
    write_settings(both)
    assert not is_model_folder(both)


@pytest.mark.parametrize(("options", "name"), [([], "amount"), (["--name", "my model"], "my model")])
def test_a_model_folder_is_all_that_a_server_needs(
    mixed_folders: dict[str, Path], options: list[str], name: str
) -> None:
    """It answers as the folder does, whatever TABSERVE_MODEL says, and goes on after SIGHUP."""
    folder = mixed_folders["amount"]
    command = [*SERVE, *options]
    other = {"TABSERVE_MODEL": str(mixed_folders["two"])}  # the folder on the command line is meant
    with running(folder, other, command, ready=f"/v2/models/{name.replace(' ', '%20')}/ready") as started:
        model, client = load(folder), RestClient(started.url, None, SECONDS)
        assert client.model == name
        cells: dict[str, list[Any]] = {"income": [10.0], "city": ["Recife"], "seen": ["2020-01-01 08:30"]}
        row = {column: cells.get(column, [None]) for column in model.problem.features}
        expected = model.score(model.encoder.encode([*row.values()]).features)
        assert (
            client.ask_columns(cells, ["predict"]).outputs["predict"]
            == model.decision.table(expected, model.problem)["prediction"]
        )
        started.process.send_signal(signal.SIGHUP)
        wait_for(f"Model {name} was reloaded.", started.log)


def test_options_replace_the_variables(mixed_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The message of a port in use names the option; the variables name ports that are free."""
    monkeypatch.setattr(server, "install_uvloop_event_loop", lambda: None)
    monkeypatch.setattr(server, "configure_logger", lambda: None)
    for variable, port in zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True):
        monkeypatch.setenv(f"MLSERVER_{variable}_PORT", str(port))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ServerError, match=f"^Port {port} is in use; stop what listens there, or set --metrics-port"
        ):
            server.serve(mixed_folders["two"], host="127.0.0.1", metrics_port=port)


def test_what_does_not_fit_together_is_refused(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two model folders; one name for several models; a damaged model."""
    monkeypatch.setattr(server, "install_uvloop_event_loop", lambda: None)
    monkeypatch.setattr(server, "configure_logger", lambda: None)
    with pytest.raises(
        UsageError, match=r" is a model folder already; leave out --model, or name a folder of settings"
    ):
        server.serve(model_folder, model_folder)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_settings(tmp_path / name, name=name, parameters={"uri": str(model_folder)})
    with pytest.raises(
        UsageError, match=r"^--name or TABSERVE_NAME names one model, and the settings name 2 models; leave it out\.$"
    ):
        server.serve(tmp_path, name="c")
    broken = shutil.copytree(model_folder, tmp_path / "broken")
    (broken / "model.ubj").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"model\.ubj does not have the checksum"):
        server.serve(broken)


@pytest.mark.parametrize(
    ("options", "environment"),
    [(["--name", "renamed"], {"TABSERVE_NAME": "other"}), ([], {"TABSERVE_NAME": "renamed"})],
)
def test_the_only_model_of_settings_may_get_another_name(
    model_folder: Path, options: list[str], environment: dict[str, str]
) -> None:
    """By the option, or by the variable, which the option replaces; it keeps the version of the settings."""
    command = [*SERVE, *options, "--model", str(model_folder)]
    with running(DEPLOY, environment, command, "/v2/models/renamed/versions/v0.1.0/ready") as started:
        assert RestClient(started.url, None, SECONDS).model == "renamed"
