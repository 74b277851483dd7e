"""Generator: sends prepared requests over a number of connections for some seconds, as fast as they are answered.

`wrk` if it is installed (one thread, C), else this file as a process of its own (asyncio and uvloop; it costs two to
three times the CPU, so a comparison near the limit of a small machine wants wrk). Both answer the same numbers.

    python loadtest/generator.py 127.0.0.1 7181 requests.bin --connections 64 --seconds 5
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import orjson
import uvloop

_HERE = Path(__file__).parent
_SPARE_SECONDS = 30.0  # what a generator may take beyond its time before it is killed


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came of a load. `refused`: answers of 400 and above; `errors`: connections that failed; both not in `ok`."""

    seconds: float
    requests: int
    refused: int
    errors: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    cpu_seconds: float

    @property
    def ok(self) -> int:
        return self.requests - self.refused


def choose(wanted: str, seconds: float) -> str:
    """Return `wrk` or `own`. wrk counts in whole seconds, so shorter loads are our own."""
    if wanted != "auto":
        return wanted
    return "wrk" if shutil.which("wrk") and seconds >= 1 else "own"


class Generator:
    """A load that runs."""

    def __init__(self, kind: str, port: int, requests: Path, connections: int, seconds: float) -> None:
        self._out = tempfile.TemporaryFile()  # noqa: SIM115  closed by `wait`
        self._seconds = seconds
        if kind == "wrk":
            command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s",
                       "-s", str(_HERE / "post.lua"), f"http://127.0.0.1:{port}/", "--", str(requests)]  # fmt: skip
        else:
            command = [sys.executable, str(_HERE / "generator.py"), "127.0.0.1", str(port), str(requests),
                       "--connections", str(connections), "--seconds", str(seconds)]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=self._out, stderr=subprocess.STDOUT)
        self._ended: tuple[int, float] | None = None

    def wait(self) -> LoadResult:
        """Return what came of it, when it is over."""
        deadline = time.monotonic() + self._seconds + _SPARE_SECONDS
        while not self._poll():
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError("the load generator did not end")
            time.sleep(0.005)
        assert self._ended is not None
        self._out.seek(0)
        said = self._out.read().decode(errors="replace")
        self._out.close()
        _, found, result = said.rpartition("RESULT ")
        if not found:
            raise RuntimeError(f"the load generator failed ({self._ended[0]}): {said}")
        return LoadResult(**orjson.loads(result), cpu_seconds=self._ended[1])

    def kill(self) -> None:
        """Be rid of it. Safe after its end."""
        if self._ended is None:
            self._process.kill()
            self._process.wait()
            self._ended = (-9, 0.0)

    def _poll(self) -> bool:
        if self._ended is None:
            # wait4 instead of Popen.wait: it also says how much CPU the process used.
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self._ended = (self._process.returncode, usage.ru_utime + usage.ru_stime)
        return self._ended is not None


# --- the own one ------------------------------------------------------------------------------------------------------


class _Connection(asyncio.Protocol):
    """Sends a request, reads the answer to its last byte, sends the next."""

    def __init__(self, run: "_Run") -> None:
        self.run = run
        self.rest = b""
        self.sent_at = 0.0

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(self.run.next())

    def data_received(self, data: bytes) -> None:
        answer = self.rest + data if self.rest else data
        head = answer.find(b"\r\n\r\n")
        if head < 0 or not _is_whole(answer, head):
            self.rest = answer
            return
        self.rest = b""
        self.run.answered(time.perf_counter() - self.sent_at, int(answer[9:12]))
        if self.run.is_over:
            self.transport.close()
        else:
            self.send()

    def connection_lost(self, _error) -> None:
        self.run.lost(self)


def _is_whole(answer: bytes, head: int) -> bool:
    """Say whether the body is there that the first `head` bytes announce: of a length, in chunks, or none."""
    for line in answer[:head].split(b"\r\n"):
        name = line[:18].lower()
        if name.startswith(b"content-length:"):
            return len(answer) >= head + 4 + int(line[15:])
        if name == b"transfer-encoding:":
            return answer.endswith(b"0\r\n\r\n")
    return True


class _Run:
    """One load: its requests, and what was answered so far."""

    def __init__(self, requests: list[bytes]) -> None:
        self.requests = requests
        self.at = 0
        self.is_over = False
        self.latencies: list[float] = []
        self.refused = 0
        self.errors = 0

    def next(self) -> bytes:
        self.at += 1
        return self.requests[self.at % len(self.requests)]

    def answered(self, seconds: float, status: int) -> None:
        if not self.is_over:
            self.latencies.append(seconds)
            self.refused += status >= 400

    def lost(self, _connection: _Connection) -> None:
        if not self.is_over:
            self.errors += 1


async def _generate(host: str, port: int, requests: list[bytes], connections: int, seconds: float) -> dict:
    run = _Run(requests)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [await loop.create_connection(lambda: _Connection(run), host, port) for _ in range(connections)]
    await asyncio.sleep(seconds - (time.perf_counter() - began))
    took = time.perf_counter() - began
    run.is_over = True
    for transport, _ in made:
        transport.abort()
    ordered = sorted(run.latencies) or [0.0]

    def percentile(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000

    return {
        "seconds": took,
        "requests": len(run.latencies),
        "refused": run.refused,
        "errors": run.errors,
        "p50_ms": percentile(0.5),
        "p90_ms": percentile(0.9),
        "p99_ms": percentile(0.99),
        "max_ms": ordered[-1] * 1000,
    }


def read_requests(path: Path) -> list[bytes]:
    """Return the requests that `workload.write_requests` wrote."""
    found = []
    with path.open("rb") as file:
        while line := file.readline():
            found.append(file.read(int(line)))
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("host")
    arguments.add_argument("port", type=int)
    arguments.add_argument("requests", type=Path, help="file of prepared requests, see workload.py")
    arguments.add_argument("--connections", type=int, default=64)
    arguments.add_argument("--seconds", type=float, default=5)
    given = arguments.parse_args()
    run = _generate(given.host, given.port, read_requests(given.requests), given.connections, given.seconds)
    print("RESULT", orjson.dumps(uvloop.run(run)).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
