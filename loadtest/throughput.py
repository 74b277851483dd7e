"""Arms of the comparisons 1 to 7: bodies as fast as they are answered, and the rows that land of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import workload
from many_tokens import add_tokens, authentication_us
from measure import Bench, Stack, Trial, direct, run_load, stack, warm_up
from peers import Nginx, OldClickHouse
from processes import Baseline, Engine, Gateway

Arms = dict[str, Callable[[], Trial]]

# --- arms that several comparisons use --------------------------------------------------------------------------------


def requests_of(bench: Bench, targets: list[workload.Target], rows: int, **options) -> workload.Requests:
    found = options.pop("bodies", None) or workload.bodies(rows, workload.body_count(rows))
    return workload.write_requests(bench.directory / "requests.bin", targets, found, rows, **options)


def to_gateway(bench: Bench, rows: int, *, workers: int = 0, encoding: str = "") -> Trial:
    """Bodies of `rows` rows to a fresh gateway, until they have landed."""
    with stack(bench, "--workers", str(workers or bench.workers)) as made:
        table = made.gateway.create("events", workload.SCHEMA)
        bodies = workload.bodies(rows, workload.body_count(rows))
        if encoding:
            bodies = workload.compressed(bodies, encoding)
        requests = requests_of(bench, [made.gateway.target("events")], rows, bodies=bodies, encoding=encoding)
        made.warm_up("events", workload.bodies(1, 1)[0])
        return run_load(bench, made.gateway, requests, pids=made.pids, count=made.counter([table]))


def to_engine(bench: Bench, rows: int, connections: int | None = None) -> Trial:
    """The same bodies straight to a fresh engine."""
    with direct(bench) as (engine, table):
        requests = requests_of(bench, [workload.Target.direct(engine.auth, table)], rows)
        count = partial(_count, engine, table)
        warm_up(engine, [workload.Target.direct(engine.auth, table)], workload.bodies(1, 1)[0], 8)
        return run_load(bench, engine, requests, count=count, connections=connections)


def _count(engine: Engine, table: str) -> int:
    return int(engine.sql(f"SELECT count() FROM {table}"))


def to_old_clickhouse(bench: Bench, rows: int) -> Trial:
    """The same bodies straight to a ClickHouse of 2018."""
    with bench.fresh() as directory:
        server = OldClickHouse(directory)
        try:
            # It knows no other setting of ours: what is answered is stored, and the same block twice is two blocks.
            target = workload.Target.direct({}, "events", {"date_time_input_format": "best_effort"})
            requests = requests_of(bench, [target], rows)
            warm_up(server, [target], workload.bodies(1, 1)[0], 8)
            return run_load(bench, server, requests, count=lambda: int(server.sql("SELECT count() FROM events")))
        finally:
            server.stop()


def to_nginx(bench: Bench, rows: int) -> Trial:
    """The same bodies to an nginx that answers 204."""
    with bench.fresh() as directory:
        server = Nginx(directory)
        try:
            return run_load(bench, server, requests_of(bench, [workload.Target.events("x" * 100, "events")], rows))
        finally:
            server.stop()


def to_bare(bench: Bench, rows: int, mode: str, workers: int) -> Trial:
    """The same bodies to a bare aiohttp handler."""
    with bench.fresh() as directory:
        server = Baseline(directory, mode, workers, rows)
        try:
            requests = requests_of(bench, [workload.Target.events("x" * 100, "events")], rows)
            return run_load(bench, server, requests)
        finally:
            server.stop()


# --- 1 to 5: bodies of one size ---------------------------------------------------------------------------------------


@contextmanager
def one_row(bench: Bench) -> Iterator[Arms]:
    yield {
        "sluice": lambda: to_gateway(bench, 1, workers=1),
        "bare aiohttp": lambda: to_bare(bench, 1, "discard", 1),
        "bare aiohttp + orjson": lambda: to_bare(bench, 1, "orjson", 1),
        "nginx 204": lambda: to_nginx(bench, 1),
    }


@contextmanager
def hundred_rows(bench: Bench) -> Iterator[Arms]:
    yield _several_rows(bench, 100)


@contextmanager
def thousand_rows(bench: Bench) -> Iterator[Arms]:
    yield _several_rows(bench, 1000) | {"ClickHouse 18.16 directly": lambda: to_old_clickhouse(bench, 1000)}


def _several_rows(bench: Bench, rows: int) -> Arms:
    return {
        "sluice": lambda: to_gateway(bench, rows),
        "engine directly": lambda: to_engine(bench, rows),
        "bare aiohttp + orjson": lambda: to_bare(bench, rows, "orjson", bench.workers),
    }


@contextmanager
def large_bodies(bench: Bench) -> Iterator[Arms]:
    yield {
        "sluice": lambda: to_gateway(bench, 10_000),
        "engine directly": lambda: to_engine(bench, 10_000, 8),
        "engine directly in 100 000 rows": lambda: to_engine(bench, 100_000, 4),
    }


@contextmanager
def encodings(bench: Bench) -> Iterator[Arms]:
    yield {
        "plain": lambda: to_gateway(bench, 1000),
        "gzip": lambda: to_gateway(bench, 1000, encoding="gzip"),
        "zstd": lambda: to_gateway(bench, 1000, encoding="zstd"),
    }


# --- 6: more workers --------------------------------------------------------------------------------------------------

# Enough that two workers have always something to do, and so few that the generator leaves cores to them.
_FEW_CONNECTIONS = 16


@contextmanager
def workers(bench: Bench) -> Iterator[Arms]:
    few = replace(bench, connections=min(bench.connections, _FEW_CONNECTIONS))
    yield {"1 worker": lambda: to_gateway(few, 1, workers=1), "2 workers": lambda: to_gateway(few, 1, workers=2)}


# --- 7: many data sources, many columns, many tokens ------------------------------------------------------------------


@contextmanager
def sources(bench: Bench) -> Iterator[Arms]:
    """All arms share a gateway: making a thousand data sources takes a while."""
    with stack(bench, "--workers", str(bench.workers)) as made:
        names = [f"events_{n}" for n in range(max(bench.sources))]
        ids = [made.gateway.create(name, workload.SCHEMA) for name in names]

        def arm(many: int) -> Trial:
            targets = [made.gateway.target(name) for name in names[:many]]
            requests = requests_of(bench, targets, 100)
            return run_load(bench, made.gateway, requests, pids=made.pids, count=made.counter(ids[:many]))

        made.warm_up(names[0], workload.bodies(1, 1)[0], *names[1:])
        yield {str(many): partial(arm, many) for many in bench.sources}


@contextmanager
def columns(bench: Bench) -> Iterator[Arms]:
    def arm(many: int) -> Trial:
        with stack(bench, "--workers", str(bench.workers)) as made:
            table = made.gateway.create("wide", workload.wide_schema(many), "c0")
            rows = 100
            bodies = workload.wide_bodies(many, rows, 16)
            requests = requests_of(bench, [made.gateway.target("wide")], rows, bodies=bodies)
            made.warm_up("wide", bodies[0])
            trial = run_load(bench, made.gateway, requests, pids=made.pids, count=made.counter([table]))
            return trial | {"landed_cells_per_s": trial["landed_rows_per_s"] * many}

    yield {str(many): partial(arm, many) for many in (10, 200)}


_TEN = 10


@contextmanager
def tokens(bench: Bench) -> Iterator[Arms]:
    """Ten tokens send; then as many more as there shall be exist; then all of them send, so most for the first time."""
    yield {
        f"{_TEN} tokens": lambda: _tokens(bench, _TEN, _TEN),
        f"{bench.tokens} tokens": lambda: _tokens(bench, bench.tokens, _TEN),
        f"{bench.tokens} tokens in use": lambda: _tokens(bench, bench.tokens, bench.tokens),
    }


def _tokens(bench: Bench, many: int, sending: int) -> Trial:
    with bench.fresh() as directory:
        engine = Engine(directory, directory / "engine")
        try:
            data_dir = directory / "gateway"
            gateway = Gateway(directory, data_dir, engine, "--workers", "1")
            try:
                table = gateway.create("events", workload.SCHEMA)
                gateway.stop()
                strings = add_tokens(data_dir, many, "DATASOURCES:APPEND:events")
                timed = authentication_us(data_dir, strings) if many > _TEN else ()
                gateway = Gateway(directory, data_dir, engine, "--workers", "1")
                gateway.await_quiet()
                made = Stack(bench, directory, engine, gateway)
                made.warm_up("events", workload.bodies(1, 1)[0])
                targets = [workload.Target.events(each, "events") for each in strings[:sending]]
                requests = requests_of(bench, targets, 1)
                trial = run_load(bench, gateway, requests, pids=made.pids, count=made.counter([table]))
            finally:
                gateway.stop()
        finally:
            engine.stop()
    return trial | dict(zip(("authentication_first_us", "authentication_us"), timed, strict=False))
