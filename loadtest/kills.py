"""Kill anything, at any moment, under load; then count.

Producers send rows with ids and write down which ids were answered. Meanwhile a process is killed with SIGKILL again and
again: a worker, the engine, the supervisor (started again with another number of workers, so that logs are adopted). When
the kills are over the gateway is left in peace until nothing is pending, and then every answered id must be in the table
and in a materialized view exactly once, with its value, and no id may be there twice or that was never sent.

    python loadtest/kills.py --kills 200
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import orjson

SCHEMA = "id UInt64 `json:$.id`, producer UInt16 `json:$.producer`, text String `json:$.text`"
TOKEN = "the-admin-token-of-this-rehearsal"


@dataclass
class Oracle:
    """What was sent and what was answered."""

    sent: int = 0
    answered: set[int] = field(default_factory=set)
    committed: int = 0
    refused: Counter = field(default_factory=Counter)
    unanswered: int = 0


class Gateway:
    """One `sluice serve` over one data directory, started again after each death."""

    def __init__(self, data_dir: Path, port: int, log: Path) -> None:
        self.data_dir, self.port, self.log = data_dir, port, log
        self.process: asyncio.subprocess.Process | None = None
        self.url = f"http://127.0.0.1:{port}"

    async def start(self, workers: int) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "serve", "--data-dir", str(self.data_dir), "--port", str(self.port),
                "--workers", str(workers), "--batch-age-seconds-max", "100ms", "--log-segment-bytes-max", "256KiB",
                "--buffer-memory-bytes-max", "4MiB", "--batch-bytes-max", "1MiB", "--body-bytes-max", "1MB",
                stdout=log, stderr=log, env={**os.environ, "SLUICE_ADMIN_TOKEN": TOKEN},
            )  # fmt: skip

    def pids(self) -> dict[str, int]:
        """The processes of this gateway by name."""
        found = {}
        if self.process is None or self.process.returncode is not None:
            return found
        found["supervisor"] = self.process.pid
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError, IndexError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes().split(b"\0")
                if parent == self.process.pid and b"child" in command:
                    found[command[command.index(b"child") + 1].decode()] = int(entry.name)
        return found

    async def kill(self, name: str) -> None:
        pid = self.pids().get(name)
        if pid is None:
            return
        os.kill(pid, signal.SIGKILL)
        if name == "supervisor":
            await self.process.wait()

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), 90)


async def run(kills: int, seed: int, producers: int, data_dir: Path) -> int:
    chance = random.Random(seed)
    gateway = Gateway(data_dir, free_port(), data_dir / "gateway.log")
    await gateway.start(2)
    try:
        await prepare(gateway)
        oracle, stop = Oracle(), asyncio.Event()
        began = time.monotonic()
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            sending = [
                asyncio.create_task(produce(gateway, session, oracle, stop, each, seed)) for each in range(producers)
            ]
            killed = await rampage(gateway, chance, kills)
            stop.set()
            await asyncio.gather(*sending)
            load_seconds = time.monotonic() - began
            print(f"seed {seed}: {sum(killed.values())} kills in {load_seconds:.0f} s: {dict(killed)}", flush=True)
            print(f"sent {oracle.sent} rows, answered {len(oracle.answered)} (of them {oracle.committed} with 200), "
                  f"requests without an answer {oracle.unanswered}, refused {dict(oracle.refused)}", flush=True)  # fmt: skip
            return await judge(gateway, session, oracle)
    finally:
        await gateway.stop()


async def rampage(gateway: Gateway, chance: random.Random, kills: int) -> Counter:
    killed: Counter = Counter()
    while sum(killed.values()) < kills:
        await asyncio.sleep(chance.expovariate(1 / 0.4))
        pids = gateway.pids()
        if gateway.process.returncode is not None:  # it gave up, because what it needs was killed before it was ready
            await gateway.start(chance.choice([1, 2, 3]))
            continue
        if len(pids) < 2:
            continue
        name = chance.choice(sorted(pids))
        await gateway.kill(name)
        killed[name] += 1
        if name == "supervisor":
            await gateway.start(chance.choice([1, 2, 3]))
        if chance.random() < 0.5:
            await ready(gateway)
    return killed


async def prepare(gateway: Gateway) -> None:
    """Create the data source, and a materialized view over it by way of the engine itself."""
    await ready(gateway)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        async with session.post(f"{gateway.url}/v0/datasources", data={"name": "events", "schema": SCHEMA}) as answer:
            made = await answer.json()
            assert answer.status == 200, made
    await gateway.stop()
    table, password, port = made["datasource"]["id"], "rehearsal", free_port()
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "engine", "--data-dir", str(gateway.data_dir),
        "--clickhouse-url", f"http://default:{password}@127.0.0.1:{port}/", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await engine.stdout.readline()
    async with aiohttp.ClientSession(headers={"X-ClickHouse-User": "default", "X-ClickHouse-Key": password}) as session:

        async def run_sql(sql: str) -> str:
            async with session.post(f"http://127.0.0.1:{port}/", data=sql) as answer:
                text = await answer.text()
                assert answer.status == 200, text
                return text

        database = (await run_sql(f"SELECT database FROM system.tables WHERE name = '{table}'")).strip()
        await run_sql(f"CREATE TABLE {database}.{table}_target (id UInt64, producer UInt16, length UInt64) ENGINE = MergeTree "
                      "ORDER BY id SETTINGS non_replicated_deduplication_window = 10000")  # fmt: skip
        await run_sql(f"CREATE MATERIALIZED VIEW {database}.{table}_view TO {database}.{table}_target AS "
                      f"SELECT id, producer, length(text) AS length FROM {database}.{table}")  # fmt: skip
    engine.terminate()
    await engine.wait()
    gateway.target = f"{database}.{table}_target"
    gateway.table = f"{database}.{table}"
    await gateway.start(2)
    await ready(gateway)


async def produce(gateway: Gateway, session, oracle: Oracle, stop: asyncio.Event, producer: int, seed: int) -> None:
    chance = random.Random(seed * 1000 + producer)
    number = 0
    while not stop.is_set():
        size = chance.choice([1, 1, 1, 10, 100, 500])
        ids = [(producer << 40) + number + offset for offset in range(size)]
        number += size
        oracle.sent += size
        body = b"\n".join(orjson.dumps({"id": each, "producer": producer, "text": f"text of {each}"}) for each in ids)
        params = {"name": "events", "wait": "true" if chance.random() < 0.1 else "false"}
        try:
            url = f"{gateway.url}/v0/events?{urlencode(params)}"
            async with session.post(url, data=body, timeout=aiohttp.ClientTimeout(total=40)) as answer:
                reply = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            oracle.unanswered += 1
            await asyncio.sleep(0.02)
            continue
        if answer.status in (200, 202):
            assert orjson.loads(reply) == {"successful_rows": size, "quarantined_rows": 0}, reply
            oracle.answered.update(ids)
            oracle.committed += size if answer.status == 200 else 0
        else:
            oracle.refused[answer.status] += 1
            await asyncio.sleep(0.02)


async def judge(gateway: Gateway, session, oracle: Oracle) -> int:
    """Wait until nothing is pending, then hold the table and the view against the oracle."""
    began = time.monotonic()
    await ready(gateway)
    stored: list[int] = []
    while time.monotonic() - began < 180:
        await asyncio.sleep(0.5)
        stored = await ids(gateway, session, "SELECT id FROM events WHERE text = concat('text of ', toString(id))")
        if oracle.answered <= set(stored):
            break
    await asyncio.sleep(2)  # whatever would land twice has its chance
    stored = await ids(gateway, session, "SELECT id FROM events WHERE text = concat('text of ', toString(id))")
    everything = await ids(gateway, session, "SELECT id FROM events")
    # The view is asked for by way of the engine, when the gateway has stopped.
    counts = Counter(everything)
    lost = len(oracle.answered - set(stored))
    doubled = sum(1 for count in counts.values() if count > 1)
    altered = len(everything) - len(stored)
    await gateway.stop()
    view = await view_ids(gateway)
    view_lost = len(oracle.answered - set(view))
    view_doubled = sum(1 for count in Counter(view).values() if count > 1)
    print(f"table: {len(everything)} rows, lost {lost}, doubled {doubled}, altered {altered}; "
          f"view: {len(view)} rows, lost {view_lost}, doubled {view_doubled}; "
          f"quiet after {time.monotonic() - began:.1f} s", flush=True)  # fmt: skip
    return 1 if lost or doubled or altered or view_lost or view_doubled or len(view) != len(everything) else 0


async def ids(gateway: Gateway, session, sql: str) -> list[int]:
    while True:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with session.post(f"{gateway.url}/v0/sql", data=f"{sql} FORMAT TabSeparated") as answer:
                if answer.status == 200:
                    return [int(line) for line in (await answer.text()).split()]
        await asyncio.sleep(0.2)


async def view_ids(gateway: Gateway) -> list[int]:
    password, port = "rehearsal", free_port()
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "engine", "--data-dir", str(gateway.data_dir),
        "--clickhouse-url", f"http://default:{password}@127.0.0.1:{port}/", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await engine.stdout.readline()
    headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": password}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(f"http://127.0.0.1:{port}/", data=f"SELECT id FROM {gateway.target}") as answer:
            found = [int(line) for line in (await answer.text()).split()]
    engine.terminate()
    await engine.wait()
    return found


async def ready(gateway: Gateway) -> None:
    deadline = time.monotonic() + 120
    async with aiohttp.ClientSession() as session:
        while True:
            if gateway.process.returncode is not None:
                await gateway.start(2)
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with session.get(f"{gateway.url}/ready", timeout=aiohttp.ClientTimeout(total=2)) as answer:
                    if answer.status == 200:
                        return
            if time.monotonic() > deadline:
                raise SystemExit("the gateway was not ready within two minutes")
            await asyncio.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    arguments.add_argument("--producers", type=int, default=6)
    arguments.add_argument("--keep", help="a directory to keep the data and logs in, for a look afterwards")
    options = arguments.parse_args()
    with contextlib.ExitStack() as stack:
        directory = options.keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-kills-"))
        Path(directory).mkdir(parents=True, exist_ok=True)
        return asyncio.run(run(options.kills, options.seed, options.producers, Path(directory)))


if __name__ == "__main__":
    sys.exit(main())
