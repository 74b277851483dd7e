"""Processes: what is measured, started on free ports of 127.0.0.1 and ended by its own pid; and what it used.

Linux only: CPU time and peak memory are read from /proc. A process dies with the script that started it.
"""

import contextlib
import ctypes
import http.client
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import orjson
from workload import SORTING_KEY, Target

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "p.the-admin-token-of-this-bench"

_START_SECONDS_MAX = 120.0
_STOP_SECONDS_MAX = 90.0
# So much CPU in so much time is what a process that waits uses: it looks at the catalog twice a second.
_QUIET_SECONDS, _QUIET_CPU_SECONDS = 0.5, 0.03
_TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """A measurement could not be made; the text says why."""


class Skipped(Exception):
    """Something is not installed here; the text says what."""


class Daemon:
    """A process of ours, with its output in a file."""

    def __init__(self, name: str, command: list[str], directory: Path, **environment: str) -> None:
        self.name = name
        self.said = directory / f"{name}-{secrets.token_hex(3)}.log"
        self.started = time.monotonic()
        outside = {key: value for key, value in os.environ.items() if not key.startswith("SLUICE_")}
        with self.said.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=outside | environment,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  one system call, and no thread of ours runs yet
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def pids(self) -> dict[str, list[int]]:
        """Return the processes to be counted, by role."""
        return {self.name: [self.pid]}

    def await_line(self, pattern: str) -> str:
        """Return the first group of `pattern` when the process has said it."""
        while not (found := re.search(pattern, self.said.read_text(errors="replace"))):
            if self.process.poll() is not None or time.monotonic() - self.started > _START_SECONDS_MAX:
                raise Failed(f"{self.name} did not start:\n{self.said.read_text(errors='replace')[-4000:]}")
            time.sleep(0.01)
        return found[1]

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if it does not listen. Safe twice."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """SIGKILL for all of its processes at once."""
        for pid in (pid for pids in self.pids().values() for pid in pids if pid != self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()


class Engine(Daemon):
    """`sluice engine`: the engine alone, reached as a client reaches ClickHouse."""

    def __init__(self, directory: Path, data_dir: Path, port: int = 0) -> None:
        self._password = "bench"
        url = f"http://default:{self._password}@127.0.0.1:{port}/"
        super().__init__("engine", [sys.executable, "-m", "gateway", "engine", "--data-dir", str(data_dir)], directory,
                         SLUICE_CLICKHOUSE_URL=url, SLUICE_LOG_LEVEL="warning")  # fmt: skip
        self.port = int(self.await_line(r"answers at \S+:(\d+)"))

    @property
    def url(self) -> str:
        return f"http://default:{self._password}@127.0.0.1:{self.port}/"

    @property
    def auth(self) -> dict[str, str]:
        return {"X-ClickHouse-User": "default", "X-ClickHouse-Key": self._password}

    def sql(self, query: str) -> str:
        """Return what the engine answers to `query`, as text."""
        status, answer = ask("POST", self.port, "/", query.encode(), self.auth)
        if status != 200:
            raise Failed(f"the engine refuses: {answer.decode(errors='replace')}")
        return answer.decode().strip()


class Gateway(Daemon):
    """`sluice serve`, with its own engine or with one of ours."""

    def __init__(self, directory: Path, data_dir: Path, engine: Engine | None, *options: str) -> None:
        address = {"SLUICE_CLICKHOUSE_URL": engine.url} if engine else {}
        command = [sys.executable, "-m", "gateway", "serve", "--port", "0", "--data-dir", str(data_dir), *options]
        super().__init__(
            "supervisor", command, directory, SLUICE_ADMIN_TOKEN=TOKEN, SLUICE_LOG_LEVEL="warning", **address
        )
        self.port = int(self.await_line(r"answers at http://127\.0\.0\.1:(\d+)"))
        self.await_ready()

    def pids(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {"supervisor": [self.pid]}
        for pid in children(self.pid):
            words = _command_line(pid)
            if b"child" in words:
                name = words[words.index(b"child") + 1].decode()
                found.setdefault(name.partition("-")[0], []).append(pid)
        return found

    def await_ready(self) -> None:
        """Return when events would be taken."""
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if ask("GET", self.port, "/ready")[0] == 200:
                    return
            if self.process.poll() is not None or time.monotonic() - self.started > _START_SECONDS_MAX:
                raise Failed(f"the gateway was not ready:\n{self.said.read_text(errors='replace')[-4000:]}")
            time.sleep(0.01)

    def await_quiet(self) -> None:
        """Return when all children are there and none has used the CPU for a while.

        A gateway takes events before its worker of jobs has imported what it needs; that is in no trial.
        """
        before: dict[int, float] = {}
        while True:
            now = {pid: cpu_seconds(pid) for pids in self.pids().values() for pid in pids}
            is_quiet = all(used - before.get(pid, -1.0) <= _QUIET_CPU_SECONDS for pid, used in now.items())
            if is_quiet and "jobs" in self.pids():
                return
            if time.monotonic() - self.started > _START_SECONDS_MAX:
                raise Failed("the gateway uses the CPU although nobody asks for anything")
            before = now
            time.sleep(_QUIET_SECONDS)

    def create(self, name: str, schema: str, sorting_key: str = SORTING_KEY) -> str:
        """Make a data source; return its id, which is also the name of its table."""
        form = urlencode({"name": name, "schema": schema, "engine": "MergeTree", "engine_sorting_key": sorting_key})
        status, answer = ask("POST", self.port, "/v0/datasources", form.encode(), {"Authorization": f"Bearer {TOKEN}"})
        if status != 200:
            raise Failed(f"no data source: {status} {answer.decode(errors='replace')}")
        return orjson.loads(answer)["datasource"]["id"]

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels, as it was at most half a second ago."""
        text = ask("GET", self.port, "/metrics")[1].decode()
        return sum(map(float, re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)))

    def pending_rows(self) -> int:
        """Return how many rows are logged and not in ClickHouse."""
        return int(self.metric("sluice_buffer_pending_rows"))

    def target(self, name: str, **params: str) -> Target:
        return Target.events(TOKEN, name, **params)


class Baseline(Daemon):
    """A bare aiohttp server, see baselines.py."""

    def __init__(self, directory: Path, mode: str, workers: int, rows: int) -> None:
        command = [sys.executable, "loadtest/baselines.py", mode, "--workers", str(workers), "--rows", str(rows)]
        super().__init__("worker", command, directory)
        self.port = int(self.await_line(r"ready (\d+)"))

    def pids(self) -> dict[str, list[int]]:
        return {"worker": [self.pid, *children(self.pid)]}


def ask(
    method: str, port: int, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Return status and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body or None, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def cpu_seconds(pid: int) -> float:
    """Return what a process has used so far, all its threads together: user and system.

    Raises:
        Failed: it is gone.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        raise Failed(f"process {pid} died while it was measured") from None
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_bytes(pid: int) -> int:
    """Return the largest resident memory a process ever had, or has had since `reset_peak`."""
    return _status(pid, "VmHWM")


def resident_bytes(pid: int) -> int:
    """Return what a process has in memory now."""
    return _status(pid, "VmRSS")


def machine_cpu_seconds() -> float:
    """Return the CPU time that everybody on this machine has used since its start, that of other guests included."""
    user, nice, system, _idle, _wait, irq, softirq, steal, *_ = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _status(pid: int, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _command_line(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
