"""A container under load: what was accepted is answered, whatever the memory and the end."""

from tests.container.engine import HARDENED, MARKS, Load, alone, docker, documented

pytestmark = MARKS

MANY = 100_000
"""Requests of a connection, which ends earlier."""


def test_a_small_container_bears_many_large_requests(image: str) -> None:
    """400 connections with 1,000 rows each: it refuses what it cannot hold, answers the rest, and is not killed."""
    small = documented("run --memory", "docs/container.md")[0].split(" -p ")[0].split()
    with alone(image, *HARDENED, "--memory-swap", "512m", "--memory", *small) as container:
        found = Load(image, container, connections=400, rows=1_000, requests=2).found()
        assert container.inspect("{{.State.Running}} {{.State.OOMKilled}}") == "true false"
    assert {*found} <= {"right", "refused"}
    assert found["right"] > 1


def test_loses_nothing_when_stopped_under_load(image: str) -> None:
    """`docker stop`: who is connected gets an answer, and the container ends by itself with exit code 0."""
    with alone(image, *HARDENED) as container:
        load = Load(image, container, connections=32, rows=1, requests=MANY)
        load.begun()
        docker("stop", container.name)
        found = load.found()
        assert container.inspect("{{.State.ExitCode}} {{.State.OOMKilled}}") == "0 false"
    assert {*found} == {"right", "not listening"}
    assert found["not listening"] == 32
