"""Who may load a model: nobody, clients on this machine, or those with the token."""

from pathlib import Path

import pytest

from tabserve.errors import Forbidden, ServerError
from tabserve.serving.access import access
from tabserve.serving.load_settings import LoadSettings

DOCUMENT = (Path(__file__).parents[2] / "docs/loading.md").read_text()
TOKEN = "a secret of many characters"
BEARER = f"Bearer {TOKEN}".encode()
HERE = "127.0.0.1"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> LoadSettings:
    """The settings that the environment gives."""
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)
    return LoadSettings.read()


OFF, LOOPBACK, OPEN = (
    {"TABSERVE_LOAD": "off"},
    dict[str, str](),
    {"TABSERVE_LOAD": "token", "TABSERVE_LOAD_TOKEN": TOKEN},
)


@pytest.mark.parametrize(
    ("settings", "client", "headers"),
    [
        (LOOPBACK, HERE, {}),
        (LOOPBACK, "127.8.9.1", {b"authorization": b"anything"}),
        (LOOPBACK, "::1", {}),
        (LOOPBACK, "::ffff:127.0.0.1", {}),
        (LOOPBACK, HERE, {b"origin": b"http://localhost:8000"}),
        (LOOPBACK, HERE, {b"origin": b"http://[::1]:8000"}),
        (OPEN, "203.0.113.9", {b"authorization": BEARER}),
        (OPEN, "203.0.113.9", {b"authorization": BEARER.replace(b"Bearer ", b"bearer  "), b"via": b"1.1 proxy"}),
    ],
    indirect=["settings"],
)
def test_a_client_that_may_load(settings: LoadSettings, client: str, headers: dict[bytes, bytes]) -> None:
    """On this machine, without any setting; elsewhere, with the token."""
    access(settings)(client, headers)


@pytest.mark.parametrize(
    ("settings", "client", "headers"),
    [
        (OFF, HERE, {}),
        (OFF, HERE, {b"authorization": BEARER}),
        (LOOPBACK, "203.0.113.9", {}),
        (LOOPBACK, "::ffff:203.0.113.9", {}),
        (LOOPBACK, "", {}),
        (LOOPBACK, "203.0.113.9", {b"origin": b"http://localhost"}),
        (LOOPBACK, HERE, {b"x-forwarded-for": HERE.encode()}),
        (LOOPBACK, HERE, {b"forwarded": b"for=127.0.0.1"}),
        (LOOPBACK, HERE, {b"origin": b"https://example.com"}),
        (LOOPBACK, HERE, {b"origin": b"http://localhost.example.com"}),
        (LOOPBACK, HERE, {b"origin": b"null"}),
        (LOOPBACK, HERE, {b"origin": b"http://[::1"}),
        (OPEN, HERE, {}),
        (OPEN, HERE, {b"authorization": b"Bearer"}),
        (OPEN, HERE, {b"authorization": b"Bearer " + b"x" * len(TOKEN)}),
        (OPEN, HERE, {b"authorization": TOKEN.encode()}),
        (OPEN, HERE, {b"authorization": BEARER.replace(b"Bearer", b"Basic")}),
        (OPEN, HERE, {b"authorization": BEARER + b"x"}),
    ],
    indirect=["settings"],
)
def test_a_client_that_may_not_load(settings: LoadSettings, client: str, headers: dict[bytes, bytes]) -> None:
    """One sentence says who may; it does not hold the token."""
    with pytest.raises(Forbidden) as error:
        access(settings)(client, headers)
    assert str(error.value).endswith(".")
    assert TOKEN not in str(error.value)


def test_the_token_may_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As secrets of containers do; the line break at its end does not count."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("TABSERVE_LOAD", "token")
    monkeypatch.setenv("TABSERVE_LOAD_TOKEN_FILE", str(tmp_path / "token"))
    access(LoadSettings.read())("203.0.113.9", {b"authorization": BEARER})


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"TABSERVE_LOAD": "open"},
            r"A TABSERVE_\* variable is wrong: load: Input should be 'off', 'loopback' or 'token'",
        ),
        ({"TABSERVE_LOAD_SECONDS": "0"}, r"A TABSERVE_\* variable is wrong: load_seconds: "),
        ({"TABSERVE_LOAD": "token"}, "TABSERVE_LOAD is token, which needs one of at least 16 characters; "),
        ({"TABSERVE_LOAD": "token", "TABSERVE_LOAD_TOKEN": "short"}, "TABSERVE_LOAD is token, which needs one of at "),
        (
            {"TABSERVE_LOAD": "token", "TABSERVE_LOAD_TOKEN_FILE": "/nowhere"},
            "The token in /nowhere cannot be read: No ",
        ),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str) -> None:
    """The server does not start."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ServerError, match=f"^{sentence}"):
        LoadSettings.read()


def test_the_settings_do_not_show_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in a log nor in a traceback."""
    monkeypatch.setenv("TABSERVE_LOAD_TOKEN", TOKEN)
    assert TOKEN not in repr(LoadSettings.read())


@pytest.mark.parametrize("name", LoadSettings.model_fields)
def test_every_variable_is_documented_with_its_default(name: str) -> None:
    """The table in docs/loading.md has a row for it; secrets and paths have no default."""
    default = LoadSettings.model_fields[name].default
    shown = f"{default:.0f}" if isinstance(default, int | float) else default if isinstance(default, str) else ""
    assert f"| `TABSERVE_{name.upper()}` | {shown} |".replace("|  |", "| |") in DOCUMENT
