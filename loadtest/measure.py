"""Measure: one load on one set of processes → numbers, CPU and memory of each role included.

A trial is a flat dict of numbers; the name says the unit, and after a dot the role it is about (`cpu_us_per_row.engine`).
Rows count when they are in the engine's table, not when they were answered: the clock of `landed_rows_per_s` runs from
the first request until the last row is there, so a backlog left behind by the load makes it smaller.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from generator import Generator
from processes import Daemon, Engine, Failed, Gateway, ask, cpu_seconds, machine_cpu_seconds, peak_bytes
from workload import SCHEMA, SORTING_KEY, Requests, Target

Trial = dict[str, float]

_LANDED_SECONDS_MAX = 180.0
_POLL_SECONDS = 0.1
# For how long no row may come before we believe that none will: behind a gateway, longer than a batch may wait and than
# the gauge of pending rows lags behind; an engine has answered when a row is stored.
_QUIET_SECONDS, _QUIET_SECONDS_DIRECT = 2.0, 0.3


@dataclass(slots=True)
class Bench:
    """How to measure, for all comparisons."""

    directory: Path
    seconds: float = 10.0
    connections: int = 64
    generator: str = "auto"
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    sources: tuple[int, ...] = (1, 100, 1000)
    tokens: int = 100_000
    soak_minutes: float = 0.0
    tables: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)  # see `direct`

    @contextmanager
    def fresh(self) -> Iterator[Path]:
        """Give an empty directory, gone afterwards."""
        path = Path(mkdtemp(dir=self.directory))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Stack:
    """An engine and a gateway in front of it, as separate daemons, so that the engine can be asked directly."""

    bench: Bench
    directory: Path
    engine: Engine
    gateway: Gateway

    def pids(self) -> dict[str, list[int]]:
        return {**self.gateway.pids(), **self.engine.pids()}

    def warm_up(self, name: str, body: bytes, *others: str) -> None:
        """Have every worker take `body` for each data source once, most likely: the kernel picks the worker.

        For `name` it also waits until the row has landed.
        """
        workers = len(self.gateway.pids()["worker"])
        # Those of one data source together, so that they are few inserts.
        for each in others:
            warm_up(self.gateway, [self.gateway.target(each)], body, 3 * workers)
        warm_up(self.gateway, [self.gateway.target(name, wait="true")], body, 8 * workers)
        while self.gateway.pending_rows():
            time.sleep(_POLL_SECONDS)

    def counter(self, ids: list[str]) -> Callable[[], int]:
        """Return a function that counts, in the engine, the rows in the tables `ids`."""
        database = database_of(self.engine, ids[0])
        if len(ids) == 1:
            query = f"SELECT count() FROM {database}.{ids[0]}"
        else:  # one scan of 1 000 tables takes longer than it may
            names = ", ".join(f"'{each}'" for each in ids)
            query = (
                f"SELECT sum(rows) FROM system.parts WHERE active AND database = '{database}' AND table IN ({names})"
            )
        return lambda: int(self.engine.sql(query) or 0)


@contextmanager
def stack(bench: Bench, *options: str) -> Iterator[Stack]:
    """Start an engine and a gateway on an empty directory, until both wait; `options` are those of `sluice serve`."""
    with bench.fresh() as directory:
        engine = Engine(directory, directory / "engine")
        try:
            gateway = Gateway(directory, directory / "gateway", engine, *options)
            try:
                gateway.await_quiet()
                yield Stack(bench, directory, engine, gateway)
            finally:
                gateway.stop()
        finally:
            engine.stop()


@contextmanager
def direct(bench: Bench, schema: str = SCHEMA, sorting_key: str = SORTING_KEY) -> Iterator[tuple[Engine, str]]:
    """Start an engine alone with the very table the gateway makes for `schema`; give it and the table's name."""
    if (schema, sorting_key) not in bench.tables:
        with stack(bench, "--workers", "1") as made:
            table = made.gateway.create("events", schema, sorting_key)
            database = database_of(made.engine, table)
            ddl = made.engine.sql(f"SELECT create_table_query FROM system.tables WHERE name = '{table}' FORMAT TSVRaw")
            bench.tables[schema, sorting_key] = (database, ddl)
    database, ddl = bench.tables[schema, sorting_key]
    with bench.fresh() as directory:
        engine = Engine(directory, directory / "engine")
        try:
            engine.sql(f"CREATE DATABASE IF NOT EXISTS {database}")
            engine.sql(ddl)
            yield engine, ddl.split()[2]
        finally:
            engine.stop()


def database_of(engine: Engine, table: str) -> str:
    """Return the database in which the table of that name is."""
    return engine.sql(f"SELECT database FROM system.tables WHERE name = '{table}'")


