"""Kill the process that does jobs, at any moment, while files are imported and data sources replaced; then count.

Turn by turn a file is appended, or replaces all rows, or those that meet a condition, in any format. While its job is
under way the worker is killed with SIGKILL, some times in a row. The job must end as done, and the rows must be exactly
those of a model: each once, with its value. While rows are replaced a reader asks for them all the time, and must see the
old rows or the new ones, never a mixture.

    python loadtest/import_kills.py --kills 50
"""

import argparse
import asyncio
import io
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from kills import TOKEN, Gateway, free_port, ready

SCHEMA = "id UInt32 `json:$.id`, turn UInt32 `json:$.turn`"
SUMS = "count() AS n, uniqExact(id) AS ids, sum(id) AS id_sum, sum(turn) AS turn_sum, sum(id * turn) AS product_sum"
ROWS = 150_000
WORKER = "jobs-0"

Model = dict[int, int]  # id → turn


async def run(kills: int, seed: int, data_dir: Path) -> int:
    chance = random.Random(seed)
    gateway = Gateway(data_dir, free_port(), data_dir / "gateway.log")
    await gateway.start(1)
    killed: Counter = Counter()
    wrong = 0
    try:
        await ready(gateway)
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            await create(gateway, session)
            model: Model = {}
            turn, began = 0, time.monotonic()
            while sum(killed.values()) < kills:
                turn += 1
                kind = chance.choice(["append", "replace", "condition"]) if model else "append"
                after, file = plan(model, kind, turn)
                found = await one(gateway, session, chance, kind, file, model, after, killed, kills)
                wrong += found != sums(after)
                if found != sums(after):
                    print(f"turn {turn}, {kind}: found {found}, expected {sums(after)}", flush=True)
                model = after
            print(
                f"seed {seed}: {sum(killed.values())} kills in {time.monotonic() - began:.0f} s, {turn} turns: {dict(killed)}"
            )
            print(f"turns that ended with other rows than they should: {wrong}", flush=True)
            return 1 if wrong else 0
    finally:
        await gateway.stop()


def plan(model: Model, kind: str, turn: int) -> tuple[Model, Model]:
    """Return the rows there shall be, and those of the file."""
    if kind == "append":
        start = max(model, default=0) + 1
        file = dict.fromkeys(range(start, start + ROWS), turn)
        return {**model, **file}, file
    if kind == "replace":
        file = dict.fromkeys(range(1, ROWS + 1), turn)
        return file, file
    file = dict.fromkeys(range(1, ROWS + 1), turn)  # the odd ones of them do not match
    kept = {number: value for number, value in model.items() if number % 2}
    return {**kept, **{number: turn for number in file if number % 2 == 0}}, file


def sums(model: Model) -> dict[str, int]:
    return {
        "n": len(model),
        "ids": len(model),
        "id_sum": sum(model),
        "turn_sum": sum(model.values()),
        "product_sum": sum(number * turn for number, turn in model.items()),
    }


async def one(
    gateway: Gateway, session: aiohttp.ClientSession, chance: random.Random, kind: str, file: Model,
    before: Model, after: Model, killed: Counter, kills: int,
) -> dict[str, int]:  # fmt: skip
    """Import one file under kills; return what is there then."""
    form = chance.choice(["csv", "ndjson", "parquet"])
    mode = "append" if kind == "append" else "replace"
    condition = {"replace_condition": "id % 2 = 0"} if kind == "condition" else {}
    url = f"{gateway.url}/v1/datasources/rows/{mode}"
    async with session.post(url, params={"format": form, **condition}, data=written(file, form)) as answer:
        started = await answer.json()
        assert answer.status == 200, started
    reading = asyncio.create_task(read(gateway, session, [before, after])) if kind != "append" else None
    job = await watch(gateway, session, chance, started["id"], f"{kind} {form}", killed, kills)
    assert job["status"] == "done", job
    if reading is not None:
        reading.cancel()
        mixtures = await asyncio.gather(reading, return_exceptions=True)
        if isinstance(mixtures[0], AssertionError):
            raise mixtures[0]
    return await query(gateway, session)


async def watch(
    gateway: Gateway, session: aiohttp.ClientSession, chance: random.Random, job_id: str, what: str,
    killed: Counter, kills: int,
) -> dict:  # fmt: skip
    """Kill the worker now and then until the job has ended; return it."""
    deadline = time.monotonic() + 180
    kill_at = time.monotonic() + chance.uniform(0, 1.5)
    left = chance.randint(1, 3)
    while True:
        async with session.get(f"{gateway.url}/v0/jobs/{job_id}") as answer:
            job = await answer.json()
        if job["status"] in {"done", "error", "cancelled"}:
            return job
        assert time.monotonic() < deadline, job
        pid = gateway.pids().get(WORKER)
        is_due = time.monotonic() >= kill_at and job["status"] == "working"
        if pid is not None and left and is_due and sum(killed.values()) < kills:
            os.kill(pid, signal.SIGKILL)
            killed[what] += 1
            left -= 1
            kill_at = time.monotonic() + 3 + chance.uniform(0, 1.5)
        await asyncio.sleep(0.01)


async def read(gateway: Gateway, session: aiohttp.ClientSession, allowed: list[Model]) -> None:
    expected = [sums(each) for each in allowed]
    while True:
        found = await query(gateway, session)
        assert found in expected, f"a reader saw {found}, neither {expected[0]} nor {expected[1]}"


async def query(gateway: Gateway, session: aiohttp.ClientSession) -> dict[str, int]:
    async with session.get(f"{gateway.url}/v0/sql", params={"q": f"SELECT {SUMS} FROM rows FORMAT JSON"}) as answer:
        body = await answer.json()
        assert answer.status == 200, body
        return {name: int(value) for name, value in body["data"][0].items()}


def written(rows: Model, form: str) -> bytes:
    if form == "csv":
        return b"".join(b"%d,%d\n" % pair for pair in rows.items())
    if form == "ndjson":
        return b"\n".join(orjson.dumps({"id": number, "turn": turn}) for number, turn in rows.items())
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": list(rows), "turn": list(rows.values())}), sink, row_group_size=20_000)
    return sink.getvalue()


async def create(gateway: Gateway, session: aiohttp.ClientSession) -> None:
    form = {"name": "rows", "schema": SCHEMA, "engine": "MergeTree", "engine_sorting_key": "id",
            "engine_partition_key": "id % 4"}  # fmt: skip
    async with session.post(f"{gateway.url}/v0/datasources", data=form) as answer:
        assert answer.status == 200, await answer.text()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=None, help="what is done and when; drawn and shown if absent")
    parser.add_argument("--keep", type=Path, help="use this directory, and leave it")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        return asyncio.run(run(options.kills, seed, options.keep))
    with tempfile.TemporaryDirectory(prefix="sluice-import-kills-") as directory:
        return asyncio.run(run(options.kills, seed, Path(directory)))


if __name__ == "__main__":
    sys.exit(main())
