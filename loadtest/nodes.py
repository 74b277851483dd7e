"""Two nodes, one metadata database, one ClickHouse, a load balancer in front: what do clients notice, and does it add up?

    rolling   nodes are restarted one after the other under load, by SIGTERM: no request may fail
    kill      every process of a node is killed, under load, and the node started again: what was answered is there once
    lost      a node is killed and never comes back; `sluice log adopt` lands what it owed, killed itself in between

Producers give every row of every attempt an id of its own and write down which were answered; a request that got no
answer is sent again, as new rows, for nobody can know whether the first came through. In the end each answered id must be
in ClickHouse exactly once, and each other at most once.

    python loadtest/nodes.py                                                  all three, balancer of our own, SQLite
    python loadtest/nodes.py --only rolling --restarts 10 --balancer haproxy --database-url postgresql://…
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import orjson
from balancer import KINDS, Own, free_port
from processes import ROOT, TOKEN, Daemon, Engine, Failed, Skipped, children

SECRET = "the-secret-that-the-nodes-of-this-rehearsal-share"
SCHEMA = "id UInt64 `json:$.id`, producer UInt16 `json:$.producer`, text String `json:$.text`"
DELAY_SECONDS = 0.7  # of the nodes' stops; the checks of balancers are faster
ROWS_SECONDS = 60.0


class Node:
    """One `sluice serve`, started again on its port and data directory."""

    def __init__(self, name: str, directory: Path, environment: dict[str, str], job_workers: int) -> None:
        self._job_workers = job_workers
        self.name, self.port, self.data_dir = name, free_port(), directory / name
        self._directory, self._environment = directory, environment
        self.daemon: Daemon | None = None

    def begin(self) -> None:
        self.daemon = Daemon(
            self.name,
            [sys.executable, "-m", "gateway", "serve", "--data-dir", str(self.data_dir), "--port", str(self.port),
             "--workers", "1", "--job-workers", str(self._job_workers), "--batch-age-seconds-max", "200ms", "--log-segment-bytes-max", "256KiB",
             "--buffer-memory-bytes-max", "8MiB", "--batch-bytes-max", "1MiB", "--body-bytes-max", "1MB",
             "--shutdown-delay-seconds", str(DELAY_SECONDS)],
            self._directory,
            **self._environment,
        )  # fmt: skip

    async def ready(self) -> None:
        deadline = time.monotonic() + 60
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            while time.monotonic() < deadline and self.daemon.process.poll() is None:
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    async with session.get(f"http://127.0.0.1:{self.port}/ready") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.02)
        raise Failed(f"{self.name} was not ready:\n{self.daemon.said.read_text()[-4000:]}")

    async def restart(self) -> float:
        """SIGTERM, and start it again; return how many seconds it was gone."""
        began = time.monotonic()
        self.daemon.process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(self.daemon.process.wait, 60)
        if code:
            raise Failed(f"{self.name} stopped with code {code}:\n{self.daemon.said.read_text()[-4000:]}")
        self.begin()
        await self.ready()
        return time.monotonic() - began

    async def kill(self) -> None:
        """SIGKILL for all of its processes at once."""
        for pid in (self.daemon.process.pid, *children(self.daemon.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(self.daemon.process.wait, 60)

    def end(self) -> None:
        if self.daemon is not None:
            self.daemon.stop()


@dataclass
class Tally:
    """What clients did and heard."""

    attempts: int = 0
    answered: set[int] = field(default_factory=set)
    statuses: Counter = field(default_factory=Counter)
    unanswered: int = 0  # requests
    unknown: set[int] = field(default_factory=set)  # the rows of those, and of refused ones
    reads: Counter = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Requests that were not answered as asked."""
        wrong = sum(count for status, count in (self.statuses + self.reads).items() if status not in (200, 202))
        return wrong + self.unanswered + self.reads[0]


