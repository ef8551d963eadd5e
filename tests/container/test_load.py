"""A container under load answers every accepted request, with little memory and while it ends."""

from tests.container.engine import HARDENED, MARKS, Load, alone, docker, documented_arguments

pytestmark = MARKS

MANY = 100_000
"""More requests on a connection than are sent before the server ends."""


def test_a_small_container_survives_many_large_requests(image: str) -> None:
    """With 400 connections of 1,000 rows each it refuses what it cannot hold, answers the rest, and is not killed."""
    small = documented_arguments("run --memory", "docs/container.md")[0].split(" -p ")[0].split()
    with alone(image, *HARDENED, "--memory-swap", "512m", "--memory", *small) as container:
        counts = Load(image, container, connections=400, rows=1_000, requests=2).counts()
        assert container.inspect("{{.State.Running}} {{.State.OOMKilled}}") == "true false"
    assert {*counts} <= {"right", "refused"}
    assert counts["right"] > 1


def test_docker_stop_under_load_loses_no_request(image: str) -> None:
    """Every connected client gets its answer, and the container ends by itself with exit code 0."""
    with alone(image, *HARDENED) as container:
        load = Load(image, container, connections=32, rows=1, requests=MANY)
        load.wait_until_begun()
        docker("stop", container.name)
        counts = load.counts()
        assert container.inspect("{{.State.ExitCode}} {{.State.OOMKilled}}") == "0 false"
    assert {*counts} == {"right", "not listening"}
    assert counts["not listening"] == 32