def run_load(
    bench: Bench,
    server: Daemon,
    requests: Requests,
    *,
    pids: Callable[[], dict[str, list[int]]] | None = None,
    count: Callable[[], int] | None = None,
    connections: int | None = None,
    seconds: float | None = None,
) -> Trial:
    """Send `requests` to `server` for some seconds and return what came of it.

    Args:
        bench: see there.
        server: who listens.
        requests: to be sent again and again.
        pids: the processes to be counted, by role; those of `server` if not given.
        count: rows landed; without it nothing is waited for, and what was answered counts.
        connections, seconds: other than those of `bench`.

    Raises:
        Failed: a process died, or rows that were answered did not land.
    """
    roles = (pids or server.pids)()
    seconds = seconds or bench.seconds
    base = count() if count else 0
    syncs = _syncs(server)
    before = {pid: cpu_seconds(pid) for found in roles.values() for pid in found}
    machine = machine_cpu_seconds()
    began = time.monotonic()
    generator = Generator(bench.generator, server.port, requests.path, connections or bench.connections, seconds)
    try:
        load = generator.wait()
    finally:
        generator.kill()
    ended = time.monotonic()
    answered = load.ok * requests.rows
    landed, landed_at, cpu = answered, ended, _used(before)
    if count:
        landed, landed_at, cpu = _await_landed(server, count, base, answered, before)
    trial = {
        "answered_rows": answered,
        "landed_rows": landed,
        "landed_rows_per_s": landed / (landed_at - began),
        "answered_rows_per_s": answered / load.seconds,
        "requests_per_s": load.ok / load.seconds,
        "body_mb_per_s": load.ok * requests.body_bytes / load.seconds / 1e6,
        "tail_seconds": landed_at - ended,
        "p50_ms": load.p50_ms,
        "p90_ms": load.p90_ms,
        "p99_ms": load.p99_ms,
        "max_ms": load.max_ms,
        "refused": load.refused,
        "errors": load.errors,
    }
    if syncs:
        number, took = (now - before_ for now, before_ in zip(_syncs(server), syncs, strict=True))
        trial["sync_ms"] = took / max(number, 1) * 1e3
        trial["requests_per_sync"] = load.requests / max(number, 1)
    rows = max(landed, 1)
    for role, found in roles.items():
        trial[f"cpu_us_per_row.{role}"] = sum(cpu[pid] for pid in found) / rows * 1e6
        trial[f"cpu_share.{role}"] = sum(cpu[pid] for pid in found) / (landed_at - began)
        trial[f"peak_mb.{role}"] = max(peak_bytes(pid) for pid in found) / 1e6
    ours = sum(cpu.values())
    trial["cpu_us_per_row.all"] = ours / rows * 1e6
    trial["cpu_us_per_row.generator"] = load.cpu_seconds / max(answered, 1) * 1e6
    busy = machine_cpu_seconds() - machine - ours - load.cpu_seconds
    trial["others_cpu_share"] = max(0.0, busy / (time.monotonic() - began))
    return trial


def _await_landed(
    server: Daemon, count: Callable[[], int], base: int, at_least: int, before: dict[int, float]
) -> tuple[int, float, dict[int, float]]:
    """Wait until no more rows come; return how many came, when the last did, and the CPU used until then."""
    is_gateway = isinstance(server, Gateway)
    quiet_seconds = _QUIET_SECONDS if is_gateway else _QUIET_SECONDS_DIRECT
    began = changed_at = time.monotonic()
    found, cpu = count() - base, _used(before)
    while True:
        now = time.monotonic()
        if now - changed_at > quiet_seconds and not (is_gateway and server.pending_rows()):
            break
        if now - began > _LANDED_SECONDS_MAX:
            raise Failed(f"{found} rows landed of {at_least} answered, and rows are pending for ever")
        time.sleep(_POLL_SECONDS)
        if (rows := count() - base) != found:
            found, changed_at, cpu = rows, time.monotonic(), _used(before)
    if found < at_least:
        raise Failed(f"LOST: {at_least} rows were answered, {found} landed")
    return found, changed_at, cpu


def _syncs(server: Daemon) -> tuple[float, ...]:
    """Return how often the logs of a gateway were synced, and the seconds that took."""
    if not isinstance(server, Gateway):
        return ()
    return server.metric("sluice_log_syncs_total"), server.metric("sluice_log_sync_seconds_total")


def _used(before: dict[int, float]) -> dict[int, float]:
    """Return the CPU seconds each process used since."""
    return {pid: cpu_seconds(pid) - start for pid, start in before.items()}


def warm_up(server: Daemon, targets: Sequence[Target], body: bytes, times: int) -> None:
    """Send `body` a few times on connections of their own, so that every worker has done everything once.

    Raises:
        Failed: it was refused.
    """
    for number in range(times):
        target = targets[number % len(targets)]
        status, answer = ask("POST", server.port, target.path, body, dict(target.headers))
        if status not in {200, 202}:
            raise Failed(f"a first request was answered {status}: {answer[:500].decode(errors='replace')}")