class Clients:
    """Producers and readers that send to the balancer until they are told to stop."""

    def __init__(self, port: int, producers: int, seed: int) -> None:
        self.tally = Tally()
        self._url = f"http://127.0.0.1:{port}"
        self._stop = asyncio.Event()
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"})
        self._tasks = [
            asyncio.create_task(self._produce(each, random.Random(seed + each))) for each in range(producers)
        ]
        self._tasks.append(asyncio.create_task(self._read()))

    async def stop(self) -> Tally:
        self._stop.set()
        await asyncio.gather(*self._tasks)
        await self._session.close()
        return self.tally

    async def _produce(self, producer: int, chance: random.Random) -> None:
        number, tally = 0, self.tally
        while not self._stop.is_set():
            size = chance.choice([1, 1, 10, 100, 400])
            ids = [(producer << 40) + number + offset for offset in range(size)]
            number += size
            body = b"\n".join(orjson.dumps({"id": i, "producer": producer, "text": f"text of {i}"}) for i in ids)
            params = {"name": "events", "wait": "true" if chance.random() < 0.05 else "false"}
            began = time.monotonic()
            status = await self._send("POST", f"/v0/events?{urlencode(params)}", body)
            tally.attempts += 1
            tally.milliseconds.append(1000 * (time.monotonic() - began))
            if status in (200, 202):
                tally.answered.update(ids)
            else:
                tally.unknown.update(ids)
            if status:
                tally.statuses[status] += 1
            else:
                tally.unanswered += 1
            await asyncio.sleep(0.002 if status in (200, 202) else 0.02)

    async def _read(self) -> None:
        """What command lines and dashboards ask for."""
        paths = ("/v0/sql?q=SELECT+count()+FROM+events+FORMAT+JSON", "/v0/datasources", "/v0/pipes", "/v0/jobs")
        turn = 0
        while not self._stop.is_set():
            self.tally.reads[await self._send("GET", paths[turn % len(paths)])] += 1
            turn += 1
            await asyncio.sleep(0.03)

    async def _send(self, method: str, path: str, body: bytes | None = None) -> int:
        """Return the status; 0 if there was no answer."""
        try:
            timeout = aiohttp.ClientTimeout(total=40)
            async with self._session.request(method, self._url + path, data=body, timeout=timeout) as answer:
                await answer.read()
                return answer.status if answer.status != 502 else 0
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0


class Stage:
    """The engine, two nodes and a balancer."""

    def __init__(self, directory: Path, options: argparse.Namespace) -> None:
        self.directory, self.options = directory, options
        self.engine = Engine(directory, directory / "clickhouse")
        self.environment = {
            "SLUICE_CLICKHOUSE_URL": self.engine.url,
            "SLUICE_DATABASE_URL": options.database_url or f"sqlite+aiosqlite:///{directory / 'metadata.db'}",
            "SLUICE_SECRET": SECRET,
            "SLUICE_ADMIN_TOKEN": TOKEN,
        }
        self.nodes = [Node(name, directory, self.environment, options.job_workers) for name in ("node-1", "node-2")]
        ports = [node.port for node in self.nodes]
        kind = options.balancer
        self.balancer = Own(ports) if kind == "own" else KINDS[kind](ports, directory)

    async def start(self) -> None:
        for node in self.nodes:  # at the same moment, on an empty database
            node.begin()
        await asyncio.gather(*(node.ready() for node in self.nodes))
        await self.balancer.start()
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            url = f"http://127.0.0.1:{self.nodes[0].port}/v0/datasources"
            async with session.post(url, data={"name": "events", "schema": SCHEMA}) as answer:
                made = await answer.json()
                if answer.status != 200:
                    raise Failed(f"no data source: {made}")
        self.table = made["datasource"]["id"]
        self.database = self.engine.sql(f"SELECT database FROM system.tables WHERE name = '{self.table}'")

    async def stop(self) -> None:
        with contextlib.suppress(AttributeError):
            await self.balancer.stop()
        for node in self.nodes:
            await asyncio.to_thread(node.end)
        await asyncio.to_thread(self.engine.stop)

    def clients(self) -> Clients:
        return Clients(self.balancer.port, self.options.producers, self.options.seed)

    def stored(self) -> Counter:
        """Return how often each id is in the table with its text."""
        lines = self.engine.sql(
            f"SELECT id, count() FROM {self.database}.{self.table} WHERE text = concat('text of ', toString(id)) GROUP BY id"
        ).splitlines()
        return Counter({int(key): int(count) for key, count in (line.split("\t") for line in lines)})

    def empty(self) -> None:
        self.engine.sql(f"TRUNCATE TABLE {self.database}.{self.table}")


async def rolling(stage: Stage) -> bool:
    clients, gone = stage.clients(), []
    await asyncio.sleep(0.5)
    for turn in range(stage.options.restarts):
        gone.append(await stage.nodes[turn % 2].restart())
        await asyncio.sleep(0.5)  # until the balancer has seen that it is back
    tally = await clients.stop()
    print(f"rolling: {len(gone)} restarts of {statistics.mean(gone):.1f} s each, {tally.attempts} requests of events, "
          f"{sum(tally.reads.values())} reads: {tally.failed} failed {dict(tally.statuses)} {dict(tally.reads)}; "
          f"slowest {max(tally.milliseconds):.0f} ms", flush=True)  # fmt: skip
    return await judge(stage, "rolling", tally) and tally.failed == 0


async def kill(stage: Stage) -> bool:
    clients, chance = stage.clients(), random.Random(stage.options.seed)
    for turn in range(stage.options.kills):
        await asyncio.sleep(0.3 + chance.random())
        node = stage.nodes[turn % 2]
        await node.kill()
        await asyncio.sleep(chance.random())
        node.begin()
        await node.ready()
        await asyncio.sleep(0.3)
    tally = await clients.stop()
    print(f"kill: {stage.options.kills} kills of a whole node, {tally.attempts} requests of events, "
          f"without an answer {tally.unanswered}, refused {tally.statuses[503]}", flush=True)  # fmt: skip
    return await judge(stage, "kill", tally)


