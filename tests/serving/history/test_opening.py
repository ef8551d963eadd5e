"""A setting that can never be right ends a server at its start, in one sentence; all else is tried again."""

import sys
from pathlib import Path

import pytest

from tabserve.errors import ServerError
from tabserve.serving.history.opening import open_history, running_history
from tabserve.serving.limits import Limits


def test_no_setting_keeps_no_history() -> None:
    """It is switched on by its address alone."""
    assert open_history(Limits()) is None


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("{0}/no/history.db", "is {0}/no/history.db, and {0}/no is no folder; make it, or name another."),
        ("{0}", "is {0}, which is no regular file; name a file, such as history.db."),
        ("mysql://u:secret@h/d", "begins with 'mysql'://; expected the path of a file, or an address"),
        ("postgresql://u:secret@h/d?such=1", "is no address of PostgreSQL; expected one such as postgresql://user"),
    ],
)
def test_a_place_where_no_history_can_be_kept_is_refused(address: str, sentence: str, tmp_path: Path) -> None:
    """The message says what was expected, and holds no password."""
    with pytest.raises(ServerError) as error:
        open_history(Limits(history=address.format(tmp_path)))
    assert str(error.value).startswith(f"The setting `history` (TABSERVE_HISTORY) {sentence.format(tmp_path)}")
    assert "secret" not in str(error.value)


def test_postgresql_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the message says how to install it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "tabserve.serving.history.postgresql", raising=False)
    with pytest.raises(ServerError, match=r"needs psycopg .*; install it by pip install 'tabserve\[postgresql\]'\.$"):
        open_history(Limits(history="postgresql://h/d"))


def test_a_server_that_does_not_answer_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Predictions start without it; the log names it without its password."""
    with running_history(Limits(history="postgresql://u:secret@127.0.0.1:9/d")) as history:
        assert history is not None
    assert "postgresql://127.0.0.1:9/d" in caplog.text
    assert "secret" not in caplog.text
