"""The one file of a form that a client uploads, in multipart/form-data (RFC 7578)."""

import logging
from functools import partial
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from tabserve.errors import InvalidRequest
from tabserve.serving.protocol.document import Bytes
from tabserve.wording import shown

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a refusal says what a wrong form lacks

FIELD = "file"
"""The name of the form's field."""

FORM = b"multipart/form-data"

HINT = f"send one file as the field {FIELD!r} of {FORM.decode()}, as curl --form {FIELD}=@model.zip does"


class File(NamedTuple):
    """An uploaded file, with the name that its client gave it."""

    name: str
    data: bytes


def uploaded(body: Bytes, content_type: bytes) -> File:
    """The file of a form.

    Raises:
        InvalidRequest: the body is no form, is cut short, or holds something else than one file that is not empty.
    """
    kind, options = parse_options_header(content_type.decode("latin-1"))
    if kind != FORM or not options.get(b"boundary"):
        raise InvalidRequest(f"The Content-Type is {shown(content_type.decode('latin-1'))}; {HINT}.")
    form = _Form()
    try:
        parser = MultipartParser(options[b"boundary"], form.callbacks())  # type: ignore[arg-type]
        parser.write(bytes(body))
    except FormParserError as error:
        raise InvalidRequest(f"The form cannot be read ({error}); {HINT}.") from error
    return form.file()


class _Form:
    """Collects the parts of a form as the parser meets them."""

    def __init__(self) -> None:
        self._parts, self._is_whole = 0, False
        self._header = {"field": bytearray(), "value": bytearray()}
        self._disposition, self._data = b"", bytearray()

    def callbacks(self) -> dict[str, object]:
        """What the parser calls, by its names."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": partial(self._take, self._header["field"]),
            "on_header_value": partial(self._take, self._header["value"]),
            "on_header_end": self._end_header,
            "on_part_data": partial(self._take, self._data),
            "on_end": self._end,
        }

    def file(self) -> File:
        """The file.

        Raises:
            InvalidRequest: there is none, or it is empty or cut short.
        """
        if not self._is_whole:
            raise InvalidRequest(f"The form is empty or cut short; {HINT}.")
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        field = options.get(b"name", b"").decode(errors="replace")
        if field != FIELD or b"filename" not in options:
            what = "a file in" if b"filename" in options else "no file, but"
            raise InvalidRequest(f"The form has {what} the field {shown(field)}; {HINT}.")
        name = options[b"filename"].decode(errors="replace")
        if not self._data:
            raise InvalidRequest(f"The file {shown(name)} is empty; {HINT}.")
        return File(name, bytes(self._data))

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise InvalidRequest(f"The form has more than one field; {HINT}.")

    def _take(self, whole: bytearray, data: bytes, start: int, end: int) -> None:
        whole += data[start:end]

    def _end_header(self) -> None:
        field, value = (bytes(part) for part in self._header.values())
        if field.lower() == b"content-disposition":
            self._disposition = value
        for part in self._header.values():
            part.clear()

    def _end(self) -> None:
        self._is_whole = True
