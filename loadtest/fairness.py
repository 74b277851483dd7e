"""Fairness: what does a tenant notice of one that sends a hundred times as much?

    python loadtest/fairness.py
    python loadtest/fairness.py --rate 50 --times 100 --rounds 4 --seconds 4 --limit 200

Two workspaces of one gateway. The quiet one sends one-row bodies at a fixed rate, whatever is answered, and its times run
from the moment each was due; the other does the same, as often or `--times` as often. In turn, without limits and with
`workspace.requests` limited: the quiet one alone, beside an equal, and beside the noisy one. What a hundredfold changes is
the last against the one before: an equal has log and inserts of its own, too. Each sender is a process of its own.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import orjson
import uvloop
import workload
from processes import Failed, Gateway, ask, cpu_seconds
from workload import Target

_TICK_SECONDS_MIN = 0.001
_BACKLOG_SECONDS_MAX = {True: 2.0, False: 0.1}  # what a sender that is not answered lets pile up: quiet, noisy


# --- a sender ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sender:
    """Sends a request when one is due and a connection is free; `seconds` run from when it was due."""

    request: bytes
    rate: float
    idle: list = field(default_factory=list)
    due: deque[float] = field(default_factory=deque)
    backlog_seconds_max: float = 2.0
    seconds: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    dropped: int = 0
    lost: int = 0

    async def run(self, port: int, connections: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", port)
        began, sent = time.perf_counter(), 0
        while (now := time.perf_counter()) - began < seconds:
            wanted = int((now - began) * self.rate)
            self.due.extend(began + (number + 1) / self.rate for number in range(sent, wanted))
            sent = wanted
            while len(self.due) > self.rate * self.backlog_seconds_max:
                self.due.popleft()
                self.dropped += 1
            while self.due and self.idle:
                self.idle.pop().send(self.due.popleft())
            await asyncio.sleep(max(_TICK_SECONDS_MIN, began + (sent + 1) / self.rate - time.perf_counter()))


class _Connection(asyncio.Protocol):
    def __init__(self, sender: _Sender) -> None:
        self.sender = sender
        self.due = 0.0
        self.rest = b""

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.sender.idle.append(self)

    def send(self, due: float) -> None:
        self.due = due
        self.transport.write(self.sender.request)

    def data_received(self, data: bytes) -> None:
        self.rest += data
        head = self.rest.find(b"\r\n\r\n")
        if head < 0 or not self.rest.endswith(b"}"):
            return
        status, sender = int(self.rest[9:12]), self.sender
        self.rest = b""
        sender.seconds.append(time.perf_counter() - self.due)
        sender.statuses[status] = sender.statuses.get(status, 0) + 1
        if sender.due:
            self.send(sender.due.popleft())
        else:
            sender.idle.append(self)

    def connection_lost(self, _error) -> None:
        self.sender.lost += 1
        with suppress(ValueError):
            self.sender.idle.remove(self)


def _send(given: argparse.Namespace) -> int:
    """Be a sender: the request comes on standard input, the result goes to standard output."""
    sender = _Sender(sys.stdin.buffer.read(), given.rate, backlog_seconds_max=_BACKLOG_SECONDS_MAX[given.tell])
    uvloop.run(sender.run(given.port, given.connections, given.seconds))
    result = {
        "seconds": sender.seconds if given.tell else [],  # what nobody reads at once would fill the pipe
        "statuses": {str(status): count for status, count in sender.statuses.items()},
        "dropped": sender.dropped + len(sender.due),
        "lost": sender.lost,
    }
    sys.stdout.buffer.write(orjson.dumps(result))
    return 0


# --- the comparison ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Arm:
    """What the quiet one saw in one situation, and what became of the noisy one's."""

    rounds: list[list[float]] = field(default_factory=list)  # seconds of each request, ascending
    failed: int = 0
    taken: int = 0
    refused: int = 0
    unsent: int = 0
    offered: float = 0.0
    worker_cpu: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Return the median of the rounds' quantiles, in ms: a host that stalls once spoils one round, not all."""
        return median(found[min(len(found) - 1, int(len(found) * share))] for found in self.rounds) * 1000


class _Process:
    """A sender that runs."""

    def __init__(
        self, port: int, request: bytes, rate: float, connections: int, seconds: float, *, tell: bool = False
    ) -> None:
        command = [sys.executable, __file__, "send", str(port), str(rate), str(connections), str(seconds)]
        command += ["--tell"] if tell else []
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._seconds = seconds
        assert self._process.stdin is not None
        self._process.stdin.write(request)
        self._process.stdin.close()
        self._process.stdin = None

    def result(self) -> dict:
        try:
            said, _ = self._process.communicate(timeout=self._seconds + 20)
        finally:
            self._process.kill()
            self._process.wait()
        return orjson.loads(said)


