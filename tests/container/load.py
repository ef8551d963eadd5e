"""Many connections that ask for the same rows again and again: run by the image's own Python, beside the server."""

import argparse
import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

PIECE = 2**16
"""Bytes that are handed to a connection at a time, so that what waits to be sent stays with us."""
URL = "/v2/models/xgboost-model/infer"


class Asker:
    """Sends one request on each of its connections, so many times or until nobody listens any more."""

    def __init__(self, rows: int) -> None:
        """Prepare a request of so many rows: the golden ones in turn, of which the server's first answer is kept."""
        golden = json.loads(Path("/model/golden.json").read_text())["features"]
        data = [golden[row % len(golden)] for row in range(rows)]
        tensor = {"name": "x", "datatype": "FP32", "shape": [rows, len(data[0])], "data": data}
        body = json.dumps({"inputs": [tensor]}).encode()
        self.counts = Counter[str]()
        self.request = f"POST {URL} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        self.expected: Any = None

    async def connection(self, most: int) -> None:
        """Ask so many times, on a new connection where the server ends the one before."""
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
        """Ask on one connection, and return how often."""
        for asked in range(1, most + 1):
            for start in range(0, len(self.request), PIECE):
                writer.write(self.request[start : start + PIECE])
                await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            body = await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
            self.count(int(head.split()[1]), body)
            if "connection: close" in head:
                return asked
        return most

    def count(self, status: int, body: bytes) -> None:
        """Say what an answer was; a right one is the first one again."""
        if status != 200:
            self.counts["refused" if status == 503 else f"status {status}"] += 1
            return
        outputs = json.loads(body)["outputs"]
        if self.expected is None:
            self.expected = outputs
        self.counts["right" if outputs == self.expected else "wrong"] += 1


async def main() -> None:
    """Ask once alone, then from all connections, and print how many requests ended in which way."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, meaning in (("connections", "at once"), ("rows", "of a request"), ("requests", "of a connection")):
        parser.add_argument(f"--{name}", type=int, required=True, help=meaning)
    options = parser.parse_args()
    asker = Asker(options.rows)
    await asker.connection(1)
    print("begun", flush=True)  # noqa: T201  this and the last line are what its tests read
    async with asyncio.timeout(100):
        await asyncio.gather(*(asker.connection(options.requests) for _ in range(options.connections)))
    print(json.dumps(asker.counts))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
