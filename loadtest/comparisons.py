"""Comparisons: what is held against what. Each opens what its arms share and gives the arms, to be run in turn.

The aims are those of the project; a ratio is only worth quoting if both of its sides ran in the same round.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

import workload
from generator import Generator
from measure import Bench, Stack, Trial, database_of, direct, run_load, stack, warm_up
from processes import Baseline, Engine, Failed, Gateway, ask, peak_bytes, resident_bytes

Arms = dict[str, Callable[[], Trial]]


@dataclass(frozen=True, slots=True)
class Ratio:
    """`metric` of the arm `over`, divided by that of `under`, and what we aim at."""

    over: str
    under: str
    metric: str
    aim: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One table of the report. Its number is that of `--only`; several may share one."""

    number: int
    title: str
    open: Callable[[Bench], AbstractContextManager[Arms]]
    ratios: tuple[Ratio, ...] = ()


# --- arms that several comparisons use --------------------------------------------------------------------------------


def _requests(bench: Bench, targets: list[workload.Target], rows: int, **options) -> workload.Requests:
    found = options.pop("bodies", None) or workload.bodies(rows, workload.body_count(rows))
    return workload.write_requests(bench.directory / "requests.bin", targets, found, rows, **options)


def _gateway(bench: Bench, rows: int, *, workers: int = 0, encoding: str = "") -> Trial:
    """Bodies of `rows` rows to a fresh gateway, until they have landed."""
    with stack(bench, "--workers", str(workers or bench.workers)) as made:
        table = made.gateway.create("events", workload.SCHEMA)
        bodies = workload.bodies(rows, workload.body_count(rows))
        if encoding:
            bodies = workload.compressed(bodies, encoding)
        requests = _requests(bench, [made.gateway.target("events")], rows, bodies=bodies, encoding=encoding)
        made.warm_up("events", workload.bodies(1, 1)[0])
        return run_load(bench, made.gateway, requests, pids=made.pids, count=made.counter([table]))


def _direct(bench: Bench, rows: int, connections: int | None = None) -> Trial:
    """The same bodies straight to a fresh engine."""
    with direct(bench) as (engine, table):
        requests = _requests(bench, [workload.Target.direct(engine.auth, table)], rows)
        count = partial(_count, engine, table)
        warm_up(engine, [workload.Target.direct(engine.auth, table)], workload.bodies(1, 1)[0], 8)
        return run_load(bench, engine, requests, count=count, connections=connections)


def _count(engine: Engine, table: str) -> int:
    return int(engine.sql(f"SELECT count() FROM {table}"))


def _bare(bench: Bench, rows: int, mode: str, workers: int) -> Trial:
    """The same bodies to a bare aiohttp handler."""
    with bench.fresh() as directory:
        server = Baseline(directory, mode, workers, rows)
        try:
            requests = _requests(bench, [workload.Target.events("x" * 100, "events")], rows)
            return run_load(bench, server, requests)
        finally:
            server.stop()


# --- 1 to 5: bodies of one size ---------------------------------------------------------------------------------------


@contextmanager
def one_row(bench: Bench) -> Iterator[Arms]:
    yield {
        "sluice": lambda: _gateway(bench, 1, workers=1),
        "bare aiohttp": lambda: _bare(bench, 1, "discard", 1),
        "bare aiohttp + orjson": lambda: _bare(bench, 1, "orjson", 1),
    }


def _several_rows(rows: int):
    @contextmanager
    def arms(bench: Bench) -> Iterator[Arms]:
        yield {
            "sluice": lambda: _gateway(bench, rows),
            "engine directly": lambda: _direct(bench, rows),
            "bare aiohttp + orjson": lambda: _bare(bench, rows, "orjson", bench.workers),
        }

    return arms


@contextmanager
def large_bodies(bench: Bench) -> Iterator[Arms]:
    yield {
        "sluice": lambda: _gateway(bench, 10_000),
        "engine directly": lambda: _direct(bench, 10_000, 8),
        "engine directly, 100 000 rows": lambda: _direct(bench, 100_000, 4),
    }


