"""One connection of uvicorn's, on which requests are bounded in size and in time, and inference goes past ASGI."""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tabserve.serving.rest import responses
from tabserve.serving.rest.exchange import Exchange, RequestHandler, to_bytes
from tabserve.serving.rest.lingering_close import LingeringClose
from tabserve.serving.rest.paths import route

MAX_HEAD_BYTES = 64 * 1024
"""Bytes of a request's head, of a chunk's line, and of what follows the last chunk; beyond, the connection ends."""

HOST = re.compile(rb"(\[(?P<address>[0-9A-Fa-f:.]+)\]|[-\w.~!$&'()*+,;=%]*)(:\d*)?", re.ASCII)
"""A name or an address, and a port (RFC 9110, 7.2)."""


class Refused(httptools.HttpParserError):
    """A request is HTTP, and yet none that is answered; the message is for the client."""


class Connection(HttpToolsProtocol):
    """One connection, on which little may come that is no body, and on which inference goes past ASGI."""

    _head_bytes, _is_upgrade, _is_broken = 0, False, False
    _started: Exchange | RequestResponseCycle | None = None

    def data_received(self, data: bytes) -> None:
        """Take what came, and end the connection where it is no HTTP, or where too much of it is no body."""
        if self._is_broken:
            return
        self._unset_keepalive_if_required()
        self._head_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:  # what a callback raises is its context
            is_ours = isinstance(error.__context__, Refused)
            self.send_400_response(str(error.__context__) if is_ours else "This is no request of HTTP/1.1.")
            return
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(
                f"The head of the request, or what follows its body, is larger than {MAX_HEAD_BYTES} bytes."
            )

    def _parse(self, data: bytes | memoryview) -> None:
        """Parse what came; who would rather speak another protocol is answered in this one (RFC 9110, 7.8)."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:  # the parser has taken the head for all of the request
                data = memoryview(data)[upgrade.args[0] :]
            else:
                return
            head = self._head_without_upgrade()
            self._is_upgrade, self.parser = False, httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
            self.parser.feed_data(head)

    def _head_without_upgrade(self) -> bytes:
        line = f" HTTP/{self.parser.get_http_version()}\r\n".encode()
        headers = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"".join([self.parser.get_method(), b" ", self.url, line, *headers, b"\r\n"])

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header as uvicorn does, but for the white space behind its value (RFC 9112, 5)."""
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        if name == b"transfer-encoding" and value.lower() != b"chunked":
            raise Refused("Transfer-Encoding may be chunked alone; pack a body by Content-Encoding.")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin an exchange where inference is asked for; and begin to count anew what is no body."""
        self._head_bytes = 0
        if self.parser.get_method() == b"CONNECT":
            raise Refused("This server is no proxy: it makes no tunnels.")
        if self.parser.should_upgrade() and any(name == b"upgrade" for name, _ in self.headers):
            self._is_upgrade = True
            return
        self._check_host()
        target = cast("RequestHandler", self.config.app).target(route(httptools.parse_url(self.url).path))
        if target is None:
            super().on_headers_complete()
            return
        before: RequestResponseCycle | None = self.cycle
        self.cycle = cast("RequestResponseCycle", Exchange(self, target))
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # as uvicorn has it, answers come in the order of the requests
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _check_host(self) -> None:
        """Refuse a request without the one Host that HTTP/1.1 asks for, or with one that is none (RFC 9112, 3.2)."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) == 1 and _is_host(hosts[0]):
            return
        if len(hosts) == 1:
            raise Refused("The Host header is neither a name nor an address.")
        if hosts or self.parser.get_http_version() != "1.0":
            raise Refused(f"The request has {len(hosts)} Host headers; HTTP/1.1 takes exactly one.")

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:  # noqa: ANN401  uvicorn's types
        self._started = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Do not count what is a body: that is bounded where it is read."""
        self._head_bytes -= len(body)
        super().on_body(body)

    def on_chunk_complete(self) -> None:
        """Begin to count anew, for the next chunk's line, or for what follows the last."""
        self._head_bytes = 0

    def on_message_complete(self) -> None:
        """Begin to count anew, for the next head."""
        if not self._is_upgrade:
            super().on_message_complete()
            self._head_bytes = 0

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's is never true
        """Stay open for the answer to who has said all, and end with it; end at once where there is none."""
        if not self._is_asked():
            return False
        self.cycle.keep_alive = False
        return True

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request; who asked something before it gets that answer instead, as the last."""
        self._is_broken = True
        if self._is_asked():
            self.cycle.keep_alive = False
            return
        reply = responses.refusal(400, msg)
        headers = [(b"content-length", b"%d" % len(reply.body)), *reply.headers, responses.CLOSE]
        self.transport.write(to_bytes(400, headers, reply.body))
        self.end()

    def _is_asked(self) -> bool:
        """Whether a request is here as a whole, and not yet answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def end(self) -> None:
        """Close the connection, its last answer written; later, where the client may still be sending."""
        cycle: RequestResponseCycle | None = self.cycle
        if self._is_broken or cycle is None or cycle.more_body:
            self.flow.resume_reading()
            LingeringClose(self.transport, self.connections)
            self.connection_lost(ConnectionAbortedError())
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up the answer that nobody waits for."""
        started = self._started
        if started and not started.response_complete:
            started.disconnected = True  # uvicorn says so to the last request alone
            if isinstance(started, Exchange) and started.task:
                started.task.cancel()
        super().connection_lost(exc)

    def abandon(self) -> None:
        """End the connection at once, whatever is still to be read or written."""
        self.connection_lost(ConnectionAbortedError())  # before the transport lets who waits for it write on
        self.transport.abort()

    def unfinished(self) -> bool:
        """Whether the client has an answer to read, or begun, or should begin, to send what is not complete."""
        if self.transport.get_write_buffer_size():
            return True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            return self.timeout_keep_alive_task is None
        return cycle.more_body


@lru_cache(maxsize=256)
def _is_host(value: bytes) -> bool:
    if not (found := HOST.fullmatch(value)):
        return False
    try:
        return found["address"] is None or bool(IPv6Address(found["address"].decode()))
    except AddressValueError:
        return False
