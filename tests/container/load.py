"""Load on a server: many connections that repeat one request. The image's own Python runs it beside the server."""

import argparse
import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

CHUNK = 2**16
"""Bytes written at a time, so that the transport buffers little."""
URL = "/v2/models/xgboost-model/infer"


class Clients:
    """Repeat one request on several connections, a number of times or until the server no longer listens."""

    def __init__(self, rows: int) -> None:
        """Prepare a request of `rows` rows, which repeats the golden ones."""
        golden = json.loads(Path("/model/golden.json").read_text())["features"]
        data = [golden[row % len(golden)] for row in range(rows)]
        tensor = {"name": "x", "datatype": "FP32", "shape": [rows, len(data[0])], "data": data}
        body = json.dumps({"inputs": [tensor]}).encode()
        self.counts = Counter[str]()
        self.request = f"POST {URL} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        self.expected: Any = None

    async def connection(self, most: int) -> None:
        """Send `most` requests, on a new connection whenever the server closes one."""
        while most > 0:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", 8080)
            except ConnectionRefusedError:
                self.counts["not listening"] += 1
                return
            try:
                most -= await self.ask(reader, writer, most)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.counts["lost"] += 1
                most -= 1
            finally:
                writer.close()

    async def ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int) -> int:
        """Send up to `most` requests on one connection; returns how many."""
        for sent in range(1, most + 1):
            for start in range(0, len(self.request), CHUNK):
                writer.write(self.request[start : start + CHUNK])
                await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            body = await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
            self.count(int(head.split()[1]), body)
            if "connection: close" in head:
                return sent
        return most

    def count(self, status: int, body: bytes) -> None:
        """Count an answer by its kind; a right one equals the first one."""
        if status != 200:
            self.counts["refused" if status == 503 else f"status {status}"] += 1
            return
        outputs = json.loads(body)["outputs"]
        if self.expected is None:
            self.expected = outputs
        self.counts["right" if outputs == self.expected else "wrong"] += 1


async def main() -> None:
    """Send one request, then requests on all connections; print the number of requests by how they ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, meaning in (("connections", "at once"), ("rows", "in a request"), ("requests", "on a connection")):
        parser.add_argument(f"--{name}", type=int, required=True, help=meaning)
    options = parser.parse_args()
    clients = Clients(options.rows)
    await clients.connection(1)
    print("begun", flush=True)  # noqa: T201  tests read this and the last line
    async with asyncio.timeout(100):
        await asyncio.gather(*(clients.connection(options.requests) for _ in range(options.connections)))
    print(json.dumps(clients.counts))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