async def lost(stage: Stage) -> bool:
    clients, first = stage.clients(), stage.nodes[0]
    await asyncio.sleep(0.7)
    # What the node sends now is carried out when it is dead: it can not know that it landed.
    stage.engine.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.7)
    await first.kill()
    stage.engine.process.send_signal(signal.SIGCONT)
    moved = stage.directory / "mounted"
    first.data_dir.rename(moved)
    chance = random.Random(stage.options.seed)
    for _ in range(stage.options.adopt_kills):
        killed = await adopt(stage, moved, kill_after=chance.random() * stage.options.adopt_seconds)
        print(f"lost: adopting it, killed: {said(killed)}", flush=True)
    again = await adopt(stage, moved)
    empty = await adopt(stage, moved)
    tally = await clients.stop()
    print(f"lost: adopting it again: {said(again)}", flush=True)
    print(f"lost: and again: {said(empty)}", flush=True)
    print(f"lost: {tally.attempts} requests of events, without an answer {tally.unanswered}", flush=True)
    codes = [each.returncode for each in (again, empty)]
    return await judge(stage, "lost", tally) and codes == [0, 0]


async def adopt(stage: Stage, directory: Path, kill_after: float | None = None) -> subprocess.CompletedProcess:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "log", "adopt", str(directory), cwd=ROOT,
        env={**outside, **stage.environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if kill_after is not None:
        # It is killed in the middle: when it has said how much there is to land.
        line = await process.stdout.readline()
        await asyncio.sleep(kill_after)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        rest, _ = await process.communicate()
        return subprocess.CompletedProcess([], process.returncode, (line + rest).decode())
    output, _ = await process.communicate()
    return subprocess.CompletedProcess([], process.returncode, output.decode())


def said(done: subprocess.CompletedProcess) -> str:
    return f"exit code {done.returncode}: " + " / ".join(done.stdout.strip().splitlines())


async def judge(stage: Stage, name: str, tally: Tally) -> bool:
    """Wait until all that was answered is there, then hold the table against what was heard."""
    deadline, began = time.monotonic() + ROWS_SECONDS, time.monotonic()
    while not tally.answered <= (stored := await asyncio.to_thread(stage.stored)).keys():
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.1)
    seconds = time.monotonic() - began
    await asyncio.sleep(1)  # whatever would land twice has its chance
    stored = await asyncio.to_thread(stage.stored)
    lost_rows = len(tally.answered - stored.keys())
    doubled = sum(1 for count in stored.values() if count > 1)
    foreign = len(stored.keys() - tally.answered - tally.unknown)
    came = len(stored.keys() & tally.unknown)
    print(f"{name}: answered rows {len(tally.answered)}, lost {lost_rows}, doubled {doubled}, never sent {foreign}; "
          f"of {len(tally.unknown)} rows without an answer {came} are there; complete after {seconds:.1f} s", flush=True)  # fmt: skip
    await asyncio.to_thread(stage.empty)
    return not (lost_rows or doubled or foreign)


SCENARIOS = {"rolling": rolling, "kill": kill, "lost": lost}


async def run(options: argparse.Namespace, directory: Path) -> int:
    stage = Stage(directory, options)
    try:
        await stage.start()
        verdicts = [await SCENARIOS[name](stage) for name in options.only.split(",")]
    finally:
        await stage.stop()
    print("all is as it should be" if all(verdicts) else "FAILED", flush=True)
    return 0 if all(verdicts) else 1


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--only", default=",".join(SCENARIOS), help="scenarios, separated by commas; lost comes last"
    )
    arguments.add_argument("--restarts", type=int, default=4)
    arguments.add_argument("--kills", type=int, default=4)
    arguments.add_argument("--producers", type=int, default=4)
    arguments.add_argument("--job-workers", type=int, default=1, help="of each node")
    arguments.add_argument("--adopt-kills", type=int, default=1, help="how often the adopting is killed")
    arguments.add_argument(
        "--adopt-seconds", type=float, default=0.2, help="within which it is killed, of its first row"
    )
    arguments.add_argument("--balancer", choices=["own", *KINDS], default="own")
    arguments.add_argument("--database-url", default="")
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    arguments.add_argument("--keep", help="a directory to keep the data and logs in, for a look afterwards")
    options = arguments.parse_args()
    with contextlib.ExitStack() as stack:
        directory = options.keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-nodes-"))
        Path(directory).mkdir(parents=True, exist_ok=True)
        try:
            return asyncio.run(run(options, Path(directory).absolute()))
        except Skipped as skipped:
            print(f"skipped: {skipped}")
            return 77


if __name__ == "__main__":
    sys.exit(main())
