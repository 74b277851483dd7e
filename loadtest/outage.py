"""ClickHouse goes away under load, and comes back; then count.

The engine runs as a server of its own, as ClickHouse would. Producers send at a steady rate while it is killed (or frozen,
with --freeze: connections stay open and nobody answers) and started again after --seconds. Shown: what was accepted
meanwhile, the memory of the workers against their bound, how long the backlog took, and whether every row answered landed
exactly once.

    python loadtest/outage.py --seconds 120
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp
import orjson
from kills import SCHEMA, TOKEN, free_port

MEMORY = "64MiB"


async def start(*arguments: str, log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as file:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", *arguments, stdout=file, stderr=file,
            env={**os.environ, "SLUICE_ADMIN_TOKEN": TOKEN},
        )  # fmt: skip


async def answers(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)


def resident_mib(parent: int) -> dict[str, float]:
    """The memory of the children of `parent`, by name."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                pages = int((entry / "statm").read_text().split()[1])
                found[command[command.index(b"child") + 1].decode()] = pages * 4096 / 2**20
    return found


async def run(options: argparse.Namespace, directory: Path) -> int:
    engine_port, port = free_port(), free_port()
    clickhouse = f"http://default:rehearsal@127.0.0.1:{engine_port}/"
    engine_command = ("engine", "--data-dir", str(directory / "clickhouse"), "--clickhouse-url", clickhouse)
    engine = await start(*engine_command, log=directory / "engine.log")
    await answers(f"http://127.0.0.1:{engine_port}/ping")
    gateway = await start(
        "serve", "--data-dir", str(directory / "gateway"), "--port", str(port), "--workers", "2",
        "--clickhouse-url", clickhouse, "--buffer-memory-bytes-max", MEMORY, log=directory / "gateway.log",
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        await answers(f"{url}/ready")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.post(f"{url}/v0/datasources", data={"name": "events", "schema": SCHEMA}) as answer:
                assert answer.status == 200, await answer.text()
            state = {"answered": Counter(), "refused": Counter(), "phase": "before", "stop": False}
            sending = [asyncio.create_task(produce(url, session, state, each, options.rate / 4)) for each in range(4)]
            await asyncio.sleep(10)
            before = resident_mib(gateway.pid)
            state["phase"] = "during"
            if options.freeze:
                engine.send_signal(signal.SIGSTOP)
            else:
                engine.kill()
                await engine.wait()
            peak: dict[str, float] = {}
            until = time.monotonic() + options.seconds
            while time.monotonic() < until:
                await asyncio.sleep(1)
                for name, size in resident_mib(gateway.pid).items():
                    peak[name] = max(peak.get(name, 0.0), size)
            async with session.get(f"{url}/ready") as answer:
                said = await answer.json()
            state["phase"] = "after"
            if options.freeze:
                engine.send_signal(signal.SIGCONT)
            else:
                engine = await start(*engine_command, log=directory / "engine.log")
                await answers(f"http://127.0.0.1:{engine_port}/ping")
            back = time.monotonic()
            await asyncio.sleep(10)
            state["stop"] = True
            await asyncio.gather(*sending)
            expected = sum(state["answered"].values())
            while (rows := await one(url, session, "SELECT count() FROM events")) < expected:
                if time.monotonic() - back > 300:
                    break
                await asyncio.sleep(0.2)
            drained = time.monotonic() - back
            distinct = await one(url, session, "SELECT uniqExact(id) FROM events")
    finally:
        for process in (gateway, engine):
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(process.wait(), 90)
    accepted = state["answered"]
    print(f"ClickHouse {'frozen' if options.freeze else 'down'} for {options.seconds} s, {options.rate} rows/s offered")
    print(f"accepted before {accepted['before']}, during {accepted['during']}, after {accepted['after']}; "
          f"refused {dict(state['refused'])}")  # fmt: skip
    print(f"/ready at the end of it: {orjson.dumps(said).decode()}")
    for name in sorted(peak):
        print(
            f"{name}: {before.get(name, 0):.0f} MiB before, peak {peak[name]:.0f} MiB (rows in memory bounded to {MEMORY})"
        )
    print(
        f"landed {rows} of {expected}, distinct {distinct}; all there {drained:.1f} s after ClickHouse answered again"
    )
    return 0 if rows == expected == distinct else 1


async def produce(url: str, session, state, producer: int, rate: float) -> None:
    number, size = 0, 500
    due = time.monotonic()
    while not state["stop"]:
        ids = range((producer << 40) + number, (producer << 40) + number + size)
        body = b"\n".join(
            orjson.dumps({"id": each, "producer": producer, "text": f"text of {each} " + "x" * 100}) for each in ids
        )
        number += size
        async with session.post(f"{url}/v0/events?name=events", data=body) as answer:
            await answer.read()
        if answer.status == 202:
            state["answered"][state["phase"]] += size
        else:
            state["refused"][answer.status] += 1
        due += size / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def one(url: str, session, sql: str) -> int:
    while True:
        async with session.post(f"{url}/v0/sql", data=f"{sql} FORMAT TabSeparated") as answer:
            if answer.status == 200:
                return int(await answer.text())
        await asyncio.sleep(0.5)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=int, default=120)
    arguments.add_argument("--rate", type=int, default=20_000, help="rows per second offered")
    arguments.add_argument("--freeze", action="store_true", help="stop the process instead of killing it")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-outage-") as directory:
        return asyncio.run(run(options, Path(directory)))


if __name__ == "__main__":
    sys.exit(main())