def _tenant(gateway: Gateway, name: str) -> bytes:
    """Make a workspace with a data source; return the request that it sends."""
    user = orjson.loads(ask("GET", gateway.port, "/tokens")[1])["user_token"]
    status, answer = ask(
        "POST", gateway.port, f"/v1/workspaces?name={name}", headers={"Authorization": f"Bearer {user}"}
    )
    if status != 200:
        raise Failed(f"no workspace: {status} {answer.decode()}")
    token = orjson.loads(answer)["token"]
    schema = workload.SCHEMA.encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = orjson.dumps({"name": "events", "mode": "create", "schema": schema.decode(), "engine": "MergeTree",
                         "engine_sorting_key": workload.SORTING_KEY})  # fmt: skip
    status, answer = ask("POST", gateway.port, "/v0/datasources", body, headers)
    if status != 200:
        raise Failed(f"no data source: {status} {answer.decode()}")
    target, row = Target.events(token, "events"), workload.bodies(1, 1)[0]
    lines = "".join(f"{key}: {value}\r\n" for key, value in target.headers)
    head = f"POST {target.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}Content-Length: {len(row)}\r\n\r\n"
    return head.encode() + row


@contextmanager
def _gateway(directory: Path, given: argparse.Namespace, *options: str) -> Iterator[Gateway]:
    made = Gateway(directory, directory / "data", None, "--workers", str(given.workers), *options)
    try:
        made.await_quiet()
        yield made
    finally:
        made.stop()


def _measure(arm: _Arm, gateway: Gateway, quiet: bytes, noisy: bytes, times: float, given: argparse.Namespace) -> None:
    """Send as the quiet one, beside one that sends `times` as much."""
    noise = None
    workers = gateway.pids()["worker"]
    cpu = sum(map(cpu_seconds, workers))
    if times:
        noise = _Process(gateway.port, noisy, given.rate * times, 64, given.seconds + 1.0)
        time.sleep(0.7)
    found = _Process(gateway.port, quiet, given.rate, 8, given.seconds, tell=True).result()
    arm.rounds.append(sorted(found["seconds"]) or [0.0])
    arm.failed += sum(count for status, count in found["statuses"].items() if status != "202") + found["dropped"]
    arm.failed += found["lost"]
    if noise is not None:
        heard = noise.result()
        arm.taken += heard["statuses"].get("202", 0)
        arm.refused += sum(count for status, count in heard["statuses"].items() if status != "202")
        arm.unsent += heard["dropped"]
        arm.offered += given.seconds + 1.0
    arm.worker_cpu.append((sum(map(cpu_seconds, workers)) - cpu) / given.seconds)


def _compare(given: argparse.Namespace) -> int:
    situations = {"alone": 0.0, "beside an equal": 1.0, f"beside {given.times:g} times as much": given.times}
    arms = {(held, name): _Arm() for held in (False, True) for name in situations}
    with TemporaryDirectory(prefix="fairness-", dir=given.dir) as place:
        free, held = Path(place) / "free", Path(place) / "held"
        free.mkdir()
        held.mkdir()
        limit = f"workspace.requests={given.limit}"
        with _gateway(free, given) as open_to_all, _gateway(held, given, "--rate-limits", limit) as fair:
            tenants = {g: (_tenant(g, "quiet"), _tenant(g, "noisy")) for g in (open_to_all, fair)}
            for gateway, requests in tenants.items():  # every worker has done everything once
                for request in requests:
                    _Process(gateway.port, request, 20, 16, 1.0).result()
            for _ in range(given.rounds):
                for (is_held, name), arm in arms.items():
                    gateway = fair if is_held else open_to_all
                    _measure(arm, gateway, *tenants[gateway], situations[name], given)
    _print(arms, given)
    return 0


def _print(arms: dict[tuple[bool, str], _Arm], given: argparse.Namespace) -> None:
    print(f"quiet: {given.rate:g} requests/s; noisy: {given.times:g} times as many; limit: {given.limit} a second each; "
          f"{given.workers} workers, {os.cpu_count()} CPUs, {given.rounds} rounds of {given.seconds:g} s\n")  # fmt: skip
    print(
        "| limits | quiet tenant | requests | failed | p50 ms | p90 ms | p99 ms | p99 / alone | p99 / equal | other: taken/s | "
        "refused/s | unsent/s | workers' CPU |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for (is_held, name), arm in arms.items():
        alone, equal, _ = (other.quantile(0.99) or 1.0 for (held, _), other in arms.items() if held == is_held)
        p99, offered = arm.quantile(0.99), arm.offered or 1.0
        print(
            f"| {'yes' if is_held else 'no'} | {name} | {sum(map(len, arm.rounds))} | {arm.failed} | {arm.quantile(0.5):.2f} | "
            f"{arm.quantile(0.9):.2f} | {p99:.2f} | {p99 / alone:.2f} | {p99 / equal:.2f} | {arm.taken / offered:.0f} | "
            f"{arm.refused / offered:.0f} | {arm.unsent / offered:.0f} | {sum(arm.worker_cpu) / len(arm.worker_cpu):.2f} |"
        )


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    if sys.argv[1:2] == ["send"]:
        arguments.add_argument("send")
        arguments.add_argument("port", type=int)
        arguments.add_argument("rate", type=float)
        arguments.add_argument("connections", type=int)
        arguments.add_argument("seconds", type=float)
        arguments.add_argument("--tell", action="store_true")
        return _send(arguments.parse_args())
    arguments.add_argument("--rate", type=float, default=50, help="requests a second of the quiet one")
    arguments.add_argument("--times", type=float, default=100, help="how much more the noisy one sends")
    arguments.add_argument("--limit", type=int, default=200, help="requests a second of each workspace")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=3)
    arguments.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--dir", type=Path, help="where data is written; must be a real disk")
    return _compare(arguments.parse_args())


if __name__ == "__main__":
    sys.exit(main())
