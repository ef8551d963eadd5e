"""An HTTP connection that bounds the head of each request, and answers inference without ASGI."""

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
"""Most bytes of a request's head, of the size line of a chunk, and of the trailers; the connection closes beyond."""

HOST = re.compile(rb"(\[(?P<address>[0-9A-Fa-f:.]+)\]|[-\w.~!$&'()*+,;=%]*)(:\d*)?", re.ASCII)
"""A Host header: a name or an address, and perhaps a port (RFC 9110, 7.2)."""


class RefusedRequest(httptools.HttpParserError):
    """The request is HTTP, but this server refuses it; the message is for the client."""


class Connection(HttpToolsProtocol):
    """A uvicorn connection that limits the bytes outside bodies, and starts an `Exchange` for inference requests."""

    _head_bytes, _is_upgrade, _is_broken = 0, False, False
    _running: Exchange | RequestResponseCycle | None = None

    def data_received(self, data: bytes) -> None:
        """Parse the bytes; refuse them, and close, if they are not HTTP or too many of them are not body."""
        if self._is_broken:
            return
        self._unset_keepalive_if_required()
        self._head_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:  # the context is what a callback raised
            reason = error.__context__
            is_refused = isinstance(reason, RefusedRequest)
            self.send_400_response(str(reason) if is_refused else "This is no request of HTTP/1.1.")
            return
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(
                f"The head of the request, or what follows its body, is larger than {MAX_HEAD_BYTES} bytes."
            )

    def _parse(self, data: bytes | memoryview) -> None:
        """Parse the bytes; ignore a request to switch to another protocol (RFC 9110, 7.8)."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:  # the parser stops after the head
                data = memoryview(data)[upgrade.args[0] :]
            else:
                return
            head = self._head_without_upgrade()
            self._is_upgrade, self.parser = False, httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            self.parser.feed_data(head)

    def _head_without_upgrade(self) -> bytes:
        line = f" HTTP/{self.parser.get_http_version()}\r\n".encode()
        headers = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"".join([self.parser.get_method(), b" ", self.url, line, *headers, b"\r\n"])

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header as uvicorn does, without the white space after its value (RFC 9112, 5)."""
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        if name == b"transfer-encoding" and value.lower() != b"chunked":
            raise RefusedRequest("Transfer-Encoding may be chunked alone; pack a body by Content-Encoding.")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head, start an `Exchange` if the path is one of inference, and reset the count of bytes."""
        self._head_bytes = 0
        if self.parser.get_method() == b"CONNECT":
            raise RefusedRequest("This server is no proxy: it makes no tunnels.")
        if self.parser.should_upgrade() and any(name == b"upgrade" for name, _ in self.headers):
            self._is_upgrade = True
            return
        self._check_host()
        target = cast("RequestHandler", self.config.app).target(route(httptools.parse_url(self.url).path))
        if target is None:
            super().on_headers_complete()
            return
        previous: RequestResponseCycle | None = self.cycle
        self.cycle = cast("RequestResponseCycle", Exchange(self, target))
        if previous is None or previous.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # as uvicorn does: responses come in the order of the requests
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _check_host(self) -> None:
        """Refuse a request whose Host header is missing, repeated or invalid (RFC 9112, 3.2)."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) == 1 and _is_host(hosts[0]):
            return
        if len(hosts) == 1:
            raise RefusedRequest("The Host header is neither a name nor an address.")
        if hosts or self.parser.get_http_version() != "1.0":
            raise RefusedRequest(f"The request has {len(hosts)} Host headers; HTTP/1.1 takes exactly one.")

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:  # noqa: ANN401  uvicorn's types
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Take the body out of the count: `Bodies` limits it."""
        self._head_bytes -= len(body)
        super().on_body(body)

    def on_chunk_complete(self) -> None:
        """Reset the count of bytes, for the size line of the next chunk or the trailers."""
        self._head_bytes = 0

    def on_message_complete(self) -> None:
        """Reset the count of bytes, for the next head."""
        if not self._is_upgrade:
            super().on_message_complete()
            self._head_bytes = 0

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's is never true
        """Return whether to stay open after the client stopped sending: only until its last response is written."""
        if not self._owes_response():
            return False
        self.cycle.keep_alive = False
        return True

    def send_400_response(self, msg: str) -> None:
        """Refuse and close, or, if an earlier request still waits for its response, close after that."""
        self._is_broken = True
        if self._owes_response():
            self.cycle.keep_alive = False
            return
        reply = responses.refusal(400, msg)
        headers = [(b"content-length", b"%d" % len(reply.body)), *reply.headers, responses.CLOSE]
        self.transport.write(to_bytes(400, headers, reply.body))
        self.end()

    def _owes_response(self) -> bool:
        """Whether a complete request waits for its response."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def end(self) -> None:
        """Close after the last response; linger if the client may still be sending."""
        cycle: RequestResponseCycle | None = self.cycle
        if self._is_broken or cycle is None or cycle.more_body:
            self.flow.resume_reading()
            LingeringClose(self.transport, self.connections)
            self.connection_lost(ConnectionAbortedError())
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the running request, as its client is gone."""
        running = self._running
        if running and not running.response_complete:
            running.disconnected = True  # uvicorn sets it only on the last request of the connection
            if isinstance(running, Exchange) and running.task:
                running.task.cancel()
        super().connection_lost(exc)

    def abandon(self) -> None:
        """Abort the connection, whatever is still to be read or written."""
        self.connection_lost(ConnectionAbortedError())  # first: `abort` would let a waiting response be written
        self.transport.abort()

    def is_unfinished(self) -> bool:
        """Whether the server waits for the client: to read a response, or to send (the rest of) a request."""
        if self.transport.get_write_buffer_size():
            return True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            return self.timeout_keep_alive_task is None
        return cycle.more_body


@lru_cache(maxsize=256)
def _is_host(value: bytes) -> bool:
    if not (match := HOST.fullmatch(value)):
        return False
    try:
        return match["address"] is None or bool(IPv6Address(match["address"].decode()))
    except AddressValueError:
        return False
