"""Endpoints: calls of a published pipe, against the same SQL posted straight to the engine, in turn, in one run.

    python loadtest/endpoints.py                     1 and 32 connections, parameters that repeat and that do not
    python loadtest/endpoints.py --seconds 5 --rounds 3 --rows 1000000

Both sides run the same query on the same table of the same engine, with the same values, and answer JSON. `same`: every
call has the parameters of the one before. `new`: every call has parameters that no call before it had, so its template
has to be rendered and its SQL put together anew. What a round of ours lies beyond the engine's is our overhead.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import workload
from generator import Generator, LoadResult
from measure import Bench, Stack, database_of, stack
from processes import TOKEN, Failed, ask, cpu_seconds

_NEW = 20_000
_NODES = (
    ("of_event", "% SELECT * FROM events WHERE event = {{String(event, 'click')}} AND id > {{UInt64(after, 0)}}"),
    (
        "by_hour",
        (
            "% SELECT toStartOfHour(ts) AS hour, count() AS hits, uniq(user) AS users, sum(price) AS revenue "
            "FROM of_event GROUP BY hour ORDER BY hour DESC LIMIT {{Int32(page_size, 10)}}"
        ),
    ),
)
_SQL = (
    "SELECT toStartOfHour(ts) AS hour, count() AS hits, uniq(user) AS users, sum(price) AS revenue FROM "
    "(SELECT * FROM {table} WHERE event = 'click' AND id > toUInt64('{after}')) "
    "GROUP BY hour ORDER BY hour DESC LIMIT toInt32('10') FORMAT JSON"
)


def published(made: Stack, rows: int) -> str:
    """Fill a data source, publish the pipe, and return the name of its table."""
    table = made.gateway.create("events", workload.SCHEMA)
    name = f"{database_of(made.engine, table)}.{table}"
    made.engine.sql(
        f"INSERT INTO {name} (id, ts, user, event, path, duration_ms, price, is_new) SELECT number, "
        "toDateTime64('2026-01-01 00:00:00', 3) + number, toString(number % 997), ['click', 'view'][number % 2 + 1], "
        f"'/', 1, number % 100, 0 FROM numbers({rows})"
    )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    nodes = [{"name": node, "sql": sql} for node, sql in _NODES]
    for path, body in (
        ("/v0/pipes", json.dumps({"name": "hourly", "nodes": nodes}).encode()),
        (f"/v0/pipes/hourly/nodes/{_NODES[-1][0]}/endpoint", b""),
    ):
        status, answer = ask("POST", made.gateway.port, path, body, headers)
        if status != 200:
            raise Failed(f"no endpoint: {answer.decode(errors='replace')}")
    return name


def same_answers(made: Stack, table: str) -> None:
    """Check that both sides answer the same rows."""
    ours = json.loads(ask("GET", made.gateway.port, f"/v0/pipes/hourly.json?after=5&token={TOKEN}")[1])
    theirs = json.loads(made.engine.sql(_SQL.format(table=table, after=5)))
    shape = [{**row, "hits": int(row["hits"]), "users": int(row["users"])} for row in theirs["data"]]
    if ours["data"] != shape or not shape:
        raise Failed(f"the sides disagree: {ours} and {theirs}")


def requests(made: Stack, table: str, directory: Path, afters: Iterator[int], count: int, is_ours: bool) -> Path:
    """Write `count` requests."""
    path = directory / "requests.bin"
    auth = "".join(f"{name}: {value}\r\n" for name, value in made.engine.auth.items())
    with path.open("wb") as file:
        for after in (next(afters) for _ in range(count)):
            if is_ours:
                query = urlencode({"event": "click", "after": after})
                text = f"GET /v0/pipes/hourly.json?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            else:
                sql = _SQL.format(table=table, after=after)
                text = f"POST / HTTP/1.1\r\nHost: x\r\n{auth}Content-Length: {len(sql)}\r\n\r\n{sql}"
            file.write(f"{len(text)}\n{text}".encode())
    return path


@dataclass(frozen=True, slots=True)
class Side:
    """What one side did: the load, and the CPU milliseconds that one request took of the workers and of the engine."""

    load: LoadResult
    worker_ms: float
    engine_ms: float


def load(made: Stack, path: Path, connections: int, seconds: float, is_ours: bool) -> Side:
    """Send them for so long."""
    workers = made.gateway.pids()["worker"]
    before = sum(map(cpu_seconds, workers)), cpu_seconds(made.engine.pid)
    port = made.gateway.port if is_ours else made.engine.port
    generator = Generator("own", port, path, connections, seconds)
    try:
        found = generator.wait()
    finally:
        generator.kill()
    if found.refused or found.errors:
        raise Failed(f"{found.refused} refused, {found.errors} errors")
    used = sum(map(cpu_seconds, workers)) - before[0], cpu_seconds(made.engine.pid) - before[1]
    return Side(found, *(each / max(found.ok, 1) * 1000 for each in used))


def numbers(first: int, step: int) -> Iterator[int]:
    """Yield a number for each request."""
    while True:
        yield first
        first += step


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=20_000)
    arguments.add_argument("--seconds", type=float, default=3.0)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--connections", default="1,32")
    given = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(
        "| parameters | connections | engine, requests/s | endpoint, requests/s | ratio | engine p50 ms | endpoint p50 ms | "
        "overhead p50 ms | engine p99 ms | endpoint p99 ms | CPU ms of the engine, asked itself | by the endpoint | "
        "CPU ms of the workers |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    )
    with TemporaryDirectory(prefix="sluice-endpoints-") as name:
        directory = Path(name)
        with stack(Bench(directory), "--workers", str(given.workers)) as made:
            table = published(made, given.rows)
            same_answers(made, table)
            fresh = numbers(1, 1)
            for kind in ("same", "new"):
                for connections in map(int, given.connections.split(",")):
                    sides: dict[bool, list[Side]] = {False: [], True: []}
                    for _ in range(given.rounds):
                        for is_ours in (False, True):
                            afters, count = (numbers(0, 0), 1) if kind == "same" else (fresh, _NEW)
                            path = requests(made, table, directory, afters, count, is_ours)
                            sides[is_ours].append(load(made, path, connections, given.seconds, is_ours))
                    rate = {
                        is_ours: median(each.load.ok / each.load.seconds for each in sides[is_ours])
                        for is_ours in sides
                    }
                    p50 = {is_ours: median(each.load.p50_ms for each in sides[is_ours]) for is_ours in sides}
                    p99 = {is_ours: median(each.load.p99_ms for each in sides[is_ours]) for is_ours in sides}
                    cpu = [
                        median(each.engine_ms for each in sides[False]),
                        median(each.engine_ms for each in sides[True]),
                        median(each.worker_ms for each in sides[True]),
                    ]
                    print(
                        f"| {kind} | {connections} | {rate[False]:,.0f} | {rate[True]:,.0f} | "
                        f"{rate[True] / rate[False]:.2f} | {p50[False]:.2f} | {p50[True]:.2f} | "
                        f"{p50[True] - p50[False]:.2f} | {p99[False]:.2f} | {p99[True]:.2f} | "
                        f"{cpu[0]:.2f} | {cpu[1]:.2f} | {cpu[2]:.2f} |",
                        flush=True,
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
