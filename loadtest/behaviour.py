"""Arms of the comparisons 8 to 11: when rows are seen, what memory it takes, the log after a crash, and the start."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import linear_regression

import workload
from generator import Generator
from measure import Bench, Stack, Trial, database_of, run_load, stack
from processes import Engine, Failed, Gateway, ask, peak_bytes, resident_bytes
from throughput import Arms, requests_of, to_gateway

# --- 8: from 202 to visible -------------------------------------------------------------------------------------------

_PROBE_SECONDS = 0.05
_SEEN_SECONDS_MAX = 30.0
_BATCH_AGE_MS = 1000.0  # batch_age_seconds_max, the default


@contextmanager
def visible(bench: Bench) -> Iterator[Arms]:
    yield {"quiet": lambda: _visible(bench, 0), "under load": lambda: _visible(bench, 16)}


def _visible(bench: Bench, connections: int) -> Trial:
    """Probe rows of a data source of their own, one every 50 ms, while others send bodies of 100 rows, or nobody."""
    with stack(bench, "--workers", str(bench.workers)) as made:
        made.gateway.create("events", workload.SCHEMA)
        table = made.gateway.create("probe", "id UInt64 `json:$.id`", "id")
        requests = requests_of(bench, [made.gateway.target("events")], 100)
        made.warm_up("events", workload.bodies(1, 1)[0])
        load = None
        if connections:
            load = Generator(bench.generator, made.gateway.port, requests.path, connections, bench.seconds + 2)
        try:
            waits = sorted(_probe(made, table, bench.seconds))
        finally:
            if load is not None:
                load.kill()
    p99_ms = waits[int(len(waits) * 0.99)] * 1000
    return {
        "probes": len(waits),
        "visible_p50_ms": waits[len(waits) // 2] * 1000,
        "visible_p99_ms": p99_ms,
        "visible_p99_over_age_ms": p99_ms - _BATCH_AGE_MS,
        "visible_max_ms": waits[-1] * 1000,
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


_BUFFER_BYTES_MAX = 128 * 2**20  # buffer_memory_bytes_max, the default


@contextmanager
def memory(bench: Bench) -> Iterator[Arms]:
    arms = {"saturated": lambda: _memory(bench, is_out=False), "ClickHouse down": lambda: _memory(bench, is_out=True)}
    yield arms | ({"soak": lambda: _soak(bench)} if bench.soak_minutes else {})


def _memory(bench: Bench, *, is_out: bool) -> Trial:
    with stack(bench, "--workers", str(bench.workers)) as made:
        table = made.gateway.create("events", workload.SCHEMA)
        workers = made.gateway.pids()["worker"]
        requests = requests_of(bench, [made.gateway.target("events")], 1000)
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


_SAMPLES = 600
_EMPTY_SECONDS = 30.0


def _soak(bench: Bench) -> Trial:
    """Bodies as fast as they are taken for long, while the memory of the workers is looked at.

    The table is emptied again and again, for an hour of rows takes a lot of disk; so nobody counts what landed.
    """
    seconds = bench.soak_minutes * 60
    with stack(bench, "--workers", str(bench.workers)) as made:
        table = made.gateway.create("events", workload.SCHEMA)
        place = f"{database_of(made.engine, table)}.{table}"
        workers = made.gateway.pids()["worker"]
        requests = requests_of(bench, [made.gateway.target("events")], 1000)
        made.warm_up("events", workload.bodies(1, 1)[0])
        idle = max(map(resident_bytes, workers))
        samples: list[tuple[float, list[int]]] = []
        ended = threading.Event()

        def watch() -> None:
            began = emptied = time.monotonic()
            while not ended.wait(seconds / _SAMPLES):
                now = time.monotonic()
                samples.append((now - began, list(map(resident_bytes, workers))))
                if now - emptied > _EMPTY_SECONDS:
                    made.engine.sql(f"TRUNCATE TABLE {place}")
                    emptied = now

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            trial = run_load(bench, made.gateway, requests, pids=made.pids, seconds=seconds)
        finally:
            ended.set()
            watcher.join()
        peak = max(map(peak_bytes, workers))
    trial.pop("landed_rows_per_s")
    second_half = [sample for sample in samples if sample[0] > seconds / 2]
    moments = [at for at, _ in second_half]
    slopes = [linear_regression(moments, [sizes[n] for _, sizes in second_half]).slope for n in range(len(workers))]
    return trial | {
        "idle_mb.worker": idle / 1e6,
        "peak_over_idle_mb.worker": (peak - idle) / 1e6,
        "half_mb.worker": max(second_half[0][1]) / 1e6,
        "end_mb.worker": max(second_half[-1][1]) / 1e6,
        "slope_mb_per_hour.worker": max(slopes) * 3600 / 1e6,
    }


@contextmanager
def replay(bench: Bench) -> Iterator[Arms]:
    yield {"live": lambda: to_gateway(bench, 1000), "after kill -9": lambda: _replay(bench)}


def _replay(bench: Bench) -> Trial:
    """Fill the log while ClickHouse is down, kill everything, start again, wait until all rows have landed."""
    with bench.fresh() as directory:
        engine = Engine(directory, directory / "engine")
        gateway = Gateway(directory, directory / "gateway", engine, "--workers", str(bench.workers))
        try:
            table = gateway.create("events", workload.SCHEMA)
            Stack(bench, directory, engine, gateway).warm_up("events", workload.bodies(1, 1)[0])
            engine.kill()
            requests = requests_of(bench, [gateway.target("events")], 1000)
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
        "sluice for the first time": lambda: _start(bench, again=False),
        "sluice again": lambda: _start(bench, again=True),
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
