"""The benchmarks run and print what the documents quote; speed itself is not tested."""

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

import numpy as np
import pytest
from bench import history, hostile, limits, mixed, mixed_table, peer_runs, rows, scale, settings, wrk
from bench.clients import measure
from bench.peer_own import Own
from bench.peer_report import sentences
from bench.peer_runs import Comparison, Scored
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
    """Use Python's clients if `wrk` does not run."""
    if missing(["wrk"]):
        monkeypatch.setattr(wrk, "COMMAND", None)


@pytest.fixture
def run(script: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that runs a benchmark and returns its output."""
    monkeypatch.chdir(ROOT)

    def printed(*words: str) -> str:
        finished = script(ROOT / "bench" / "__main__.py", *words)
        assert finished.returncode == 0, finished.stderr
        return str(finished.stdout)

    return printed


@contextmanager
def answering(status: int, headers: dict[str, str]) -> Iterator[str]:
    """Run a server that answers every GET with this status and an empty body; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

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
    """All work, the committed model and the ratios are printed, here for few rows and stumps."""
    monkeypatch.setattr(rows, "ROUNDS", 20)
    monkeypatch.setattr(rows, "REPEATS", 2)
    printed = run("tables", "--rows", "500", "--repeats", "1")
    assert all(name in printed for name in (*WORK, "committed model", "folding gains"))
    assert printed.count(" × ") >= len(RATIOS)


@pytest.mark.slow
def test_serving_fills_every_cell_and_meets_no_error(run: Run, tmp_path: Path) -> None:
    """Every transport is measured for a short time, and every server's probabilities are checked."""
    servers, loads = ["limit", "ours", "predict-1-thread"], ["json-1x32", "binary-1000x1", "grpc-1x32"]
    options = ["--seconds", "0.1", "--repeats", "1", "--model", "deploy/model", "--out", str(tmp_path)]
    printed = run("serving", *options, "--servers", *servers, "--loads", *loads)
    assert all(str(target) in printed for target in TARGETS)
    assert "<svg" in (tmp_path / "serving.svg").read_text()

    document = json.loads((tmp_path / "serving.json").read_text())
    timings = {(name, load): cell for name in servers for load, cell in document["servers"][name]["timings"].items()}
    calls = {("predict-1-thread", "binary-1000x1")}
    assert timings.keys() == {(name, load) for name in servers[:2] for load in loads} | calls
    assert all(cell["errors"] == 0 for cell in timings.values())
    refused = {cell for cell, timing in timings.items() if timing["refused"]}
    assert refused <= {("limit", "grpc-1x32")}
    for cell in timings.keys() - refused:
        assert timings[cell]["rate"] > 0
        assert 0 < timings[cell]["p50"] <= timings[cell]["p99"]
    for name in servers[:2]:
        assert document["servers"][name]["startup"] > 0
        assert document["servers"][name]["idle"] > document["servers"][name]["connection"]


@pytest.mark.slow
def test_mixed_measures_three_servers_by_one_row(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each server's answers are checked, and each of the two others has a target."""
    monkeypatch.setattr(wrk, "COMMAND", None)  # Python's clients wait for answers even on a busy machine
    printed = run("mixed", "--seconds", "0.1", "--repeats", "1")
    speed, *_ = (line.split() for line in printed.splitlines() if line.startswith("columns-1x32 "))
    assert all(float(rate.replace(",", "")) > 0 for rate in speed[1:])
    assert len(speed[1:]) == len(mixed.SERVERS)
    assert all(f"{target!s}" in printed for target in MIXED)
    assert "not measured" not in printed


@pytest.mark.slow
def test_contributions_are_priced_for_two_models(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the ratio of a request with them to one without, for each number of rows, and by a row beside them."""
    monkeypatch.setattr(wrk, "COMMAND", None)
    lines = run("contributions", "--seconds", "0.1").splitlines()
    priced = [line.split() for line in lines if line.startswith(("committed, ", "mixed, "))]
    assert [int(line[-4]) for line in priced] == [1, 100] * 2
    assert all(float(line[-1]) > 0 for line in priced)
    assert sum("one row beside a client that asks for contributions" in line for line in lines) == 2


@pytest.mark.slow
def test_history_is_priced_for_each_format_and_read_in_each_way(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the ratio of a server with a history to one without, and by the time of each page."""
    monkeypatch.setattr(wrk, "COMMAND", None)
    monkeypatch.setattr(history, "REPEATS", 1)
    lines = [line.split() for line in run("history", "--rows", "2000", "--seconds", "0.1").splitlines()]
    assert all(float(line[-1]) > 0 for line in lines if line[:1] in (["json"], ["binary"], ["grpc"]))
    assert sum(line[:1] in (["json"], ["binary"], ["grpc"]) for line in lines) == 3
    assert all(0 < float(line[-2]) <= float(line[-1]) for line in lines[-6:])


@pytest.mark.slow
def test_the_model_of_mixed_columns_learns_all_kinds(tmp_path: Path) -> None:
    """It has ten categories, nine numbers and a date, and predicts better than chance."""
    model = load(mixed_table.train(tmp_path / "model"))
    assert Counter(model.problem.kinds) == {"category": 10, "number": 9, "date": 1}
    rows = mixed_table.table(1_000, 1)
    features = model.encoder.encode([rows[name].tolist() for name in model.problem.features]).features
    assert (model.score(features).label == (rows[mixed_table.TARGET] == "yes")).mean() > 0.7


@pytest.mark.slow
def test_limits_prints_the_servers_memory_beside_its_bound(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One limit alone, all limits together and the limit of texts are printed, for small bodies."""
    monkeypatch.setattr(limits, "HELD", {})
    monkeypatch.setattr(limits, "READ", {"JSON": hostile.READ["the most hostile JSON"]})
    alone, together, texts = (line.split() for line in run("limits", "--mib", "1").splitlines()[1:])
    assert (alone[0], together[:3], texts[:2]) == ("JSON", ["all", "at", "once"], ["over", "texts:"])
    assert all(0 < int(line[-2]) < 2 * int(line[-1]) for line in (alone, together, texts))


@pytest.mark.slow
def test_formats_measures_ours_and_what_is_installed_of_others(run: Run) -> None:
    """All formats give the same labels; libraries that are missing are named."""
    ours, *others = (line.split() for line in run("formats", "--rows", "2000").splitlines()[1:])
    assert (ours[0], ours[-1]) == ("npz", "0")
    assert all("install" in line or line[-1] == "0" for line in others)


def test_reading_is_compared_with_pandas(run: Run) -> None:
    """Each reader has a line; below them are the ratios of time and memory."""
    ours, pandas, time, memory = run("reading", "--rows", "2000", "--repeats", "1").splitlines()[1:]
    assert all(float(figure) > 0 for line in (ours, pandas) for figure in line.split()[-3:])
    assert time.startswith("tabserve.read takes ")
    assert "× the memory of the encoded array" in memory


@pytest.mark.slow
def test_big_prints_time_and_memory_of_each_step(run: Run) -> None:
    """Looking, reading and training each have a line, and training says what it reached."""
    steps = [line.split() for line in run("big", "--rows", "2000").splitlines()[3:]]
    assert [step[0] for step in steps] == ["looking", "reading", "training"]
    assert all(0 < float(step[3]) <= float(step[2]) for step in steps)
    assert "on the hold-out" in " ".join(steps[-1])


@pytest.mark.slow
def test_peers_measures_all_on_the_same_rows_and_skips_what_is_missing(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Scikit-learn's models run in this environment; LightGBM and a real table are skipped, each with a sentence."""
    monkeypatch.setattr(peer_runs, "PYTHON", tmp_path / "no-such-python")
    few = ["--tables", "churn", "iris", "--data", str(tmp_path), "--peers", "linear", "histogram boosting", "LightGBM"]
    printed = run("peers", *few, "--out", str(tmp_path / "out"))
    assert "churn is skipped: there is no churn.csv in the folder of --data." in printed
    assert "LightGBM is skipped: lightgbm is not installed; `make setup-peers` installs it." in printed
    assert (tmp_path / "out" / "peers.md").read_text() in printed
    (iris,) = json.loads((tmp_path / "out" / "peers.json").read_text())
    assert [*iris["scored"]] == ["tabserve", "linear", "histogram boosting"]
    assert all(min(scored["seconds"], scored["milliseconds"]) > 0 for scored in iris["scored"].values())
    assert all(scored["score"] < 1 for scored in iris["scored"].values()), "chance has a log loss of 1.1"
    assert not iris["failed"]


@pytest.mark.slow
@pytest.mark.needs("peers")
def test_peers_trains_each_library_on_each_task(run: Run, tmp_path: Path) -> None:
    """Two classes, several and an amount, with categories and without; a search of seconds is enough to answer."""
    names = ["LightGBM", "CatBoost", "FLAML", "AutoGluon"]
    few = ["--tables", "breast-cancer", "iris", "diabetes", "--rows", "140", "--seconds", "10"]
    run("peers", *few, "--peers", *names, "--out", str(tmp_path))
    for table in json.loads((tmp_path / "peers.json").read_text()):
        assert [*table["scored"]] == ["tabserve", *names], table["failed"]


def compared(table: str, ours: float, deviation: float, **peers: float) -> Comparison:
    """The results of a table by AUC."""
    own = Own(1.0, "linear", ours, deviation, np.zeros(0, np.int64), [], np.zeros((0, 0)))
    scored = {name: Scored(score, 1.0, 3.0) for name, score in peers.items()}
    return Comparison(
        table, (100, 5), "roc_auc", own, {"tabserve": Scored(ours, 1.0, 1.0), **scored}, 1.0, {"FLAML": "no memory"}
    )


def test_the_peers_report_names_losses_as_well_as_wins() -> None:
    """A table is near the best within one deviation; one below the linear model is named, and so is a failure."""
    near, far = compared("near", 0.80, 0.02, linear=0.81), compared("far", 0.70, 0.02, linear=0.69, CatBoost=0.75)
    said = [*sentences([near, far], ["linear", "CatBoost", "FLAML"])]
    assert said[:2] == [
        "tabserve is within one fold's standard deviation of the best on 1 of 2 tables.",
        "It is the best on 0: none.",
    ]
    assert "far: CatBoost is better by 0.0500 AUC; one fold's standard deviation is 0.0200." in said
    assert "Below the linear baseline: near (by 0.0100)." in said
    assert "One row: CatBoost takes 3.0 × the time of tabserve (median over tables)." in said
    assert said[-1] == "far: FLAML failed: no memory."


@pytest.mark.slow
def test_settings_prints_a_line_for_every_value(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a line for each value of batching, of rows of other requests, and of the share of large requests."""
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
    """Each engine also gets a straight line; here one machine stands for Spark as well."""
    here = scale.ENGINES["one machine"]
    monkeypatch.setattr(scale, "SPARK", Path(sys.executable))
    monkeypatch.setattr(scale, "ENGINES", {"one": here, "other": here})
    lines = run("scale", "--work", work, "--rows", *rows, "--repeats", "1").splitlines()
    assert [line.split()[:2] for line in lines[1:5]] == [[size, engine] for size in rows for engine in ("one", "other")]
    assert all(float(line.rsplit("python ", 1)[1].replace(",", "")) > 10 for line in lines[1:5])
    assert [line.split(":")[0] for line in lines[5:]] == ["one", "other"]


def test_error_answers_are_counted_and_not_part_of_the_rate() -> None:
    """A server that refuses everything has a rate of 0."""
    with answering(503, {"Content-Length": "0"}) as address:
        timing = measure("http", address, REQUEST, 2, 0.1)
    assert timing.errors > 0
    assert timing.rate == 0


@pytest.mark.parametrize("length", ["0", "9"])
def test_a_connection_closed_by_the_server_ends_the_measurement(length: str) -> None:
    """The server may close between two answers or within one."""
    headers = {"Content-Length": length, "Connection": "close"}
    with answering(200, headers) as address, pytest.raises(ServerError, match="closed"):
        measure("http", address, REQUEST, 1, 0.5)


def test_an_answer_of_unknown_length_ends_the_measurement() -> None:
    """The error is one sentence that shows the answer."""
    with answering(200, {"Transfer-Encoding": "chunked"}) as address, pytest.raises(ServerError, match="closed"):
        measure("http", address, REQUEST, 1, 0.1)


@pytest.mark.needs("wrk")
@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        (503, {"Content-Length": "0"}, "errors"),
        (200, {"Content-Length": "0"}, "answers"),
        (200, {"Content-Length": "9", "Connection": "close"}, "closed"),
    ],
)
def test_wrk_counts_as_our_own_clients_do(status: int, headers: dict[str, str], outcome: str) -> None:
    """Errors are not part of the rate, and a connection that is closed within an answer ends the measurement."""
    with answering(status, headers) as address:
        if outcome == "closed":
            with pytest.raises(ServerError, match="closed"):
                wrk.measure(address, REQUEST, 1, 1)
            return
        timing = wrk.measure(address, REQUEST, 2, 1)
    assert (timing.errors > 0, timing.rate > 0) == (outcome == "errors", outcome == "answers")


@pytest.mark.parametrize(("figure", "ratio"), [("rate", 2.0), ("p99", 5.0)])
def test_a_target_compares_with_the_best_of_the_others(figure: str, ratio: float) -> None:
    """The best rate is the largest, the best latency the smallest."""
    turns = {
        name: Turn(timings={"json-1x1": Timing(rate, 1.0, p99)})
        for name, rate, p99 in (("ours", 200.0, 2.0), ("stock", 100.0, 30.0), ("stock-batching", 50.0, 10.0))
    }
    assert Target("json-1x1", figure, ("stock", "stock-batching"), 1.0).measured(turns) == ratio


def test_a_target_without_both_sides_is_not_measured() -> None:
    """A missing server, a missing load and a refusal all give NaN."""
    target = Target("json-1x1", "rate", ("stock",), 1.0)
    measured, refused = Turn(timings={"json-1x1": Timing(1.0)}), Turn(timings={"json-1x1": Timing(refused="400")})
    for turns in ({"ours": measured}, {"ours": measured, "stock": Turn()}, {"ours": refused, "stock": measured}):
        assert isnan(target.measured(turns))


STEADY = [Sample(float(second), 300.0, 20, 8, 1.0, 2.0) for second in range(50)]


def test_a_server_that_does_not_grow_passes_the_soak() -> None:
    """Growth during warm-up and single peaks are allowed."""
    check([sample._replace(memory=100.0) for sample in STEADY[:10]] + STEADY[10:])
    check([*STEADY[:-1], STEADY[-1]._replace(memory=900.0)])


@pytest.mark.parametrize("figure", ["memory", "descriptors", "threads"])
def test_growth_ends_the_soak_in_one_sentence(figure: str) -> None:
    """Growth of memory, descriptors or threads is an error."""
    grown = [sample._replace(**{figure: getattr(sample, figure) + sample.second}) for sample in STEADY]
    with pytest.raises(ServerError, match=f"The server's {figure} grew from "):
        check(grown)


@pytest.mark.slow
def test_the_soak_sends_every_sort_and_writes_its_results(tmp_path: Path) -> None:
    """In some seconds no answer is wrong; memory may still grow while it warms up."""
    command = [sys.executable, "-m", "bench", "soak", "--minutes", "0.05", "--out", str(tmp_path)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert finished.returncode == 0 or " grew from " in finished.stderr, finished.stderr
    assert "each answered as it should be" in finished.stdout
    document = json.loads((tmp_path / "soak.json").read_text())
    assert document["samples"]
    assert sum(document["sent"].values()) > 0
    assert "<svg" in (tmp_path / "soak.svg").read_text()