@contextmanager
def encodings(bench: Bench) -> Iterator[Arms]:
    yield {
        "plain": lambda: _gateway(bench, 1000),
        "gzip": lambda: _gateway(bench, 1000, encoding="gzip"),
        "zstd": lambda: _gateway(bench, 1000, encoding="zstd"),
    }


# --- 7: many data sources, many columns -------------------------------------------------------------------------------


@contextmanager
def sources(bench: Bench) -> Iterator[Arms]:
    """All arms share a gateway: making a thousand data sources takes a while."""
    with stack(bench, "--workers", str(bench.workers)) as made:
        ids = [made.gateway.create(f"events_{n}", workload.SCHEMA) for n in range(max(bench.sources))]

        def arm(many: int) -> Trial:
            targets = [made.gateway.target(f"events_{n}") for n in range(many)]
            requests = _requests(bench, targets, 100)
            return run_load(bench, made.gateway, requests, pids=made.pids, count=made.counter(ids[:many]))

        made.warm_up("events_0", workload.bodies(1, 1)[0])
        yield {str(many): partial(arm, many) for many in bench.sources}


@contextmanager
def columns(bench: Bench) -> Iterator[Arms]:
    def arm(many: int) -> Trial:
        with stack(bench, "--workers", str(bench.workers)) as made:
            table = made.gateway.create("wide", workload.wide_schema(many), "c0")
            rows = 100
            bodies = workload.wide_bodies(many, rows, 16)
            requests = _requests(bench, [made.gateway.target("wide")], rows, bodies=bodies)
            made.warm_up("wide", bodies[0])
            trial = run_load(bench, made.gateway, requests, pids=made.pids, count=made.counter([table]))
            return trial | {"landed_cells_per_s": trial["landed_rows_per_s"] * many}

    yield {str(many): partial(arm, many) for many in (10, 200)}


# --- 8: from 202 to visible -------------------------------------------------------------------------------------------

_PROBE_SECONDS = 0.05
_SEEN_SECONDS_MAX = 30.0


@contextmanager
def visible(bench: Bench) -> Iterator[Arms]:
    yield {"quiet": lambda: _visible(bench, 0), "under load": lambda: _visible(bench, 16)}


