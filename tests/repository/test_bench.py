"""The benchmark runs, and prints what the documents quote; how fast anything is, is not tested."""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from bench import hostile, limits, mixed, mixed_table, rows, scale, settings, wrk
from bench.clients import measure
from bench.soak import Sample, check
from bench.targets import MIXED, TARGETS, Target
from bench.timing import Timing
from bench.turn import Turn
from bench.work import RATIOS, WORK
from tests.needs import missing

from tabserve.errors import ServerError
from tabserve.model.model import load

ROOT = Path(__file__).parents[2]

Run = Callable[..., str]

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(autouse=True)
def only_a_wrk_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients are Python's where there is a wrk that does not answer."""
    if missing(["wrk"]):
        monkeypatch.setattr(wrk, "COMMAND", None)


@pytest.fixture
def run(script: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Run:
    """What a word of the benchmark prints."""
    monkeypatch.chdir(ROOT)

    def printed(*words: str) -> str:
        finished = script(ROOT / "bench" / "__main__.py", *words)
        assert finished.returncode == 0, finished.stderr
        return str(finished.stdout)

    return printed


@contextmanager
def answering(status: int, headers: dict[str, str]) -> Iterator[str]:
    """The address of a server that answers every GET in this way, with an empty body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
def test_tables_prints_every_piece_of_work_and_every_ratio(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """On few rows, with few stumps."""
    monkeypatch.setattr(rows, "ROUNDS", 20)
    monkeypatch.setattr(rows, "REPEATS", 2)
    printed = run("tables", "--rows", "500", "--repeats", "1")
    assert all(name in printed for name in (*WORK, "committed model", "folding gains"))
    assert printed.count(" × ") >= len(RATIOS)


@pytest.mark.slow
def test_serving_fills_every_cell_and_meets_no_error(run: Run, tmp_path: Path) -> None:
    """For the shortest time, by every transport; every server's probabilities are checked on the way."""
    servers, loads = ["limit", "ours", "predict-1-thread"], ["json-1x32", "binary-1000x1", "grpc-1x32"]
    options = ["--seconds", "0.1", "--repeats", "1", "--model", "deploy/model", "--out", str(tmp_path)]
    printed = run("serving", *options, "--servers", *servers, "--loads", *loads)
    assert all(str(target) in printed for target in TARGETS)
    assert "<svg" in (tmp_path / "serving.svg").read_text()

    found = json.loads((tmp_path / "serving.json").read_text())
    timings = {(name, load): cell for name in servers for load, cell in found["servers"][name]["timings"].items()}
    calls = {("predict-1-thread", "binary-1000x1")}
    assert timings.keys() == {(name, load) for name in servers[:2] for load in loads} | calls
    assert all(cell["errors"] == 0 for cell in timings.values())
    refused = {cell for cell, timing in timings.items() if timing["refused"]}
    assert refused <= {("limit", "grpc-1x32")}
    for cell in timings.keys() - refused:
        assert timings[cell]["rate"] > 0
        assert 0 < timings[cell]["p50"] <= timings[cell]["p99"]
    for name in servers[:2]:
        assert found["servers"][name]["startup"] > 0
        assert found["servers"][name]["idle"] > found["servers"][name]["connection"]


@pytest.mark.slow
def test_mixed_measures_three_servers_by_one_row(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answers as its own model does, which is seen before; a target is about each of the two others."""
    monkeypatch.setattr(wrk, "COMMAND", None)  # ours wait for an answer, however slow a busy machine makes it
    printed = run("mixed", "--seconds", "0.1", "--repeats", "1")
    speed, *_ = (line.split() for line in printed.splitlines() if line.startswith("columns-1x32 "))
    assert all(float(rate.replace(",", "")) > 0 for rate in speed[1:])
    assert len(speed[1:]) == len(mixed.SERVERS)
    assert all(f"{target!s}" in printed for target in MIXED)
    assert "not measured" not in printed


@pytest.mark.slow
def test_the_limit_and_the_obvious_way_know_as_many_columns(tmp_path: Path) -> None:
    """Ten categories, nine numbers and a date, which the model tells apart."""
    model = load(mixed_table.train(tmp_path / "model"))
    assert Counter(model.problem.kinds) == {"category": 10, "number": 9, "date": 1}
    rows = mixed_table.table(1_000, 1)
    features = model.encoder.encode([rows[name].tolist() for name in model.problem.features]).features
    assert (model.score(features).label == (rows[mixed_table.TARGET] == "yes")).mean() > 0.7


@pytest.mark.slow
def test_limits_prints_what_the_server_took_beside_what_it_may(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one limit, for the smallest bodies, alone and with all that there is; and of texts."""
    monkeypatch.setattr(limits, "HELD", {})
    monkeypatch.setattr(limits, "READ", {"JSON": hostile.READ["the most hostile JSON"]})
    alone, together, texts = (line.split() for line in run("limits", "--mib", "1").splitlines()[1:])
    assert (alone[0], together[:3], texts[:2]) == ("JSON", ["all", "at", "once"], ["over", "texts:"])
    assert all(0 < int(line[-2]) < 2 * int(line[-1]) for line in (alone, together, texts))


@pytest.mark.slow
def test_formats_measures_ours_and_what_is_installed_of_others(run: Run) -> None:
    """The same labels in each; what is not installed is named."""
    ours, *others = (line.split() for line in run("formats", "--rows", "2000").splitlines()[1:])
    assert (ours[0], ours[-1]) == ("npz", "0")
    assert all("install" in line or line[-1] == "0" for line in others)


@pytest.mark.slow
def test_settings_prints_a_line_for_every_value(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of batching, of the rows beside which one waits, and of the share that a crowd of large requests may hold."""
    monkeypatch.setattr(settings, "BATCHING", {"max_batch_size": (1,)})
    monkeypatch.setattr(settings, "ROWS", (10,))
    monkeypatch.setattr(settings, "SHARES", (0.5,))
    monkeypatch.setattr(settings, "CROWD_ROWS", 300)
    lines = run("settings", "--seconds", "0.05").splitlines()
    assert [line.split(",")[0] for line in lines if line.startswith("of ")] == ["of 10 rows"] * 2
    (batching,) = [line.split() for line in lines if line.startswith("max_batch_size 1 ")]
    assert float(batching[2]) > 0
    (crowded,) = [line.split() for line in lines if line.startswith("large_share 0.5 ")]
    assert crowded[-1] == "0"


@pytest.mark.slow
@pytest.mark.parametrize(("work", "rows"), [("scoring", ["50", "100"]), ("training", ["200", "400"])])
def test_scale_prints_a_line_for_every_size_and_engine(
    work: str, rows: list[str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what each engine takes beside the rows; here one machine stands for Spark as well."""
    here = scale.ENGINES["one machine"]
    monkeypatch.setattr(scale, "SPARK", Path(sys.executable))
    monkeypatch.setattr(scale, "ENGINES", {"one": here, "other": here})
    lines = run("scale", "--work", work, "--rows", *rows, "--repeats", "1").splitlines()
    assert [line.split()[:2] for line in lines[1:5]] == [[size, engine] for size in rows for engine in ("one", "other")]
    assert all(float(line.rsplit("python ", 1)[1].replace(",", "")) > 10 for line in lines[1:5])
    assert [line.split(":")[0] for line in lines[5:]] == ["one", "other"]


def test_answers_that_are_errors_are_counted_and_are_no_speed() -> None:
    """However fast a server refuses."""
    with answering(503, {"Content-Length": "0"}) as address:
        timing = measure("http", address, REQUEST, 2, 0.1)
    assert timing.errors > 0
    assert timing.rate == 0


@pytest.mark.parametrize("length", ["0", "9"])
def test_a_connection_closed_by_the_server_ends_the_measurement(length: str) -> None:
    """Between two answers, or in the midst of one."""
    headers = {"Content-Length": length, "Connection": "close"}
    with answering(200, headers) as address, pytest.raises(ServerError, match="closed"):
        measure("http", address, REQUEST, 1, 0.5)


def test_an_answer_of_unknown_length_ends_the_measurement() -> None:
    """In one sentence that shows it."""
    with answering(200, {"Transfer-Encoding": "chunked"}) as address, pytest.raises(ServerError, match="closed"):
        measure("http", address, REQUEST, 1, 0.1)


@pytest.mark.needs("wrk")
@pytest.mark.parametrize(
    ("status", "headers", "found"),
    [
        (503, {"Content-Length": "0"}, "errors"),
        (200, {"Content-Length": "0"}, "answers"),
        (200, {"Content-Length": "9", "Connection": "close"}, "closed"),
    ],
)
def test_wrk_counts_what_our_own_clients_count(status: int, headers: dict[str, str], found: str) -> None:
    """Errors are no speed, and a connection that is closed in the midst of an answer ends the measurement."""
    with answering(status, headers) as address:
        if found == "closed":
            with pytest.raises(ServerError, match="closed"):
                wrk.measure(address, REQUEST, 1, 1)
            return
        timing = wrk.measure(address, REQUEST, 2, 1)
    assert (timing.errors > 0, timing.rate > 0) == (found == "errors", found == "answers")


@pytest.mark.parametrize(("figure", "ratio"), [("rate", 2.0), ("p99", 5.0)])
def test_a_target_compares_with_the_best_of_the_others(figure: str, ratio: float) -> None:
    """Of rates the largest, of latencies the smallest."""
    turns = {
        name: Turn(timings={"json-1x1": Timing(rate, 1.0, p99)})
        for name, rate, p99 in (("ours", 200.0, 2.0), ("stock", 100.0, 30.0), ("stock-batching", 50.0, 10.0))
    }
    assert Target("json-1x1", figure, ("stock", "stock-batching"), 1.0).measured(turns) == ratio


def test_a_target_without_both_sides_is_not_found() -> None:
    """A server that was left out, a load that was, and a refusal."""
    target = Target("json-1x1", "rate", ("stock",), 1.0)
    measured, refused = Turn(timings={"json-1x1": Timing(1.0)}), Turn(timings={"json-1x1": Timing(refused="400")})
    for turns in ({"ours": measured}, {"ours": measured, "stock": Turn()}, {"ours": refused, "stock": measured}):
        assert isnan(target.measured(turns))


STEADY = [Sample(float(second), 300.0, 20, 8, 1.0, 2.0) for second in range(50)]


def test_a_server_that_keeps_its_size_has_soaked_well() -> None:
    """A rise while it warms up, and peaks, are no growth."""
    check([sample._replace(memory=100.0) for sample in STEADY[:10]] + STEADY[10:])
    check([*STEADY[:-1], STEADY[-1]._replace(memory=900.0)])


@pytest.mark.parametrize("figure", ["memory", "descriptors", "threads"])
def test_growth_ends_the_soak_in_one_sentence(figure: str) -> None:
    """Of whatever the server holds."""
    grown = [sample._replace(**{figure: getattr(sample, figure) + sample.second}) for sample in STEADY]
    with pytest.raises(ServerError, match=f"The server's {figure} grew from "):
        check(grown)


@pytest.mark.slow
def test_the_soak_sends_every_sort_and_writes_what_it_saw(tmp_path: Path) -> None:
    """For some seconds, by a process of its own; no answer is wrong, whatever the memory does while it warms up."""
    command = [sys.executable, "-m", "bench", "soak", "--minutes", "0.05", "--out", str(tmp_path)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert finished.returncode == 0 or " grew from " in finished.stderr, finished.stderr
    assert "each answered as it should be" in finished.stdout
    found = json.loads((tmp_path / "soak.json").read_text())
    assert found["samples"]
    assert sum(found["sent"].values()) > 0
    assert "<svg" in (tmp_path / "soak.svg").read_text()
