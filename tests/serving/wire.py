"""Bare connections and HTTP heads for tests of a server, and folders of settings for servers of their own."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).parents[2] / "deploy"
INFER = "/v2/models/xgboost-model/infer"
GOODS = "/v2/models/goods"
SECONDS = 20
"""Most time that a server may take to answer."""


def connect(address: str) -> socket.socket:
    """Open a bare TCP connection to an address or URL."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=SECONDS)


def head(length: int) -> bytes:
    """The head of an inference request with a body of this length."""
    return f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def write_settings(folder: Path, **members: Any) -> Path:  # noqa: ANN401  any JSON
    """Copy the project's settings to a folder, with these members of the model's replaced; returns the folder."""
    shutil.copy(DEPLOY / "settings.json", folder)
    document = json.loads((DEPLOY / "model-settings.json").read_text())
    (folder / "model-settings.json").write_text(json.dumps(document | members))
    return folder


def write_both_settings(folder: Path, numbers: Path, texts: Path) -> Path:
    """Write the settings of a server with two models, the project's and one of texts; returns the folder."""
    for name in ("numbers", "texts"):
        (folder / name).mkdir()
    write_settings(folder, parameters={"uri": str(numbers), "version": "v0.1.0"})
    (folder / "model-settings.json").rename(folder / "numbers" / "model-settings.json")
    runtime = "tabserve.serving.mlserver.runtime.FolderModel"
    settings = {"name": "goods", "implementation": runtime, "parameters": {"uri": str(texts), "version": "v1"}}
    (folder / "texts" / "model-settings.json").write_text(json.dumps(settings))
    return folder