def _visible(bench: Bench, connections: int) -> Trial:
    """Probe rows of a data source of their own, one every 50 ms, while others send bodies of 100 rows, or nobody."""
    with stack(bench, "--workers", str(bench.workers)) as made:
        made.gateway.create("events", workload.SCHEMA)
        table = made.gateway.create("probe", "id UInt64 `json:$.id`", "id")
        requests = _requests(bench, [made.gateway.target("events")], 100)
        made.warm_up("events", workload.bodies(1, 1)[0])
        load = None
        if connections:
            load = Generator(bench.generator, made.gateway.port, requests.path, connections, bench.seconds + 2)
        try:
            waits = sorted(_probe(made, table, bench.seconds))
        finally:
            if load is not None:
                load.kill()
    return {
        "probes": len(waits),
        "visible_p50_ms": waits[len(waits) // 2] * 1000,
        "visible_p99_ms": waits[int(len(waits) * 0.99)] * 1000,
        "visible_max_ms": waits[-1] * 1000,
        "batch_age_ms": 1000.0,
    }


def _probe(made: Stack, table: str, seconds: float) -> list[float]:
    """Return, for each probe row, the seconds from its answer to the answer of the first query that found it."""
    answered: dict[int, float] = {}
    stop = time.monotonic() + seconds
    target = made.gateway.target("probe")

    def post() -> None:
        number = 0
        while time.monotonic() < stop:
            if ask("POST", made.gateway.port, target.path, b'{"id":%d}' % number, dict(target.headers))[0] == 202:
                answered[number] = time.monotonic()
            number += 1
            time.sleep(_PROBE_SECONDS)

    poster = threading.Thread(target=post)
    poster.start()
    place = f"{database_of(made.engine, table)}.{table}"
    seen: dict[int, float] = {}
    while poster.is_alive() or answered.keys() - seen.keys():
        known = len(seen)
        found = made.engine.sql(f"SELECT id FROM {place}")
        now = time.monotonic()
        for number in map(int, found.split()):
            seen.setdefault(number, now)
        if now > stop + _SEEN_SECONDS_MAX:
            raise Failed(f"{len(answered.keys() - seen.keys())} probe rows were never seen")
        if known == len(seen):
            time.sleep(0.005)
    poster.join()
    # A row can be seen before the thread that sent it has read the answer.
    return [max(0.0, seen[number] - at) for number, at in answered.items()]


# --- 9 and 10: memory, and the log ------------------------------------------------------------------------------------


_BUFFER_BYTES_MAX = 256 * 2**20  # buffer_memory_bytes_max, the default


@contextmanager
def memory(bench: Bench) -> Iterator[Arms]:
    yield {"saturated": lambda: _memory(bench, is_out=False), "ClickHouse down": lambda: _memory(bench, is_out=True)}


def _memory(bench: Bench, *, is_out: bool) -> Trial:
    with stack(bench, "--workers", str(bench.workers)) as made:
        table = made.gateway.create("events", workload.SCHEMA)
        workers = made.gateway.pids()["worker"]
        requests = _requests(bench, [made.gateway.target("events")], 1000)
        made.warm_up("events", workload.bodies(1, 1)[0])
        idle = max(map(resident_bytes, workers))
        if is_out:
            made.engine.kill()
            trial = run_load(bench, made.gateway, requests)
            trial.pop("landed_rows_per_s")
        else:
            trial = run_load(bench, made.gateway, requests, pids=made.pids, count=made.counter([table]))
        peak = max(map(peak_bytes, workers))
        if is_out:
            made.gateway.kill()  # a clean stop would wait for ClickHouse
    mine = {"idle_mb.worker": idle, "peak_over_idle_mb.worker": peak - idle, "bound_mb.worker": _BUFFER_BYTES_MAX}
    return trial | {name: size / 1e6 for name, size in mine.items()}


@contextmanager
def replay(bench: Bench) -> Iterator[Arms]:
    yield {"live": lambda: _gateway(bench, 1000), "after kill -9": lambda: _replay(bench)}


def _replay(bench: Bench) -> Trial:
    """Fill the log while ClickHouse is down, kill everything, start again, wait until all rows have landed."""
    with bench.fresh() as directory:
        engine = Engine(directory, directory / "engine")
        gateway = Gateway(directory, directory / "gateway", engine, "--workers", str(bench.workers))
        try:
            table = gateway.create("events", workload.SCHEMA)
            Stack(bench, directory, engine, gateway).warm_up("events", workload.bodies(1, 1)[0])
            engine.kill()
            requests = _requests(bench, [gateway.target("events")], 1000)
            answered = int(run_load(bench, gateway, requests)["answered_rows"])
            gateway.kill()
            engine = Engine(directory, directory / "engine")
            began = time.monotonic()
            gateway = Gateway(directory, directory / "gateway", engine, "--workers", str(bench.workers))
            ready = time.monotonic()
            landed, at = _await_rows(Stack(bench, directory, engine, gateway), table, answered)
            peak = max(map(peak_bytes, gateway.pids()["worker"]))
        finally:
            gateway.stop()
            engine.stop()
    return {
        "answered_rows": answered,
        "landed_rows": landed,
        "landed_rows_per_s": landed / (at - began),
        "ready_seconds": ready - began,
        "peak_mb.worker": peak / 1e6,
    }


def _await_rows(made: Stack, table: str, at_least: int, seconds_max: float = 180.0) -> tuple[int, float]:
    """Return how many rows there are when no more come, and when the last came."""
    count = made.counter([table])
    began = changed = time.monotonic()
    rows = count()
    while time.monotonic() - changed < 3 or made.gateway.pending_rows():
        if time.monotonic() - began > seconds_max:
            raise Failed(f"only {rows} of {at_least} rows were replayed")
        time.sleep(0.1)
        if (now := count()) != rows:
            rows, changed = now, time.monotonic()
    if rows < at_least:
        raise Failed(f"LOST: {at_least} rows were answered, {rows} landed after the restart")
    return rows, changed


# --- 11: start --------------------------------------------------------------------------------------------------------


@contextmanager
def start(bench: Bench) -> Iterator[Arms]:
    yield {
        "sluice, first start": lambda: _start(bench, again=False),
        "sluice, again": lambda: _start(bench, again=True),
        "engine alone": lambda: _start_engine(bench),
    }


def _start(bench: Bench, *, again: bool) -> Trial:
    """Start with the embedded engine, as `sluice serve` does."""
    with bench.fresh() as directory:
        for _ in range(1 + again):
            began = time.monotonic()
            gateway = Gateway(directory, directory / "data", None, "--workers", str(bench.workers))
            took = time.monotonic() - began
            gateway.stop()
    return {"ready_seconds": took}


def _start_engine(bench: Bench) -> Trial:
    with bench.fresh() as directory:
        began = time.monotonic()
        engine = Engine(directory, directory / "engine")
        took = time.monotonic() - began
        engine.stop()
    return {"ready_seconds": took}


_REQUESTS, _LANDED, _CPU = "requests_per_s", "landed_rows_per_s", "cpu_us_per_row.all"
_WORKER = "cpu_us_per_row.worker"
_BARE, _PARSED, _ENGINE = "bare aiohttp", "bare aiohttp + orjson", "engine directly"

COMPARISONS = (
    Comparison(
        1, "One-row bodies, fsync, 1 worker", one_row,
        (Ratio("sluice", _BARE, _REQUESTS, ">= 0.75"), Ratio("sluice", _PARSED, _REQUESTS), Ratio("sluice", _BARE, _WORKER)),
    ),
    Comparison(
        2, "100-row bodies, all cores", _several_rows(100),
        (Ratio("sluice", _ENGINE, _LANDED), Ratio("sluice", _PARSED, "answered_rows_per_s", ">= 1"), Ratio("sluice", _ENGINE, _CPU)),
    ),
    Comparison(
        3, "1 000-row bodies, all cores", _several_rows(1000),
        (Ratio("sluice", _ENGINE, _LANDED), Ratio("sluice", _PARSED, "answered_rows_per_s"), Ratio("sluice", _ENGINE, _CPU)),
    ),
    Comparison(
        4, "10 000-row bodies: CPU of a row, ours and the engine's", large_bodies,
        (Ratio("sluice", _ENGINE, _CPU, "<= 1.2"), Ratio("sluice", f"{_ENGINE}, 100 000 rows", _CPU), Ratio("sluice", _ENGINE, _LANDED)),
    ),
    Comparison(
        5, "Compressed 1 000-row bodies", encodings,
        (Ratio("gzip", "plain", _LANDED), Ratio("zstd", "plain", _LANDED), Ratio("gzip", "plain", _CPU), Ratio("zstd", "plain", _CPU)),
    ),
    Comparison(
        7, "Active data sources, 100-row bodies", sources,
        (Ratio("100", "1", _LANDED, ">= 0.8"), Ratio("1000", "1", _LANDED, ">= 0.8")),
    ),
    Comparison(7, "Columns, 100-row bodies", columns, (Ratio("200", "10", "landed_cells_per_s"),)),
    Comparison(
        8, "From 202 to visible in a query, default settings", visible,
        (Ratio("under load", "quiet", "visible_p99_ms"),),
    ),
    Comparison(9, "Memory, 1 000-row bodies as fast as they are taken", memory),
    Comparison(10, "The log after kill -9, against live rows", replay, (Ratio("after kill -9", "live", _LANDED),)),
    Comparison(11, "From start to ready", start, (Ratio("sluice, first start", "engine alone", "ready_seconds"),)),
)  # fmt: skip
