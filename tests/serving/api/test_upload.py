"""The one file of a form is read to the byte, and any other form is refused by one sentence."""

from contextlib import suppress
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tabserve.errors import InvalidRequest
from tabserve.serving.api.upload import uploaded

FILE = ("model.zip", b"PK\x03\x04\r\n--boundary\r\n")


def form(files: Any, data: Any = None) -> tuple[bytes, bytes]:  # noqa: ANN401  as requests takes them
    """The body and the Content-Type of a form."""
    prepared = requests.Request("POST", "http://localhost", files=files, data=data).prepare()
    assert isinstance(prepared.body, bytes)
    return prepared.body, prepared.headers["Content-Type"].encode()


@given(st.binary(min_size=1) | st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n--"])).map(b"-".join))
def test_a_file_is_read_to_the_byte(data: bytes) -> None:
    """Also if it looks like the edge of a part."""
    if data:
        assert uploaded(*form({"file": ("a b.zip", data)})) == ("a b.zip", data)


def test_the_order_and_case_of_a_parts_headers_do_not_matter() -> None:
    """Nor does what the client says of the content."""
    head = b'content-type: text/x\r\nCONTENT-DISPOSITION: form-data; filename="m.pkl"; name="file"'
    body = b"--b\r\n" + head + b"\r\n\r\ndata\r\n--b--\r\n"
    assert uploaded(body, b"multipart/form-data; boundary=b") == ("m.pkl", b"data")


BODY, KIND = form({"file": FILE})

WRONG = {
    "no Content-Type": (BODY, b"", "The Content-Type is ''; "),
    "another Content-Type": (BODY, b"application/zip", "The Content-Type is 'application/zip'; "),
    "no boundary": (BODY, b"multipart/form-data", "The Content-Type is 'multipart/form-data'; "),
    "another boundary": (BODY, b"multipart/form-data; boundary=x", "The form cannot be read "),
    "a long boundary": (BODY, b"multipart/form-data; boundary=" + b"x" * 1_000, "The form cannot be read "),
    "an empty body": (b"", KIND, "The form is empty or cut short; "),
    "a body that is cut": (BODY[:-8], KIND, "The form is empty or cut short; "),
    "no form": (b"PK\x03\x04", KIND, "The form cannot be read "),
    "an empty file": (*form({"file": ("model.zip", b"")}), "The file 'model.zip' is empty; "),
    "another field": (*form({"model": FILE}), "The form has a file in the field 'model'; "),
    "a field without a file": (*form({"file": (None, "text")}), "The form has no file, but the field 'file'; "),
    "two files": (*form([("file", FILE), ("file", FILE)]), "The form has more than one field; "),
    "a file and a field": (*form({"file": FILE}, {"name": "x"}), "The form has more than one field; "),
    "endless headers": (
        b"--b\r\n" + b"x: y\r\n" * 1_000,
        b"multipart/form-data; boundary=b",
        "The form cannot be read ",
    ),
}


@pytest.mark.parametrize(("body", "kind", "sentence"), WRONG.values(), ids=WRONG)
def test_any_other_form_is_refused(body: bytes, kind: bytes, sentence: str) -> None:
    """The sentence ends with what to send."""
    with pytest.raises(InvalidRequest) as error:
        uploaded(body, kind)
    assert str(error.value).startswith(sentence)
    assert str(error.value).endswith("as curl --form file=@model.zip does.")


@given(st.data())
def test_a_damaged_form_is_refused_or_read(data: st.DataObject) -> None:
    """Never anything but a sentence or a file."""
    body = bytearray(BODY)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(InvalidRequest):
        assert uploaded(body, KIND).data
